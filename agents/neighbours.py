"""Agents of one node: what a teacher there has in the node's shared memory is read in place.

A student says on which node it is when it asks for a packet. A teacher of the same node then
sends the signed manifest and, in place of chunks, that the payload is lent: it lies in the
node's object store, once for all students. Manifest, nonce and digest are checked as ever.

Owns: `Neighbours`. Free of Ray.
Does not own: Ray's side of it (actors), what a stream says (parts), the checks (intake).
"""

from typing import Protocol

from m2kt.digest import Digest
from m2kt.identity import AgentId


class Neighbours(Protocol):
    """The agents of one node, as one of them knows them."""

    @property
    def node(self) -> str:
        """Names the node; agents of one node have equal names."""

    async def lend(self, digest: Digest, payload: bytes | memoryview) -> bool:
        """Puts a payload where the others can read it; False if there is no room."""

    async def borrow(self, teacher: AgentId, digest: Digest) -> memoryview:
        """What `teacher` has lent under that digest: read-only and shared, not checked.

        Raises:
            PeerUnavailableError: there is no such agent on this node, or it lends no such thing.
        """
