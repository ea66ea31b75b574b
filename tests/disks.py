"""Disks that fail: full, broken and read-only ones, and ones whose power is cut."""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from m2kt.disk import LocalDisk

GONE = 0
"""The inode of a name that stands for nothing."""


class FailingDisk:
    """Does what a disk does until `steps` are used up; then fails, once and for good."""

    def __init__(self, steps: int, error: int = errno.ENOSPC) -> None:
        self.left, self.error, self._real = steps, error, LocalDisk()

    def _step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(self.error, os.strerror(self.error))

    def write(self, path, parts):
        try:
            self._step()
        except OSError:
            if self.error != errno.EROFS:  # what still found room
                self._real.write(path, [b"".join(bytes(part) for part in parts)[:7]])
            raise
        self._real.write(path, parts)

    def sync(self, path):
        self._step()
        self._real.sync(path)

    def rename(self, source, target):
        self._step()
        self._real.rename(source, target)

    def link(self, source, target):
        self._step()
        self._real.link(source, target)


class StumblingDisk(FailingDisk):
    """Fails once, after `steps`, and is well again."""

    def __init__(self, steps: int, error: int = errno.EIO) -> None:
        super().__init__(steps, error)

    def _step(self) -> None:
        self.left -= 1
        if self.left == -1:
            raise OSError(self.error, os.strerror(self.error))


class PowerCut(BaseException):  # no error: nobody is left to handle it
    """The power is gone."""


class PowerLossDisk:
    """A disk that, once its power is cut, has kept of what was not synced what it likes.

    A name in a folder is certain once the folder is synced; until then it stands for anything
    that it stood for since, each name on its own, so that a file may be there without its
    bytes, under its old name and its new one, or under neither. The bytes of a file are certain
    once the file is synced; until then they are torn anywhere, with nothing, zeros, or older
    bytes after that. Syncing again a file whose sync has failed does nothing, as on Linux
    (Rebello et al., USENIX ATC 2020). Folders that are made and files that are removed past this
    disk count too.
    """

    def __init__(self, folder: Path, *, cut: int = -1, stumble: int = -1) -> None:
        """All that is in `folder` is certain.

        Args:
            folder: What is lost with the power lies in it.
            cut: The step at which the power is cut: it is done, but a sync is not.
            stumble: The step that fails, once.
        """
        self.steps, self.cut_at, self._stumble = 0, cut, stumble
        self._folder, self._real = folder, LocalDisk()
        self._open: dict[int, int] = {}  # an inode that is open has its number to itself
        self._names: dict[Path, list[int]] = {}
        self._bytes: dict[int, list[bytes]] = {}
        self._doomed: set[int] = set()
        self._look()
        self._names = {path: its[-1:] for path, its in self._names.items()}
        self._bytes = {inode: its[-1:] for inode, its in self._bytes.items()}

    def write(self, path, parts):
        self._do(lambda: self._real.write(path, parts))
        self._doomed.discard(path.stat().st_ino)

    def rename(self, source, target):
        self._do(lambda: self._real.rename(source, target))

    def link(self, source, target):
        self._do(lambda: self._real.link(source, target))

    def sync(self, path):
        inode = path.stat().st_ino
        try:
            self._do(lambda: None)
        except OSError:
            self._doomed.add(inode)
            raise
        for name in [name for name in self._names if name.parent == path]:
            self._names[name] = self._names[name][-1:]
        if inode in self._bytes and inode not in self._doomed:
            self._bytes[inode] = self._bytes[inode][-1:]

    def _do(self, operation: Callable[[], None]) -> None:
        step, self.steps = self.steps, self.steps + 1
        if step == self._stumble:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        operation()
        self._look()
        if self.cut_at in range(step + 1):
            raise PowerCut

    def _look(self) -> None:
        """Notes what has become of every name and every file."""
        found = {path: self._inode(path) for path in self._folder.rglob("*")}
        for path in found.keys() | self._names.keys():
            versions = self._names.setdefault(path, [GONE])
            if versions[-1] != found.get(path, GONE):
                versions.append(found.get(path, GONE))
        for inode, file in self._open.items():
            if stat.S_ISREG(os.fstat(file).st_mode):
                now = os.pread(file, os.fstat(file).st_size, 0)
                if (contents := self._bytes.setdefault(inode, [b""]))[-1] != now:
                    contents.append(now)

    def _inode(self, path: Path) -> int:
        inode = path.stat().st_ino
        if inode not in self._open:
            self._open[inode] = os.open(path, os.O_RDONLY)
        return inode

    def cut(self, choose: Callable[[Sequence[Any]], Any]) -> None:
        """Leaves in the folder what is there when the power is back; `choose` picks one of many."""
        self._look()
        chosen = {path: _one_of(its, choose) for path, its in sorted(self._names.items())}
        modes = {inode: os.fstat(file).st_mode for inode, file in self._open.items()}
        torn = {
            inode: _torn(its, choose)
            for inode, its in self._bytes.items()
            if inode in chosen.values()
        }
        for file in self._open.values():
            os.close(file)
        shutil.rmtree(self._folder)
        self._folder.mkdir()
        placed: dict[int, Path] = {}
        for path, inode in chosen.items():
            if inode == GONE or not path.parent.is_dir():
                continue
            if inode not in torn:
                path.mkdir()
            elif inode in placed:
                os.link(placed[inode], path)
            else:
                path.write_bytes(torn[inode])
                path.chmod(stat.S_IMODE(modes[inode]))
                placed[inode] = path


def _one_of(versions: Sequence[Any], choose: Callable[[Sequence[Any]], Any]) -> Any:
    return choose(versions) if len(versions) > 1 else versions[0]


def _torn(contents: Sequence[bytes], choose: Callable[[Sequence[Any]], Any]) -> bytes:
    """What a file may hold: the first of `contents` is certain, the others were not synced."""
    if len(contents) == 1:
        return contents[0]
    old, new = contents[0], choose(contents[1:])
    kept = choose((0, len(new), choose(range(len(new) + 1))))
    return new[:kept] + choose((b"", bytes(len(new) - kept), old[kept:]))
