"""Disks that fail: full ones, and ones whose power is cut."""

from pathlib import Path

from m2kt.disk import LocalDisk


class FailingDisk:
    """Does what a disk does until `steps` are used up; then fails, once and for good."""

    def __init__(self, steps: int) -> None:
        self.left, self._real = steps, LocalDisk()

    def _step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(28, "No space left on device")

    def write(self, path, parts):
        self._step()
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

    def _step(self) -> None:
        self.left -= 1
        if self.left == -1:
            raise OSError(5, "Input/output error")


class ForgetfulDisk(FailingDisk):
    """Forgets at the power cut what was not synced: bytes, and names in folders."""

    def __init__(self, steps: int) -> None:
        super().__init__(steps)
        self._loose: set[Path] = set()
        self._renamed: dict[Path, bytes | None] = {}

    def write(self, path, parts):
        super().write(path, parts)
        self._loose.add(path)

    def sync(self, path):
        super().sync(path)
        self._loose.discard(path)
        self._renamed = {at: old for at, old in self._renamed.items() if at.parent != path}

    def rename(self, source, target):
        old = target.read_bytes() if target.exists() else None
        super().rename(source, target)
        self._renamed.setdefault(target, old)
        if source in self._loose:
            self._loose.add(target)

    def cut_power(self) -> None:
        for path in self._loose:
            if path.exists():
                path.write_bytes(b"")
        for path, old in self._renamed.items():
            if old is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(old)
