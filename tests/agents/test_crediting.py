"""What a student remembers of its teachers, over real gRPC: who is credited, and who is not."""

import threading
import time
from dataclasses import replace

import pytest

from m2kt.consensus import Decision
from m2kt.identity import AgentId, TransferId
from m2kt.journal import Journal
from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt.reputation import ReputationRules, TrackRecord
from m2kt.track_records import TrackRecords
from m2kt_agents.hosting import ThreadHost
from tests.assembly import packet_by
from tests.packets import tiny_packet
from tests.pupils import receipt_of, school, started, teacher_of
from tests.siege import with_nan
from tests.simulator import DOMAIN, STUDENT, HostileTeacher, Town, ended, taught
from tests.workers import Stubborn


async def track_records(student):
    found = await student.teachers(timeout_s=5)
    return {its.teacher: (its.total.accepted, its.total.rejected) for its in found}


async def test_an_accepted_packet_is_credited_and_a_realignment_is_no_second_one(town: Town):
    its = await school(town)
    await its.learns(teacher_of(town, "a", 1), teacher_of(town, "b", 2))
    assert await track_records(its.student) == {"a": (0.5, 0), "b": (0.5, 0)}
    done = await its.student.unlearn(key=town.signer("b").key_id, timeout_s=5)
    await ended(its.student, done.realigning[0].transfer)
    await its.learns(teacher_of(town, "c", 3))
    assert await track_records(its.student) == {"a": (0.5, 0), "b": (0.5, 0), "c": (1, 0)}


async def test_a_bad_packet_is_held_against_its_own_teacher_alone(town: Town):
    town.trust("student", "teacher", "a", "b")
    bad = HostileTeacher(AgentId("teacher"), town.signer("teacher"), packet=with_nan())
    good = [teacher_of(town, "a", 1), teacher_of(town, "b", 2)]
    servers = [await town.serve(teacher.service) for teacher in (bad, *good)]
    agent = await town.start("student", STUDENT)
    student = town.peer(agent.address)
    view, _ = await taught(student, *[server.address for server in servers])
    assert view.state is TransferState.REJECTED
    assert Reason.NOT_FINITE not in view.verdict.reasons  # the lesson of the others went on
    assert set(view.teachers) == {"teacher", "a", "b"}
    assert await track_records(student) == {"teacher": (0, 1)}
    [its] = await student.teachers(timeout_s=5)
    assert its.score == pytest.approx(1 / 3, abs=0.01)
    assert abs(its.total.at_s - time.time()) < 3600


async def test_who_signs_in_anothers_name_does_not_hurt_that_name(town: Town):
    town.trust("student", "a", "b")
    frauds = [
        HostileTeacher(AgentId("a"), town.signer("stranger"), packet=with_nan()),
        HostileTeacher(AgentId("a"), town.signer("b"), packet=with_nan()),
        HostileTeacher(
            AgentId("a"),
            town.signer("a"),
            packet=with_nan(),
            spoil_envelope=lambda its: replace(its, payload=its.payload + b"x"),
        ),
    ]
    agent = await town.start("student", STUDENT)
    student = town.peer(agent.address)
    for fraud in frauds:
        server = await town.serve(fraud.service)
        view, _ = await taught(student, server.address)
        assert view.state is TransferState.REJECTED
    view, _ = await taught(student, "127.0.0.1:1")
    assert view.state is TransferState.FAILED
    assert await track_records(student) == {}


async def test_who_teaches_nothing_new_is_blamed_by_those_alone_who_knew_nothing(town: Town):
    town.trust("student", "a", "b")
    agent = await town.start("student", STUDENT, make_host=lambda _: ThreadHost(Stubborn))
    student = town.peer(agent.address)
    server = await town.serve(teacher_of(town, "a", 1).service)
    view, _ = await taught(student, server.address)
    assert view.verdict.reasons == (Reason.NO_GAIN,)
    assert await track_records(student) == {"a": (0, 1)}


async def test_a_packet_that_is_well_signed_and_cannot_be_read_is_held_against_its_teacher(
    town: Town,
):
    town.trust("student", "teacher")
    other = tiny_packet(teacher=AgentId("somebody-else"))
    liar = HostileTeacher(AgentId("teacher"), town.signer("teacher"))
    honest = liar.encoded
    liar.encoded = replace(
        HostileTeacher(AgentId("x"), town.signer("teacher"), packet=other).encoded,
        teacher=honest.teacher,
    )
    server = await town.serve(liar.service)
    student = town.peer((await town.start("student", STUDENT)).address)
    view, _ = await taught(student, server.address)
    assert (view.state, view.verdict.reasons) == (TransferState.REJECTED, (Reason.MALFORMED,))
    assert await track_records(student) == {"teacher": (0, 1)}


async def test_what_is_known_of_teachers_survives_a_restart(town: Town):
    its = await school(town)
    view, _ = await taught(its.student, await its.address(teacher_of(town, "a", 1)))
    assert receipt_of(view).teachers == ("a",)
    await town.stop(its.agent)
    its = await started(town, threading.Event())
    assert await track_records(its.student) == {"a": (1, 0)}
    assert DOMAIN in (await its.head()).skills


async def test_the_record_of_teachers_goes_into_the_next_lesson_by_organisation(town: Town):
    its = await school(town)
    keys = {name: town.signer(name).key_id for name in "abc"}
    town.change_trust(
        "student",
        lambda store: (
            store.enrol(keys["b"], AgentId("b"), "house")
            .enrol(keys["c"], AgentId("c"), "house")
            .enrol(town.signer("d").key_id, AgentId("d"), root=True)
        ),
    )
    await town.stop(its.agent)
    its = await started(town, its.go_on)
    await its.learns(teacher_of(town, "a", 1))
    await its.learns(teacher_of(town, "b", 2))
    await its.learns(teacher_of(town, "c", 3), teacher_of(town, "d", 4))
    first, second, third = (assignment.trust for assignment in its.worker.assignments)
    assert first == {"a": 0.5}
    assert second == pytest.approx({"a": 2 / 3, "house": 0.5}, abs=1e-3)
    house = (2 / 3 + 1 / 2) / 2
    assert third == pytest.approx({"a": 2 / 3, "house": house, "d": 1 + 2 / 3 + house}, abs=1e-3)


async def test_a_strategy_that_asks_for_records_follows_them_and_no_other_does(town: Town):
    town.trust("student", "a", "b")
    with Journal(town.folder / "student" / "journal.sqlite") as journal:
        record = {AgentId("a"): TrackRecord(accepted=8.0), AgentId("b"): TrackRecord(rejected=8.0)}
        track_records = TrackRecords(journal.database, ReputationRules())
        track_records.credit(TransferId("before"), record, at_s=time.time())
    packets = [HostileTeacher(AgentId(n), town.signer(n), packet=packet_by(n)) for n in "ab"]
    servers = [await town.serve(teacher.service) for teacher in packets]
    addresses = [server.address for server in servers]
    student = town.peer((await town.start("student", STUDENT)).address)
    shares = {}
    for strategy in ("reputation_weighted", "mean"):
        transfer = await student.learn(DOMAIN, teachers=addresses, strategy=strategy, timeout_s=5)
        view, _ = await ended(student, transfer)
        assert view.verdict.consensus.rule == strategy
        shares[strategy] = {
            voice.voter: voice.share
            for its in view.verdict.consensus.opinions
            if its.decision is Decision.AGGREGATE
            for voice in its.voices
        }
    assert shares["mean"]["a"] == pytest.approx(0.5, abs=0.05)
    assert shares["reputation_weighted"]["a"] == pytest.approx(0.9, abs=0.05)
