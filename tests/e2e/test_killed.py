"""A student that is killed at any point holds the old CAL or the new one, and goes on or ends."""

import signal
from pathlib import Path

import pytest

from m2kt.digest import Digest
from m2kt.errors import PeerError
from m2kt.history import EMPTY
from m2kt.identity import TransferId
from m2kt.journal import Journal
from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt.store import Store
from m2kt.verdict import Rejected
from m2kt.wire import cards
from m2kt_agents.client import PeerClient
from tests.mortal import Life
from tests.simulator import ALIGN, DOMAIN, STUDENT, Town, adder, ended

pytestmark = pytest.mark.slow
KILLED = -signal.SIGKILL
TABLE = {
    **STUDENT,
    "name": "student",
    "domains": [DOMAIN],
    "data_dir": "student",
    "align": {**ALIGN, "readout_steps": 15, "steps": 12},
}


@pytest.fixture
async def town(tmp_path: Path):
    async with Town(tmp_path) as town:
        town.signer("student")
        town.trust("student", "adder")
        yield town


async def serving(town: Town) -> str:
    server = await town.serve(adder(town).service)
    return server.address


def head_of(town: Town) -> Digest:
    """HEAD, after everything that it refers to was read and its digests were checked."""
    with Store(town.folder / "student" / "store", writable=False) as store:
        for state in store.history():
            for skill in state.skills.values():
                store.get_cal(skill.cal)
                for packet in skill.lineage:
                    store.get_packet(packet)
        return store.head()


def transfer_of(town: Town) -> TransferId:
    with Journal(town.folder / "student" / "journal.sqlite") as journal:
        [transfer] = journal.transfers()
        return transfer.id


async def dies_while_learning(town: Town, teacher: str, point: str) -> None:
    """Asks a student to learn that will not survive it."""
    async with Life(town.folder, TABLE, point) as life:
        async with PeerClient(await life.address()) as student:
            try:
                await student.learn(DOMAIN, teachers=[teacher], key="once", timeout_s=10)
            except PeerError:
                assert point == "OFFERED"
        assert await life.death() == KILLED


async def test_a_transfer_that_is_killed_at_every_state_goes_on_to_its_end(town):
    teacher = await serving(town)
    await dies_while_learning(town, teacher, "AUTHENTICATED")
    for point in ("SCREENED", "ALIGNING", "VERIFYING", "SIGNED"):
        assert head_of(town) == EMPTY.digest
        async with Life(town.folder, TABLE, point) as life:
            assert await life.death() == KILLED, point
    assert head_of(town) == EMPTY.digest
    async with Life(town.folder, TABLE, "PUBLISHED") as life:
        assert await life.death() == KILLED
    published = head_of(town)
    assert published != EMPTY.digest
    async with Life(town.folder, TABLE, "COMMITTED") as life:
        assert await life.death() == KILLED
    transfer = transfer_of(town)
    async with Life(town.folder, TABLE) as life, PeerClient(await life.address()) as student:
        view, events = await ended(student, transfer)
        again = await student.learn(DOMAIN, teachers=[teacher], key="once", timeout_s=10)
    assert again == transfer
    assert view.state is TransferState.COMMITTED
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert sum(event.state is TransferState.AUTHENTICATED for event in events) == 6
    assert cards.receipt_from_bytes(view.receipt.payload).head_after == published == head_of(town)


@pytest.mark.parametrize("point", ["OFFERED", "SEALED"])
async def test_a_transfer_that_is_killed_before_its_packets_are_known_ends(town, point):
    await dies_while_learning(town, await serving(town), point)
    transfer = transfer_of(town)
    async with Life(town.folder, TABLE) as life, PeerClient(await life.address()) as student:
        view, _ = await ended(student, transfer)
    assert view.state is TransferState.FAILED
    assert isinstance(view.verdict, Rejected)
    assert view.verdict.reasons == (Reason.INTERRUPTED,)
    assert head_of(town) == EMPTY.digest
