"""A student that is killed at any point holds the old CAL or the new one, and goes on or ends.

Killed: SIGKILL of a process of its own, at every state that a transfer passes and between the
writes that lead from one to the next. `m2kt_agents.faultbench.mortal` has the list.
"""

import signal
from pathlib import Path

import pytest

from m2kt.digest import Digest
from m2kt.errors import PeerError
from m2kt.history import EMPTY
from m2kt.identity import AgentId, TransferId
from m2kt.journal import Journal, Transfer
from m2kt.progress import Event, TransferState
from m2kt.reasons import Reason
from m2kt.store import Store
from m2kt.wire import cards
from m2kt_agents.client import PeerClient
from m2kt_agents.faultbench.mortal import Life
from m2kt_agents.offering import Offer, Settlement, offer
from m2kt_agents.views import TransferView
from tests.siege import with_nan
from tests.simulator import DOMAIN, PATIENT, STUDENT, HostileTeacher, Town, adder, ended, multiplier

pytestmark = pytest.mark.slow
KILLED = -signal.SIGKILL
TABLE = {
    **STUDENT,
    "name": "student",
    "domains": [DOMAIN],
    "data_dir": "student",
    "align": PATIENT["align"],  # a lesson that is declined moves no HEAD to die at
}
NOBODY = "127.0.0.1:1"

# Where a student is killed, and what its journal says then.
ON_THE_WAY = {
    "AUTHENTICATED": "AUTHENTICATED",
    "SCREENED": "SCREENED",
    "ALIGNING": "ALIGNING",
    "a step was trained": "ALIGNING",
    "VERIFYING": "VERIFYING",
    "the CAL is kept": "VERIFYING",
    "the receipt is signed": "VERIFYING",
    "the new state is kept": "VERIFYING",
    "the new HEAD is written": "VERIFYING",
}
AFTER_HEAD_MOVED = {
    "HEAD has moved": "VERIFYING",
    "HEAD is known to have moved": "VERIFYING",
    "the end is being noted": "VERIFYING",
    "COMMITTED": "COMMITTED",
}
BEFORE_THE_PACKETS_CAME = (
    "OFFERED",
    "a chunk has come",
    "the packet is sealed",
    "the packet is noted as seen",
    "the packet is noted with its source",
)


@pytest.fixture
async def town(tmp_path: Path):
    async with Town(tmp_path) as town:
        town.signer("student")
        town.trust("student", "adder", "multiplier", "teacher")
        yield town


async def at(town: Town, teacher: HostileTeacher) -> str:
    """The address at which `teacher` serves from now on."""
    server = await town.serve(teacher.service)
    return server.address


def head_of(town: Town) -> Digest:
    """HEAD, after everything that it refers to was read and its digests were checked."""
    with Store(town.folder / "student" / "store", writable=False) as store:
        for state in store.history():
            for skill in state.skills.values():
                store.get_cal(skill.cal)
                for packet in skill.lineage:
                    store.packets.get(packet)
        return store.head()


def newest(town: Town) -> Transfer:
    """The newest transfer, as the journal has it."""
    with Journal(town.folder / "student" / "journal.sqlite") as journal:
        return journal.transfers()[-1]


async def dies(town: Town, point: str, teacher: str = "", *, key: str = "once") -> None:
    """A life of the student that ends at `point`; it is asked to learn if a teacher is named."""
    async with Life(town.folder, TABLE, point) as life:
        address = await life.address()
        if teacher:
            async with PeerClient(address) as student:
                try:
                    await student.learn(DOMAIN, teachers=[teacher], key=key, timeout_s=10)
                except PeerError:
                    assert point == "OFFERED"
        assert await life.death() == KILLED, point


async def ends(town: Town, transfer: TransferId) -> tuple[TransferView, list[Event]]:
    """A life in which the student comes to the end of a transfer without being asked again."""
    async with Life(town.folder, TABLE) as life, PeerClient(await life.address()) as student:
        view, events = await ended(student, transfer)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert newest(town).state is view.state is events[-1].state
    return view, events


async def learns(town: Town, teacher: str, *, key: str) -> TransferView:
    """A life in which the student learns undisturbed."""
    async with Life(town.folder, TABLE) as life, PeerClient(await life.address()) as student:
        transfer = await student.learn(DOMAIN, teachers=[teacher], key=key, timeout_s=10)
        view, _ = await ended(student, transfer)
    assert view.state is TransferState.COMMITTED
    return view


