"""Bytes on their way: the files they lie in, and how many one lesson may have.

A file of a collection has the name of its transfer and of its source: after a restart it is
found again. Beside it lies the manifest that its chunks were held against.

Owns: `Spool`, `Allowance`, `Slot`.
Does not own: what is written and whether it is right (m2kt.wire.chunks, intake).
"""

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from m2kt.digest import digest_of
from m2kt.disk import disk_errors
from m2kt.errors import OversizeError
from m2kt.identity import TransferId

NAME_DIGITS: Final = 32


@final
class Spool:
    """A folder for packets that have not come whole."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder if there is none.

        Raises:
            StoreError: it cannot be used.
        """
        self._folder = folder
        with disk_errors(f"use {folder}"):
            folder.mkdir(parents=True, exist_ok=True)

    def unnamed(self) -> Path:
        """A new file, which nobody finds again after a restart."""
        return self._folder / f"offer-{secrets.token_hex(8)}.part"

    def part(self, transfer: TransferId, source: str) -> Path:
        """The file for what comes from `source` for `transfer`."""
        digits = digest_of(source.encode()).removeprefix("b3:")[:NAME_DIGITS]
        return self._folder / f"{transfer}.{digits}.part"

    def forget(self, transfer: TransferId) -> None:
        """Removes what a transfer has left."""
        self._remove(lambda owner: owner == transfer)

    def sweep(self, kept: Collection[TransferId]) -> None:
        """Removes all files but those of the transfers in `kept`."""
        self._remove(lambda owner: owner not in kept)

    def _remove(self, is_old: Callable[[str], bool]) -> None:
        with disk_errors(f"use {self._folder}"):
            for file in self._folder.iterdir():
                if is_old(file.name.split(".")[0]):
                    file.unlink(missing_ok=True)


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
    """One source's share of a collection.

    Attributes:
        transfer: What is collected for.
        source: Its name.
        allowance: Shared by all sources of a lesson.
    """

    transfer: TransferId
    source: str
    allowance: Allowance

    def reserve(self, length: int) -> None:
        """See `Allowance.reserve`."""
        self.allowance.reserve(self.source, length)

    def release(self) -> None:
        """See `Allowance.release`."""
        self.allowance.release(self.source)
