"""What a crash leaves of a file, and who may lock it."""

from pathlib import Path

import pytest

from m2kt.disk import LocalDisk, locked, pieces, put_whole
from m2kt.errors import StoreError


class FullDisk:
    """A disk on which the named operation fails for want of space."""

    def __init__(self, failing: str) -> None:
        self._failing, self._real = failing, LocalDisk()

    def _attempt(self, operation: str) -> None:
        if operation == self._failing:
            raise OSError(28, "No space left on device")

    def write(self, path, parts):
        self._real.write(path, parts)
        self._attempt("write")

    def sync(self, path):
        self._attempt("sync")
        self._real.sync(path)

    def rename(self, source, target):
        self._attempt("rename")
        self._real.rename(source, target)

    def link(self, source, target):
        self._attempt("link")
        self._real.link(source, target)


@pytest.mark.parametrize("operation", ["write", "sync", "rename"])
def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path: Path, operation: str):
    file = tmp_path / "file"
    put_whole(LocalDisk(), file, [b"old"])
    with pytest.raises(StoreError, match=r"No space.*free space"):
        put_whole(FullDisk(operation), file, [b"ne", b"w"])
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_is_replaced_by_the_whole_of_its_parts(tmp_path: Path):
    for content in ([b"one"], [b"t", memoryview(b"wo")], []):
        put_whole(LocalDisk(), tmp_path / "file", content)
        assert b"".join(pieces(tmp_path / "file")) == b"".join(bytes(part) for part in content)


def test_a_lock_is_free_again_once_its_holder_closes_it(tmp_path: Path):
    held = locked(tmp_path / "lock")
    with pytest.raises(StoreError, match="alone"):
        locked(tmp_path / "lock")
    held.close()
    locked(tmp_path / "lock").close()