async def test_a_transfer_that_is_killed_at_every_state_goes_on_to_its_end(town):
    teacher = await at(town, adder(town))
    for point, state in ON_THE_WAY.items():
        await dies(town, point, teacher if point == "AUTHENTICATED" else "")
        assert newest(town).state == state, point
        assert head_of(town) == EMPTY.digest, point
    transfer = newest(town).id
    view, events = await ends(town, transfer)
    assert view.state is TransferState.COMMITTED
    receipt = cards.receipt_from_bytes(view.receipt.payload)
    assert (receipt.head_before, receipt.head_after) == (EMPTY.digest, head_of(town))
    # Once with its packets, then once for every time that it was killed.
    resumed = sum(event.state is TransferState.AUTHENTICATED for event in events)
    assert resumed == 1 + len(ON_THE_WAY)
    async with Life(town.folder, TABLE) as life, PeerClient(await life.address()) as student:
        again = await student.learn(DOMAIN, teachers=[teacher], key="once", timeout_s=10)
    assert again == transfer


@pytest.mark.parametrize("point", AFTER_HEAD_MOVED)
async def test_a_transfer_that_is_killed_after_head_moved_is_committed(town, point):
    await dies(town, point, await at(town, adder(town)))
    published, left = head_of(town), newest(town)
    assert published != EMPTY.digest
    assert left.state == AFTER_HEAD_MOVED[point]
    view, events = await ends(town, left.id)
    assert view.state is TransferState.COMMITTED
    receipt = cards.receipt_from_bytes(view.receipt.payload)
    assert receipt.head_after == published == head_of(town)
    assert sum(event.state is TransferState.AUTHENTICATED for event in events) == 1


@pytest.mark.parametrize("point", BEFORE_THE_PACKETS_CAME)
async def test_a_transfer_that_is_killed_before_its_packets_are_known_collects_the_rest(
    town, point
):
    await dies(town, point, await at(town, adder(town)))
    assert newest(town).state is TransferState.OFFERED
    assert head_of(town) == EMPTY.digest
    view, events = await ends(town, newest(town).id)
    assert view.state is TransferState.COMMITTED
    assert any("interrupted before its packets had come" in event.message for event in events)
    assert not list((town.folder / "student" / "spool").iterdir())


async def test_what_was_learnt_before_stays_whole_until_the_new_head_is_there(town):
    await learns(town, await at(town, adder(town)), key="first")
    old, teacher = head_of(town), await at(town, multiplier(town))
    for point in ("ALIGNING", "the CAL is kept", "the new HEAD is written"):
        await dies(town, point, teacher if point == "ALIGNING" else "", key="second")
        assert head_of(town) == old, point
    await dies(town, "HEAD has moved")
    new = head_of(town)
    view, _ = await ends(town, newest(town).id)
    receipt = cards.receipt_from_bytes(view.receipt.payload)
    assert (receipt.head_before, receipt.head_after) == (old, new)
    assert head_of(town) == new
    with Store(town.folder / "student" / "store", writable=False) as store:
        assert [state.digest for state in store.history()] == [new, old, EMPTY.digest]


async def brought(address: str, teacher: HostileTeacher) -> Settlement:
    """The teacher brings its packet itself, always under the same name."""

    async def manifest(student, nonce):
        return teacher.sealed(student.agent, nonce)

    its = Offer(
        teacher=teacher.card,
        domain=DOMAIN,
        offer_id="once",
        manifest=manifest,
        chunks=teacher.chunks,
    )
    return await offer(address, its, timeout_s=60)


@pytest.mark.parametrize(
    ("point", "left", "state"),
    [
        ("OFFERED", "OFFERED", "FAILED"),
        ("a chunk has come", "OFFERED", "FAILED"),
        ("the packet is noted as seen", "OFFERED", "FAILED"),
        ("AUTHENTICATED", "AUTHENTICATED", "COMMITTED"),
        ("VERIFYING", "VERIFYING", "COMMITTED"),
        ("HEAD has moved", "VERIFYING", "COMMITTED"),
    ],
)
async def test_an_offer_to_a_student_that_is_killed_is_settled_when_it_is_made_again(
    town, point, left, state
):
    teacher = adder(town)
    async with Life(town.folder, TABLE, point) as life:
        with pytest.raises(PeerError):
            await brought(await life.address(), teacher)
        assert await life.death() == KILLED
    assert newest(town).state == left
    async with Life(town.folder, TABLE) as life:
        settlement = await brought(await life.address(), teacher)
    assert settlement.transfer == newest(town).id
    assert newest(town).state == state
    receipt = cards.receipt_from_bytes(settlement.receipt.payload)
    assert receipt.verdict == settlement.verdict
    assert receipt.head_after == head_of(town)
    assert (head_of(town) == EMPTY.digest) == (state == "FAILED")


