"""A student that collects packets from many teachers, some of them slow, dead or forged."""

import threading
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from m2kt.errors import RequestError
from m2kt.journal import Journal
from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt.wire import cards
from m2kt_agents.broker_client import BrokerClient
from m2kt_agents.hosting import ThreadHost
from tests.crowd import Dawdler, crowd, dawdler
from tests.simulator import DOMAIN, STUDENT, Town, ended, taught, until
from tests.workers import Eager, Stubborn

NOBODY = "127.0.0.1:1"


async def student_of(town: Town, **limits: float):
    table = {**STUDENT, "limits": {"fetch_s": 20.0, **limits}}
    agent = await town.start("student", table, make_host=lambda _: ThreadHost(Stubborn))
    return town.peer(agent.address)


async def registered(town: Town, *teachers: Dawdler) -> tuple[str, list[str]]:
    """A broker that knows of `teachers`; its address, and where they serve."""
    broker = await town.start("broker", {"role": "broker"})
    addresses = []
    async with BrokerClient(broker.address) as client:
        for teacher in teachers:
            server = await town.serve(teacher.service)
            addresses.append(server.address)
            card = cards.sign_card(replace(teacher.card, address=server.address), teacher.signer)
            await client.register(card, lease_s=60, timeout_s=5)
    return broker.address, addresses


@pytest.mark.parametrize(("own", "asked"), [(1, 2), (2, 1), (2, 0)])
async def test_a_request_raises_the_quorum_and_never_lowers_the_students_own(
    town: Town, own, asked
):
    student = await student_of(town, quorum=own)
    _, [address] = await crowd(town, 1)
    view, _ = await taught(student, address, NOBODY, quorum=asked)
    assert view.state is TransferState.FAILED
    assert "expected 2 authentic packets, found 1" in view.verdict.details[-1]


async def test_a_quorum_that_is_met_is_learnt_from(town: Town):
    student = await student_of(town)
    _, addresses = await crowd(town, 2)
    view, _ = await taught(student, *addresses, quorum=2)
    assert view.verdict.reasons == (Reason.NO_GAIN,)
    assert set(view.teachers) == {"t0", "t1"}


async def test_a_request_that_cannot_be_met_is_refused(town: Town):
    student = await student_of(town)
    with pytest.raises(RequestError, match="quorum of at most 1"):
        await student.learn(DOMAIN, teachers=[NOBODY], quorum=2, timeout_s=5)
    with pytest.raises(RequestError, match="collect_s"):
        await student.learn(DOMAIN, teachers=[NOBODY], collect_s=-1.0, timeout_s=5)


async def test_at_the_deadline_the_student_goes_on_with_what_has_come(town: Town):
    student = await student_of(town)
    _, fast = await crowd(town, 2)
    slow = await town.serve(dawdler(town, "slow", hold_before=1).service)
    view, events = await taught(student, *fast, slow.address, quorum=2, collect_s=2.0)
    assert set(view.teachers) == {"t0", "t1"}
    assert any(f"{slow.address}: DEADLINE: " in event.message for event in events)
    assert not list((town.folder / "student" / "spool").iterdir())


async def test_at_the_deadline_too_few_packets_end_the_transfer(town: Town):
    student = await student_of(town)
    slow = await town.serve(dawdler(town, "slow", hold_before=0).service)
    view, _ = await taught(student, slow.address, collect_s=0.3)
    assert view.state is TransferState.FAILED
    assert view.verdict.reasons == (Reason.DEADLINE,)


async def test_without_a_deadline_every_source_is_waited_for(town: Town):
    student = await student_of(town)
    [teacher], [address] = await crowd(town, 1, hold_before=1)
    _, [_, fast] = await crowd(town, 2)
    transfer = await student.learn(DOMAIN, teachers=[address, fast], timeout_s=5)
    await teacher.held.wait()
    teacher.go_on.set()
    view, _ = await ended(student, transfer)
    assert set(view.teachers) == {"t0", "t1"}


@dataclass
class Counted(Dawdler):
    """Waits until two are asked at the same time; remembers how many ever were."""

    now: list["Counted"] = None  # type: ignore[assignment]
    peaks: list[int] = None  # type: ignore[assignment]

    async def StreamPacket(self, request, context):  # noqa: N802 - the name in the proto
        self.now.append(self)
        self.peaks.append(len(self.now))
        await until(lambda: max(self.peaks) > 1)
        async for part in super().StreamPacket(request, context):
            yield part
        self.now.remove(self)


async def test_so_many_streams_as_the_settings_say_are_pulled_at_a_time(town: Town):
    student = await student_of(town, streams=2)
    now: list[Counted] = []
    peaks: list[int] = []
    addresses = []
    for i in range(6):
        honest = dawdler(town, f"t{i}", seed=i)
        teacher = Counted(honest.agent, honest.signer, packet=honest.packet, now=now, peaks=peaks)
        addresses.append((await town.serve(teacher.service)).address)
    view, _ = await taught(student, *addresses)
    assert len(view.teachers) == 6
    assert max(peaks) == 2


async def test_a_source_that_would_exceed_the_lesson_is_refused_before_its_chunks_come(town: Town):
    small, large = dawdler(town, "small"), dawdler(town, "large", hold_before=0, seed=1)
    limit = len(small.encoded.payload) + len(large.encoded.payload) - 1
    student = await student_of(town, streams=1, lesson_bytes=limit)
    addresses = [(await town.serve(teacher.service)).address for teacher in (small, large)]
    view, events = await taught(student, *addresses)
    assert view.teachers == ("small",)
    assert large.sent == []
    assert any(f"{addresses[1]}: OVERSIZE: " in event.message for event in events)


