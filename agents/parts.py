"""What a packet is on its way: a signed manifest, then chunks.

Owns: `Chunk`, `Lent`, and reading either out of what a stream brings.
Does not own: checking them (intake), how they become bytes (methods). Free of torch.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from m2kt.errors import ProtocolError
from m2kt.signing import Envelope
from m2kt.wire import cards
from m2kt.wire.v1 import envelope_pb2


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a payload: which one, counted from 0, and its bytes."""

    index: int
    data: bytes | memoryview = field(repr=False)


@dataclass(frozen=True, slots=True)
class Lent:
    """In place of chunks: the payload lies in the shared memory of the node of both."""


class PartMessage(Protocol):
    """A message with a `oneof part` of `manifest` and `chunk`, maybe among others."""

    @property
    def manifest(self) -> envelope_pb2.Envelope:
        """The manifest."""

    @property
    def chunk(self) -> envelope_pb2.Chunk:
        """The chunk."""


M = TypeVar("M", bound=PartMessage)


def kind_of(message: PartMessage | Chunk | None) -> str:
    """Which part is in `message`, in words; a stream that has ended has none."""
    if isinstance(message, Chunk):
        return "chunk"
    if message is None:
        return "the end of the stream"
    return message.WhichOneof("part") or "an empty message"  # type: ignore[attr-defined]


def part_of(message: PartMessage | Chunk, peer: str) -> Envelope | Chunk:
    """The manifest or chunk in `message`, unchecked, where nothing is lent.

    Raises:
        ProtocolError: it holds neither.
    """
    part = any_part_of(message, peer)
    if isinstance(part, Lent):
        raise ProtocolError(
            f"expected a manifest or a chunk from {peer}, found that it lends one; nobody asked"
            " for that"
        )
    return part


def any_part_of(message: PartMessage | Chunk, peer: str) -> Envelope | Chunk | Lent:
    """The manifest or chunk in `message`, or that chunks are lent; unchecked.

    Raises:
        ProtocolError: it holds neither.
    """
    if isinstance(message, Chunk):
        return message
    kind = kind_of(message)
    if kind == "manifest":
        return cards.envelope_from_wire(message.manifest)
    if kind == "chunk":
        return Chunk(message.chunk.index, message.chunk.data)
    if kind == "lent":
        return Lent()
    raise ProtocolError(
        f"expected a manifest or a chunk from {peer}, found {kind}; both"
        " sides need one version in common"
    )


async def next_part(requests: AsyncIterator[M | Chunk], kind: type[M], wanted: str) -> M:
    """The next message of a stream, which has to be of `kind` and hold a `wanted`.

    Raises:
        ProtocolError: it is or holds something else, or there is none.
    """
    request = await anext(requests, None)
    if isinstance(request, kind) and kind_of(request) == wanted:
        return request
    raise ProtocolError(
        f"expected a {wanted}, found {kind_of(request)}; see the comments on {kind.__name__} in"
        " the .proto files"
    )


async def chunks_in(requests: AsyncIterator[M | Chunk]) -> AsyncIterator[Chunk]:
    """The rest of a stream, which has to be chunks alone.

    Raises:
        ProtocolError: it is not.
    """
    async for request in requests:
        part = part_of(request, "the teacher")
        if isinstance(part, Envelope):
            raise ProtocolError("expected a chunk, found another manifest; send one manifest")
        yield part
