"""What a packet is on its way: a signed manifest, then chunks.

Owns: `Chunk`, and reading either out of the messages that carry them.
Does not own: checking them (intake). Free of torch.
"""

from dataclasses import dataclass, field
from typing import Protocol

from m2kt.errors import ProtocolError
from m2kt.signing import Envelope
from m2kt.wire import cards
from m2kt.wire.v1 import envelope_pb2


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a payload: which one, counted from 0, and its bytes."""

    index: int
    data: bytes = field(repr=False)


class PartMessage(Protocol):
    """A message with a `oneof part` of `manifest` and `chunk`, maybe among others."""

    @property
    def manifest(self) -> envelope_pb2.Envelope:
        """The manifest."""

    @property
    def chunk(self) -> envelope_pb2.Chunk:
        """The chunk."""


def part_of(message: PartMessage, peer: str) -> Envelope | Chunk:
    """The manifest or chunk in `message`, unchecked.

    Raises:
        ProtocolError: it holds neither.
    """
    kind = message.WhichOneof("part")  # type: ignore[attr-defined]  # each type has its own literal
    if kind == "manifest":
        return cards.envelope_from_wire(message.manifest)
    if kind == "chunk":
        return Chunk(message.chunk.index, message.chunk.data)
    raise ProtocolError(
        f"expected a manifest or a chunk from {peer}, found {kind or 'an empty message'}; both"
        " sides need one version in common"
    )


def chunk_to_wire(chunk: Chunk) -> envelope_pb2.Chunk:
    """As a message."""
    return envelope_pb2.Chunk(index=chunk.index, data=chunk.data)
