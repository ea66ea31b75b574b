"""Bytes on their way: the files they lie in, and how many one lesson may have.

Owns: `Allowance`, `Slot`.
Does not own: what is written and whether it is right (m2kt.wire.chunks).
"""

from dataclasses import dataclass
from typing import final

from m2kt.errors import OversizeError


@final
class Allowance:
    """The bytes of the payloads of one lesson, together."""

    def __init__(self, limit: int, spent: int = 0) -> None:
        """Of `limit` bytes, `spent` are those of packets that the lesson rests on already."""
        self._limit = limit
        self._spent = spent
        self._reserved: dict[str, int] = {}

    def reserve(self, source: str, length: int) -> None:
        """Sets bytes aside for what a source sends, in place of what it had.

        Raises:
            OversizeError: that is more than is left.
        """
        others = sum(its for name, its in self._reserved.items() if name != source)
        left = self._limit - self._spent - others
        if length > left:
            raise OversizeError(
                f"expected a payload of at most {max(0, left)} bytes, what is left of"
                f" {self._limit} for one lesson, found {length}; raise the student's [limits]"
                " lesson_bytes, or learn from fewer teachers at a time"
            )
        self._reserved[source] = length

    def release(self, source: str) -> None:
        """Gives back what a source had: nothing came of it."""
        self._reserved.pop(source, None)


@final
@dataclass(frozen=True, slots=True)
class Slot:
    """One source's share.

    Attributes:
        source: Its name.
        allowance: Shared by all sources of a lesson.
    """

    source: str
    allowance: Allowance

    def reserve(self, length: int) -> None:
        """See `Allowance.reserve`."""
        self.allowance.reserve(self.source, length)

    def release(self) -> None:
        """See `Allowance.release`."""
        self.allowance.release(self.source)