@pytest.mark.parametrize("point", ["the receipt is signed", "the end is being noted", "REJECTED"])
async def test_a_transfer_that_is_killed_while_it_is_rejected_stays_rejected(town, point):
    harmful = HostileTeacher(AgentId("teacher"), town.signer("teacher"), packet=with_nan())
    await dies(town, point, await at(town, harmful))
    assert head_of(town) == EMPTY.digest
    view, _ = await ends(town, newest(town).id)
    assert view.state is TransferState.REJECTED
    assert view.verdict.reasons == (Reason.NOT_FINITE,)
    assert head_of(town) == EMPTY.digest


@pytest.mark.parametrize("point", ["the receipt is signed", "the end is being noted", "FAILED"])
async def test_a_transfer_that_is_killed_while_it_fails_has_failed(town, point):
    await dies(town, point, NOBODY)
    view, _ = await ends(town, newest(town).id)
    assert view.state is TransferState.FAILED
    assert view.verdict.reasons == (Reason.PEER_UNAVAILABLE,)
    assert head_of(town) == EMPTY.digest


async def forgets(town: Town, point: str, whom: str = "adder") -> None:
    """A life of the student that ends at `point` while it un-learns somebody's packets."""
    key = town.signer(whom).key_id
    async with Life(town.folder, TABLE, point) as life:
        async with PeerClient(await life.address()) as student:
            with pytest.raises(PeerError):
                await student.unlearn(key=key, timeout_s=10)
        assert await life.death() == KILLED


@pytest.mark.parametrize(
    "point", ["HEAD has moved", "HEAD is known to have moved", "the end is being noted"]
)
async def test_a_student_that_is_killed_while_it_unlearns_has_unlearnt(town, point):
    view = await learns(town, await at(town, adder(town)), key="once")
    learnt = head_of(town)
    await forgets(town, "the new HEAD is written")
    assert head_of(town) == learnt
    assert (await ends(town, view.transfer))[0].state is TransferState.COMMITTED
    await forgets(town, point)
    forgotten = head_of(town)
    with Store(town.folder / "student" / "store", writable=False) as store:
        assert DOMAIN not in store.state(forgotten).skills
    for _ in range(2):
        assert (await ends(town, view.transfer))[0].state is TransferState.ROLLED_BACK
    assert head_of(town) == forgotten


async def perishes(town: Town, point: str) -> None:
    """A life of the student that ends at `point`, perhaps before it answers anybody."""
    async with Life(town.folder, TABLE, point) as life:
        assert await life.death() == KILLED, point


async def test_what_remains_is_aligned_anew_wherever_the_student_is_killed(town):
    both = [await at(town, teacher) for teacher in (adder(town), multiplier(town))]
    async with Life(town.folder, TABLE) as life, PeerClient(await life.address()) as student:
        view, _ = await ended(student, await student.learn(DOMAIN, teachers=both, timeout_s=10))
    assert view.state is TransferState.COMMITTED
    learnt = head_of(town)
    await forgets(town, "OFFERED", "multiplier")
    for point in ("AUTHENTICATED", "the new HEAD is written"):
        await perishes(town, point)
        assert head_of(town) == learnt, point
    await perishes(town, "HEAD has moved")
    clean = head_of(town)
    with Store(town.folder / "student" / "store", writable=False) as store:
        assert store.state(clean).skills == {}
    for point in ("a step was trained", "the CAL is kept", "the receipt is signed"):
        await perishes(town, point)
        assert head_of(town) == clean, point
    view, _ = await ends(town, newest(town).id)
    with Journal(town.folder / "student" / "journal.sqlite") as journal:
        states = [transfer.state for transfer in journal.transfers()]
    assert states == [TransferState.ROLLED_BACK, TransferState.COMMITTED]
    with Store(town.folder / "student" / "store", writable=False) as store:
        skill = store.state(head_of(town)).skills[DOMAIN]
    assert skill.signers == (town.signer("adder").key_id,)
    receipt = cards.receipt_from_bytes(view.receipt.payload)
    assert (receipt.packets, receipt.head_before) == (skill.lineage, clean)
    assert town.signer("multiplier").key_id in receipt.unlearnt
