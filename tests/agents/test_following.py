"""A student that learns as soon as enough has come, and takes what comes later by itself."""

import threading
from pathlib import Path

from m2kt.journal import Journal
from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt_agents.hosting import ThreadHost
from m2kt_agents.orders import order_from_json
from tests.crowd import crowd, dawdler
from tests.simulator import DOMAIN, STUDENT, Town, ended, taught, until
from tests.workers import Eager, Stubborn


def eager() -> Eager:
    (go_on := threading.Event()).set()
    return Eager(go_on)


async def student_of(town: Town, worker: Stubborn, **limits: float):
    table = {**STUDENT, "limits": {"fetch_s": 20.0, **limits}}
    agent = await town.start("student", table, make_host=lambda _: ThreadHost(lambda: worker))
    return agent, town.peer(agent.address)


async def early_and_late(town: Town):
    """Two teachers that send at once, and one that waits before its third chunk."""
    _, early = await crowd(town, 2)
    late = dawdler(town, "late", hold_before=2, seed=7)
    return early, late, (await town.serve(late.service)).address


def follow_up_of(town: Town, transfer: str) -> str:
    """The transfer that takes what comes late of another."""
    with Journal(town.folder / "student" / "journal.sqlite") as journal:
        [found] = [
            record.id
            for record in journal.transfers()
            if order_from_json(record.request.decode()).follows == transfer
        ]
    return found


def parts(town: Town) -> list[Path]:
    return list((town.folder / "student" / "spool").iterdir())


async def test_what_comes_after_the_quorum_is_learnt_from_in_a_transfer_of_its_own(town: Town):
    worker = eager()
    _, student = await student_of(town, worker)
    early, late, address = await early_and_late(town)
    first, events = await taught(student, *early, address, quorum=2, follow_up=True)
    assert (first.state, set(first.teachers)) == (TransferState.COMMITTED, {"t0", "t1"})
    name = follow_up_of(town, first.transfer)
    assert any(f"follow-up transfer {name}" in event.message for event in events)
    assert any(f"{address} later" in event.message for event in events)
    assert late.held.is_set()
    late.go_on.set()
    second, _ = await ended(student, name)
    assert (second.state, second.teachers) == (TransferState.COMMITTED, ("late",))
    assert [len(assignment.payloads) for assignment in worker.assignments] == [2, 3]
    assert len(late.asked) == 1
    assert parts(town) == []


async def test_the_key_of_an_order_names_its_first_transfer_and_no_second_follow_up(town: Town):
    _, student = await student_of(town, eager())
    early, late, address = await early_and_late(town)
    asked = {"teachers": [*early, address], "quorum": 2, "follow_up": True, "key": "once"}
    first = await student.learn(DOMAIN, timeout_s=5, **asked)
    await ended(student, first)
    assert await student.learn(DOMAIN, timeout_s=5, **asked) == first
    late.go_on.set()
    await ended(student, follow_up_of(town, first))


async def test_without_a_quorum_at_the_deadline_nothing_follows(town: Town):
    _, student = await student_of(town, eager())
    early, _, address = await early_and_late(town)
    view, events = await taught(student, *early, address, quorum=3, follow_up=True, collect_s=1.0)
    assert view.verdict.reasons == (Reason.DEADLINE,)
    assert not any("follow-up" in event.message for event in events)
    assert parts(town) == []


async def test_when_all_come_at_once_nothing_follows(town: Town):
    _, student = await student_of(town, eager())
    _, addresses = await crowd(town, 2)
    view, events = await taught(student, *addresses, quorum=2, follow_up=True)
    assert set(view.teachers) == {"t0", "t1"}
    assert not any("follow-up" in event.message for event in events)


async def test_what_never_comes_ends_the_follow_up(town: Town):
    _, student = await student_of(town, eager(), fetch_s=1.5)
    early, _, address = await early_and_late(town)
    first, _ = await taught(student, *early, address, quorum=2, follow_up=True)
    assert first.state is TransferState.COMMITTED
    second, _ = await ended(student, follow_up_of(town, first.transfer))
    assert second.state is TransferState.FAILED
    assert second.verdict.reasons == (Reason.DEADLINE,)
    assert parts(town) == []


async def test_a_copy_that_comes_late_is_not_learnt_from_again(town: Town):
    worker = eager()
    _, student = await student_of(town, worker)
    [_], [early] = await crowd(town, 1)
    copy = dawdler(town, "t0", hold_before=0)
    address = (await town.serve(copy.service)).address
    first, _ = await taught(student, early, address, follow_up=True)
    copy.go_on.set()
    second, _ = await ended(student, follow_up_of(town, first.transfer))
    assert second.verdict.reasons == (Reason.REPLAYED,)
    assert len(worker.assignments) == 1


async def test_what_the_first_lesson_declined_does_not_help_a_late_packet_to_a_quorum(town: Town):
    worker = Stubborn()
    _, student = await student_of(town, worker, quorum=2)
    early, late, address = await early_and_late(town)
    first, _ = await taught(student, *early, address, follow_up=True)
    assert first.verdict.reasons == (Reason.NO_GAIN,)
    late.go_on.set()
    second, _ = await ended(student, follow_up_of(town, first.transfer))
    assert "expected 2 authentic packets, found 1" in second.verdict.details[-1]
    assert len(worker.assignments) == 1


async def test_a_student_that_is_stopped_with_packets_on_their_way_takes_the_rest_later(town: Town):
    agent, student = await student_of(town, eager())
    early, late, address = await early_and_late(town)
    first, _ = await taught(student, *early, address, quorum=2, follow_up=True)
    await until(lambda: [p.stat().st_size for p in parts(town) if p.suffix == ".part"] == [2048])
    await town.stop(agent)
    late.go_on.set()
    agent, student = await student_of(town, worker := eager())
    second, _ = await ended(student, follow_up_of(town, first.transfer))
    assert (second.state, second.teachers) == (TransferState.COMMITTED, ("late",))
    assert late.streams[-1] == list(range(2, len(late.encoded.chunk_digests)))
    assert len(late.streams) == 2
    assert [len(assignment.payloads) for assignment in worker.assignments] == [3]
    assert parts(town) == []
