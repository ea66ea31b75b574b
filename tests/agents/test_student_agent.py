"""A student's queue, its keys for requests, and what it does when it is stopped or restarted."""

import asyncio
import time

import pytest

from m2kt.errors import BusyError, RequestError
from m2kt.identity import AgentId, TransferId
from m2kt.journal import Journal, Transfer
from m2kt.progress import Progress, TransferState
from m2kt.reasons import Reason
from m2kt.store import Store
from m2kt.verdict import Rejected
from m2kt.wire import cards
from m2kt.wire.admission import packet_id_of
from m2kt_agents.client import PeerClient
from m2kt_agents.orders import LearnOrder
from tests.simulator import DOMAIN, STUDENT, HostileTeacher, Town, adder, ended, taught, until

NOBODY = "127.0.0.1:1"


class PatientTeacher(HostileTeacher):
    """Says nothing until it is let go; then it sends nothing."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.go_on = asyncio.Event()

    async def StreamPacket(self, request, context):
        self.asked.append(request)
        await self.go_on.wait()
        for part in ():
            yield part


async def patient(town: Town) -> tuple[PatientTeacher, str]:
    town.trust("student", "teacher")
    teacher = PatientTeacher(AgentId("teacher"), town.signer("teacher"))
    server = await town.serve(teacher.service)
    return teacher, server.address


async def test_one_transfer_at_a_time_and_a_limit_to_those_who_wait(town: Town):
    teacher, address = await patient(town)
    table = {**STUDENT, "limits": {"waiting": 2, "fetch_s": 30.0}}
    student = town.peer((await town.start("student", table)).address)
    first = await student.learn(DOMAIN, teachers=[address], timeout_s=5)
    await until(lambda: len(teacher.asked) == 1)
    second = await student.learn(DOMAIN, teachers=[address], timeout_s=5)
    assert (await student.transfer(second, timeout_s=5)).state is TransferState.OFFERED
    with pytest.raises(BusyError, match="wait"):
        await student.learn(DOMAIN, teachers=[address], timeout_s=5)
    assert len(teacher.asked) == 1
    teacher.go_on.set()
    for transfer in (first, second):
        view, _ = await ended(student, transfer)
        assert view.verdict.reasons == (Reason.INCOMPLETE,)


async def test_an_equal_key_names_the_same_transfer_and_no_other_order(town: Town):
    student = town.peer((await town.start("student", STUDENT)).address)
    first = await student.learn(DOMAIN, teachers=[NOBODY], key="once", timeout_s=5)
    await ended(student, first)
    assert await student.learn(DOMAIN, teachers=[NOBODY], key="once", timeout_s=5) == first
    with pytest.raises(RequestError, match="key"):
        await student.learn(DOMAIN, teachers=["127.0.0.1:2"], key="once", timeout_s=5)


async def test_too_few_authentic_packets_end_a_transfer_that_wants_more(town: Town):
    town.trust("student", "teacher")
    teacher = HostileTeacher(AgentId("teacher"), town.signer("teacher"))
    server = await town.serve(teacher.service)
    table = {**STUDENT, "limits": {"quorum": 2}}
    student = town.peer((await town.start("student", table)).address)
    view, _ = await taught(student, server.address, NOBODY)
    assert view.state is TransferState.FAILED
    assert view.verdict.reasons == (Reason.PEER_UNAVAILABLE,)
    assert "expected 2 authentic packets, found 1" in view.verdict.details[-1]


async def test_a_student_that_is_stopped_while_it_learns_goes_on_where_it_is_started_again(
    town: Town,
):
    town.trust("student", "adder")
    server = await town.serve(adder(town).service)
    agent = await town.start("student", STUDENT)
    student = town.peer(agent.address)
    transfer = await student.learn(DOMAIN, teachers=[server.address], timeout_s=5)
    watching = asyncio.create_task(watched(student, transfer))
    await until(lambda: agent.agent.ledger.state(transfer) is TransferState.ALIGNING, timeout_s=60)
    with pytest.raises(BusyError, match="learning"):
        await student.answer(DOMAIN, ["1+1"], timeout_s=5)
    await town.stop(agent)
    await town.start("student", {**STUDENT, "listen": agent.address})
    events = await watching
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert events[-1].state is TransferState.COMMITTED
    assert any("interrupted" in event.message for event in events)


async def watched(student: PeerClient, transfer: TransferId):
    return [event async for event in student.watch(transfer, timeout_s=100)]


def sealed_transfer(town: Town, teacher: HostileTeacher) -> TransferId:
    """What a student leaves that stopped when a packet was sealed."""
    folder = town.folder / "student"
    envelope = teacher.sealed(AgentId("student"), b"n" * 32)
    packet = packet_id_of(envelope.payload)
    with Store(folder / "store") as store:
        store.put_packet(packet, cards.envelope_to_bytes(envelope), teacher.encoded.payload)
    order = LearnOrder(domain=DOMAIN, key="left", teachers=(NOBODY,))
    with Journal(folder / "journal.sqlite") as journal:
        transfer = Transfer(
            id=TransferId("left"),
            domain=DOMAIN,
            request=order.to_json().encode(),
            state=TransferState.OFFERED,
            created_at_s=1.0,
            updated_at_s=1.0,
        )
        journal.begin(transfer, idempotency_key="left")
        news = Progress("sealed", {}, TransferState.AUTHENTICATED)
        journal.record(transfer.id, news, at_s=1.0, packets=[packet])
    return transfer.id


async def test_sealed_packets_are_held_against_the_trust_of_today_not_their_expiry(town: Town):
    town.trust("student", "teacher")
    expired = HostileTeacher(AgentId("teacher"), town.signer("teacher"), issued_at_s=1000.0)
    transfer = sealed_transfer(town, expired)
    key = town.signer("teacher").key_id
    town.change_trust("student", lambda trust: trust.revoke(key, "stolen meanwhile"))
    student = town.peer((await town.start("student", STUDENT)).address)
    view, _ = await ended(student, transfer)
    assert view.state is TransferState.REJECTED
    assert isinstance(view.verdict, Rejected)
    assert view.verdict.reasons == (Reason.REVOKED_KEY,)


async def test_a_fault_of_the_student_itself_ends_the_transfer_without_a_word_of_its_inside(
    town: Town, caplog: pytest.LogCaptureFixture
):
    town.trust("student", "teacher")
    packet = HostileTeacher(AgentId("teacher"), town.signer("teacher"))
    transfer = sealed_transfer(town, packet)
    for sealed in (town.folder / "student" / "store" / "packets").glob("*.payload"):
        sealed.write_bytes(b"rotten")
    student = town.peer((await town.start("student", STUDENT)).address)
    view, _ = await ended(student, transfer)
    assert view.state is TransferState.FAILED
    assert view.verdict.reasons == (Reason.STORAGE,)


async def test_a_clock_that_is_late_makes_every_packet_come_from_the_future(town: Town):
    town.trust("student", "teacher")
    server = await town.serve(HostileTeacher(AgentId("teacher"), town.signer("teacher")).service)
    agent = await town.start("student", STUDENT, clock=lambda: time.time() - 3600)
    view, events = await taught(town.peer(agent.address), server.address)
    assert view.verdict.reasons == (Reason.NOT_YET_VALID,)
    assert events[0].at_s < time.time() - 3000
