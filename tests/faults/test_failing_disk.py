"""A disk that is full, broken or read-only at any step of any change: an error, and no harm."""

import errno
import re
import shutil
from pathlib import Path

import pytest

from m2kt.disk import LocalDisk
from m2kt.errors import StoreError
from m2kt.reasons import Reason
from tests.changes import CHANGES, Change
from tests.disks import FailingDisk, PowerLossDisk, StumblingDisk

ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)
MADE_UP_FOR = "a packet is kept from a file"
"""Where a file cannot have a second name, for whatever reason, it is copied."""
IN_PLACE = (
    "a file is replaced",
    "a key is revoked",
    "a packet is kept from memory",
    "a packet is kept from a file",
)
"""What stays where only the last sync failed, and may be lost yet: to do it again makes it sure."""


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that something refers to."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def prepared(change: Change, folder: Path) -> tuple[list[Path], object, object]:
    """For each step of the change a folder to make it in, and what is found before and after."""
    begun, trial = folder / "begun", folder / "trial"
    begun.mkdir()
    change.begin(begun)
    shutil.copytree(begun, trial)
    disk = PowerLossDisk(trial)
    change.make(trial, disk)
    folders = [shutil.copytree(begun, folder / str(step)) for step in range(disk.steps)]
    return folders, change.found(begun), change.found(trial)


def require_explained(error: StoreError, number: int) -> None:
    """The error has its reason's code, and says what was expected, found, and what to do."""
    assert error.reason is Reason.STORAGE
    found = {errno.ENOSPC: "No space", errno.EIO: "Input/output", errno.EROFS: "Read-only"}[number]
    assert re.search(rf"expected .+found .*{found}.*; \w+", str(error)), error


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("name", CHANGES)
def test_a_disk_that_fails_for_good_does_no_harm_and_the_change_is_made_on_a_good_one(
    tmp_path: Path, name: str, number: int
):
    change = CHANGES[name]
    folders, old, new = prepared(change, tmp_path)
    for step, folder in enumerate(folders):
        before = contents(folder)
        try:
            change.make(folder, FailingDisk(step, number))
        except StoreError as error:
            require_explained(error, number)
        else:
            pytest.fail(f"step {step} of {len(folders)} failed and nobody heard of it")
        last = step == len(folders) - 1  # the new HEAD has its name, and could not be put back
        assert change.found(folder) in ((old, new) if last else (old,)), step
        if change.found(folder) == old:
            after = contents(folder)
            assert {path: after.get(path) for path in before} == before
        change.make(folder, LocalDisk())
        assert change.found(folder) == new


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("name", CHANGES)
def test_after_an_error_of_a_moment_all_is_as_it_was_and_the_next_attempt_succeeds(
    tmp_path: Path, name: str, number: int
):
    change = CHANGES[name]
    folders, old, new = prepared(change, tmp_path)
    for step, folder in enumerate(folders):
        disk = StumblingDisk(step, number)
        try:
            change.make(folder, disk)
        except StoreError as error:
            require_explained(error, number)
            kept = step == len(folders) - 1 and name in IN_PLACE
            assert change.found(folder) == (new if kept else old), step
            change.make(folder, disk)
        else:
            assert name == MADE_UP_FOR, (
                f"step {step} of {len(folders)} failed and nobody heard of it"
            )
        assert change.found(folder) == new