async def test_the_packets_of_the_present_skill_count_as_bytes_of_the_lesson(town: Town):
    teachers, addresses = await crowd(town, 2)
    limit = sum(len(teacher.encoded.payload) for teacher in teachers) - 1
    table = {**STUDENT, "limits": {"lesson_bytes": limit}}
    (go_on := threading.Event()).set()
    agent = await town.start("student", table, make_host=lambda _: ThreadHost(lambda: Eager(go_on)))
    student = town.peer(agent.address)
    first, _ = await taught(student, addresses[0])
    assert first.state is TransferState.COMMITTED
    second, _ = await taught(student, addresses[1])
    assert second.verdict.reasons == (Reason.OVERSIZE,)


async def test_one_event_says_of_every_source_what_became_of_it(town: Town):
    student = await student_of(town)
    _, [address] = await crowd(town, 1)
    stranger = dawdler(town, "stranger")
    town.change_trust("student", lambda trust: trust.revoke(stranger.signer.key_id, "stolen"))
    late = dawdler(town, "late")
    late.issued_at_s = 1.0
    slow = dawdler(town, "slow", hold_before=0)
    others = [(await town.serve(teacher.service)).address for teacher in (stranger, late, slow)]
    view, events = await taught(student, address, *others, NOBODY, collect_s=2.0)
    [packet] = cards.receipt_from_bytes(view.receipt.payload).packets
    [line] = [event.message for event in events if event.message.startswith("used 1 of 5 sources")]
    assert line.split(": ", 1)[1].split("; ") == [
        f"{address} (t0, packet {packet}) used",
        f"{others[0]} REVOKED_KEY",
        f"{others[1]} EXPIRED",
        f"{others[2]} DEADLINE",
        f"{NOBODY} PEER_UNAVAILABLE",
    ]


async def test_too_few_packets_are_told_of_as_not_used(town: Town):
    student = await student_of(town, quorum=2)
    _, [address] = await crowd(town, 1)
    _, events = await taught(student, address, NOBODY)
    [line] = [event.message for event in events if event.message.startswith("used 0 of 2 sources")]
    assert f"{address} (t0, packet b3:" in line
    assert "not used" in line


async def test_teachers_that_are_named_and_teachers_that_a_broker_knows_mix(town: Town):
    student = await student_of(town)
    _, [named] = await crowd(town, 1)
    broker, [found] = await registered(town, dawdler(town, "found", seed=9))
    view, events = await taught(student, named, broker=broker, quorum=2)
    assert set(view.teachers) == {"t0", "found"}
    assert any(named in event.message and found in event.message for event in events)


async def test_a_teacher_that_is_named_and_found_at_one_address_is_asked_once(town: Town):
    student = await student_of(town, quorum=2)
    teacher = dawdler(town, "both")
    broker, [address] = await registered(town, teacher)
    view, events = await taught(student, address, broker=broker)
    assert len(teacher.asked) == 1
    assert "expected 2 authentic packets, found 1" in view.verdict.details[-1]
    assert any(event.message.startswith("used 0 of 1 sources") for event in events)


async def test_one_teacher_at_two_addresses_counts_once(town: Town):
    student = await student_of(town)
    broker, [found] = await registered(town, dawdler(town, "both"))
    named = (await town.serve(dawdler(town, "both").service)).address
    view, _ = await taught(student, named, broker=broker, quorum=2)
    assert "expected 2 authentic packets, found 1" in view.verdict.details[-1]
    view, events = await taught(student, named, broker=broker)
    assert view.teachers == ("both",)
    receipt = cards.receipt_from_bytes(view.receipt.payload)
    assert len(receipt.packets) == 2
    [line] = [event.message for event in events if event.message.startswith("used 2 of 2 sources")]
    assert "used, a copy of packet b3:" in line
    assert found in line


async def test_a_student_that_is_stopped_while_it_collects_goes_on_when_it_is_started_again(
    town: Town,
):
    table = {**STUDENT, "limits": {"fetch_s": 20.0}}
    make_host = {"make_host": lambda _: ThreadHost(Stubborn)}
    agent = await town.start("student", table, **make_host)
    [teacher, other], addresses = await crowd(town, 2, hold_before=2)
    other.go_on.set()
    transfer = await town.peer(agent.address).learn(DOMAIN, teachers=addresses, timeout_s=5)
    journal = Journal(town.folder / "student" / "journal.sqlite")
    await until(lambda: teacher.held.is_set() and addresses[1] in journal.collected(transfer))
    await until(lambda: [part.stat().st_size for part in parts(town)] == [2048])
    await town.stop(agent)
    teacher.go_on.set()
    agent = await town.start("student", table, **make_host)
    view, _ = await ended(town.peer(agent.address), transfer)
    assert set(view.teachers) == {"t0", "t1"}
    assert teacher.streams[-1] == list(range(2, len(teacher.encoded.chunk_digests)))
    assert len(teacher.streams) == 2
    assert len(other.asked) == 1
    assert not parts(town)


def parts(town: Town) -> list[Path]:
    """The files of the student's spool that hold chunks."""
    return list((town.folder / "student" / "spool").glob("*.part"))
