"""Files that survive a crash, and errors of the disk as ours.

A file is written beside its place, synced, renamed into it, and its folder synced: after
a crash or a power cut there is the old file, or none, or all of the new one (Pillai et
al., OSDI 2014). Free of torch.

Owns: `Disk`, `LocalDisk`, `put_whole`, `put_private`, `make_folder`, `mapped`, `locked`.
Does not own: what the files hold (store).
"""

import fcntl
import mmap
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Protocol, final, runtime_checkable

from m2kt.errors import StoreError

BESIDE: Final = ".tmp"
"""Suffix of a file that is not yet in its place."""

_PIECE_BYTES: Final = 1 << 20


@runtime_checkable
class Disk(Protocol):
    """What the store asks of a file system."""

    def write(self, path: Path, parts: Iterable[bytes | memoryview]) -> None:
        """Makes the file, or empties it, and writes `parts`."""

    def sync(self, path: Path) -> None:
        """Returns when a file's bytes, or a folder's entries, will survive a power cut."""

    def rename(self, source: Path, target: Path) -> None:
        """Puts `source` in the place of `target`, in one step."""

    def link(self, source: Path, target: Path) -> None:
        """Makes `target` a second name of the file `source`; raises OSError if it cannot."""


@final
class LocalDisk:
    """The file system of this machine."""

    def write(self, path: Path, parts: Iterable[bytes | memoryview]) -> None:
        """See `Disk`."""
        with path.open("wb") as file:
            file.writelines(parts)

    def sync(self, path: Path) -> None:
        """See `Disk`."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """See `Disk`."""
        source.replace(target)

    def link(self, source: Path, target: Path) -> None:
        """See `Disk`."""
        target.unlink(missing_ok=True)
        os.link(source, target)


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turns an OSError into a StoreError that says what was being done.

    Raises:
        StoreError: the block raised an OSError.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"expected to {what}, found {error}; free space or mend permissions, then look"
            " at HEAD and try again"
        ) from error


def pieces(path: Path) -> Iterator[bytes]:
    """The bytes of a file, a mebibyte at a time."""
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def mapped(path: Path) -> memoryview:
    """The bytes of a file: read from the disk when they are looked at, and not held in memory.

    The file may be removed meanwhile; who shortens it ends this process.

    Raises:
        StoreError: the file cannot be read.
    """
    with disk_errors(f"read {path}"), path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:  # of which no map can be made
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def put_whole(disk: Disk, path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Puts a file in its place: after a crash the old one is there, or none, or all of it.

    Raises:
        StoreError: the disk failed. What was there before is in the place; or the new file, if
            no more was wanting than that its name survives a power cut.
    """
    beside = path.with_name(path.name + BESIDE)
    with disk_errors(f"write {path}"):
        try:
            disk.write(beside, parts)
            disk.sync(beside)
            disk.rename(beside, path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
        disk.sync(path.parent)


def put_private(disk: Disk, path: Path, content: bytes) -> None:
    """As `put_whole`; and nobody but its owner can read the file, at any moment.

    Raises:
        StoreError: see `put_whole`.
    """
    beside = path.with_name(path.name + BESIDE)
    with disk_errors(f"write {path}"):
        beside.unlink(missing_ok=True)
        os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    put_whole(disk, path, [content])


def make_folder(disk: Disk, path: Path) -> None:
    """Makes a folder, and those above it, that will survive a power cut.

    Raises:
        StoreError: the disk failed, or something else has that name.
    """
    if path.is_dir():
        return
    make_folder(disk, path.parent)
    with disk_errors(f"make the folder {path}"):
        path.mkdir(exist_ok=True)
        try:
            disk.sync(path.parent)
        except OSError:  # who tries again must not find it made
            path.rmdir()
            raise


def locked(path: Path) -> IO[bytes]:
    """An open file that nobody else can lock, in this process or another, until it is closed.

    Raises:
        StoreError: somebody holds the lock.
    """
    file = path.open("ab+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise StoreError(
            f"expected to be alone, found another process that writes to {path.parent}; stop it,"
            " or open the store with writable=False"
        ) from error
    return file
