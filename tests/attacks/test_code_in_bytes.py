"""Threat: bytes that run code when they are read (pickle, CVE-2025-32434)."""

import pickle
import sys

import pytest

from m2kt.progress import TransferState
from tests.simulator import STUDENT, TEACHER, Town, taught


class Ear:
    """Hears of every class that this process unpickles while it listens."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.listens = False
        sys.addaudithook(self._note)  # for good: Python takes no hook out again

    def _note(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.listens and event == "pickle.find_class":
            self.heard.append(f"{arguments!r:.200}")


@pytest.fixture(scope="module")
def ear() -> Ear:
    return Ear()


@pytest.fixture
def heard(ear):
    """What was unpickled while the test runs."""
    ear.heard.clear()
    ear.listens = True
    yield ear.heard
    ear.listens = False


def test_an_unpickled_class_would_be_heard_of(heard):
    pickle.loads(pickle.dumps(Town))
    assert "Town" in heard[0]


async def test_a_whole_transfer_unpickles_nothing(tmp_path, heard):
    async with Town(tmp_path) as town:
        town.trust("student", "teacher")
        town.trust("teacher", "student")
        teacher = await town.start("teacher", TEACHER)
        student = town.peer((await town.start("student", STUDENT)).address)
        heard.clear()
        view, _ = await taught(student, teacher.address)
        assert view.state is TransferState.COMMITTED
        await student.answer("arith.mod7", ["2+3"], timeout_s=30)
    assert heard == []
