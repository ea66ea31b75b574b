"""Power is cut at any step of any change: what is there is the old or the new, never a mix.

What the disk has kept of all that was not synced is drawn: any subset of names, any part of
any file.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from m2kt.errors import StoreError
from tests.changes import CHANGES, Change, head, store_in
from tests.disks import PowerCut, PowerLossDisk

MEMORY = Path("/dev/shm")  # what is durable is the model's business: no need to wait
all_changes = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


@contextlib.contextmanager
def begun(change: Change) -> Iterator[Path]:
    """A folder with what is there before the change."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as scratch:
        folder = Path(scratch) / "disk"
        folder.mkdir()
        change.begin(folder)
        yield folder


def steps_of(change: Change) -> int:
    with begun(change) as folder:
        disk = PowerLossDisk(folder)
        change.make(folder, disk)
        return disk.steps


def outcomes(change: Change) -> tuple[object, object]:
    """What is found before and after."""
    with begun(change) as folder:
        old = change.found(folder)
        change.make(folder, PowerLossDisk(folder))
        return old, change.found(folder)


@all_changes
@settings(max_examples=30, phases=[Phase.generate])  # shrinking would take minutes
@given(st.data())
def test_after_a_power_cut_the_old_is_there_or_the_new_and_the_change_can_be_made(
    change: Change, data
):
    def choose(versions):
        return data.draw(st.sampled_from(versions))

    old, new = outcomes(change)
    for step in range(steps_of(change)):
        with begun(change) as folder:
            disk = PowerLossDisk(folder, cut=step)
            with pytest.raises(PowerCut):
                change.make(folder, disk)
            disk.cut(choose)
            assert change.found(folder) in (old, new)
            again = PowerLossDisk(folder)
            change.make(folder, again)
            again.cut(choose)
            assert change.found(folder) == new, "what was told as done is there"


@all_changes
@settings(max_examples=3, phases=[Phase.generate])
@given(st.data())
def test_what_was_done_after_an_error_of_a_moment_survives_a_power_cut(change: Change, data):
    def choose(versions):
        return data.draw(st.sampled_from(versions))

    _, new = outcomes(change)
    for step in range(steps_of(change)):
        with begun(change) as folder:
            disk = PowerLossDisk(folder, stumble=step)
            with contextlib.suppress(StoreError):  # a link that fails is made up for by a copy
                change.make(folder, disk)
            change.make(folder, disk)
            disk.cut(choose)
            assert change.found(folder) == new


@settings(max_examples=5, phases=[Phase.generate])
@given(st.data())
def test_the_head_that_was_read_after_a_kill_survives_a_power_cut(data):
    """Others are told of what a student finds when it starts: it may not be lost afterwards."""
    change = CHANGES["HEAD advances"]
    for step in range(steps_of(change)):
        with begun(change) as folder:
            disk = PowerLossDisk(folder, cut=step)
            with pytest.raises(PowerCut):
                change.make(folder, disk)
            disk.cut_at = -1  # it was the process alone that ended
            with store_in(folder, disk) as store:
                seen = [(state.note, state.at_s) for state in store.history()]
            disk.cut(lambda versions: data.draw(st.sampled_from(versions)))
            assert head(folder) == seen
