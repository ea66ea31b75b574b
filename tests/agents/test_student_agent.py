"""A student's queue, its keys for requests, and what it does when it is stopped or restarted."""

import asyncio
import threading
import time
from dataclasses import replace

import pytest
import torch

from m2kt.errors import BusyError, RequestError
from m2kt.history import Skill, StudentState
from m2kt.identity import AgentId, KeyId, TransferId
from m2kt.journal import Journal, Transfer
from m2kt.progress import Progress, Report, TransferState
from m2kt.reasons import Reason
from m2kt.signing import Ed25519Signer
from m2kt.store import Store
from m2kt.transfer import Declined
from m2kt.trust import TrustStore
from m2kt.verdict import Rejected
from m2kt.wire import cards
from m2kt.wire.admission import packet_id_of
from m2kt_agents.broker_client import BrokerClient
from m2kt_agents.client import PeerClient
from m2kt_agents.hosting import ThreadHost
from m2kt_agents.launching import start_agent
from m2kt_agents.learner import Assignment
from m2kt_agents.orders import LearnOrder
from m2kt_agents.settings import settings_from
from tests.simulator import DOMAIN, STUDENT, HostileTeacher, Town, adder, ended, taught, until
from tests.workers import Eager, Stubborn

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
        store.packets.put(packet, cards.envelope_to_bytes(envelope), teacher.encoded.payload)
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


class Broken(Stubborn):
    """A worker with a fault."""

    def learn(self, assignment: Assignment, report: Report) -> Declined:
        raise ValueError("/home/secret")


async def test_a_fault_in_the_model_work_ends_the_transfer_and_its_text_stays_in_the_log(
    town: Town, caplog: pytest.LogCaptureFixture
):
    town.trust("student", "teacher")
    server = await town.serve(HostileTeacher(AgentId("teacher"), town.signer("teacher")).service)
    agent = await town.start("student", STUDENT, make_host=lambda _: ThreadHost(Broken))
    view, _ = await taught(town.peer(agent.address), server.address)
    assert view.state is TransferState.FAILED
    assert view.verdict.reasons == (Reason.INTERNAL,)
    assert "secret" not in str(view)
    assert "secret" in caplog.text


def without(key: KeyId):
    """A trust store that does not know a key any more; nobody has said a word against it."""

    def change(trust: TrustStore) -> TrustStore:
        enrolled = {name: its for name, its in trust.enrolled.items() if name != key}
        return replace(trust, version=trust.version + 1, enrolled=enrolled)

    return change


async def test_an_earlier_packet_whose_key_is_no_longer_trusted_is_left_out(town: Town):
    town.trust("student", "teacher", "earlier")
    earlier = HostileTeacher(AgentId("earlier"), town.signer("earlier"))
    kept = HostileTeacher(AgentId("teacher"), town.signer("teacher"))
    lineage = []
    with Store(town.folder / "student" / "store") as store:
        for teacher in (earlier, kept):
            envelope = teacher.sealed(AgentId("student"), b"n" * 32)
            lineage.append(packet_id_of(envelope.payload))
            raw = cards.envelope_to_bytes(envelope)
            store.packets.put(lineage[-1], raw, teacher.encoded.payload)
        cal = store.put_cal({"w": torch.zeros(1)}, {})
        skills = {DOMAIN: Skill(cal, tuple(lineage), ())}
        head = store.head()
        store.advance(
            StudentState(parent=head, transfer=None, at_s=1.0, note="", skills=skills),
            expected=head,
        )
    town.change_trust("student", without(town.signer("earlier").key_id))
    server = await town.serve(kept.service)
    worker = Stubborn()
    agent = await town.start("student", STUDENT, make_host=lambda _: ThreadHost(lambda: worker))
    view, events = await taught(town.peer(agent.address), server.address)
    assert view.verdict.reasons == (Reason.NO_GAIN,)
    [assignment] = worker.assignments
    assert assignment.payloads[0].packet_id == lineage[1]
    assert len(assignment.payloads) == 2
    assert assignment.current.digest == cal
    assert any(lineage[0] in event.message for event in events)


async def test_what_is_unlearnt_while_the_student_learns_on_it_does_not_come_back(town: Town):
    town.trust("student", "teacher")
    server = await town.serve(HostileTeacher(AgentId("teacher"), town.signer("teacher")).service)
    go_on = threading.Event()
    go_on.set()
    agent = await town.start(
        "student", STUDENT, make_host=lambda _: ThreadHost(lambda: Eager(go_on))
    )
    student = town.peer(agent.address)
    first, _ = await taught(student, server.address)
    assert first.state is TransferState.COMMITTED
    go_on.clear()
    second = await student.learn(DOMAIN, teachers=[server.address], timeout_s=5)
    await until(lambda: agent.agent.ledger.state(second) is TransferState.VERIFYING)
    [packet] = cards.receipt_from_bytes(first.receipt.payload).packets
    done = await student.unlearn(packet=packet, timeout_s=5)
    assert done.moved
    go_on.set()
    view, _ = await ended(student, second)
    assert view.state is TransferState.FAILED
    assert view.verdict.reasons == (Reason.STORAGE,)
    _, head = await student.describe_student(timeout_s=5)
    assert head == done.head
    assert head.skills == {}


async def test_strangers_that_a_broker_knows_are_not_dialled_and_friends_are(town: Town):
    broker = await town.start("broker", {"role": "broker"})
    town.trust("student", "friend")
    friend = HostileTeacher(AgentId("friend"), town.signer("friend"))
    stranger = HostileTeacher(AgentId("stranger"), town.signer("stranger"))
    async with BrokerClient(broker.address) as client:
        for teacher in (friend, stranger):
            server = await town.serve(teacher.service)
            card = replace(teacher.card, address=server.address)
            await client.register(cards.sign_card(card, teacher.signer), lease_s=60, timeout_s=5)
    agent = await town.start("student", STUDENT, make_host=lambda _: ThreadHost(Stubborn))
    student = town.peer(agent.address)
    transfer = await student.learn(DOMAIN, broker=broker.address, timeout_s=5)
    view, events = await ended(student, transfer)
    assert view.teachers == ("friend",)
    assert (len(friend.asked), len(stranger.asked)) == (1, 0)
    assert any("stranger: UNKNOWN_KEY" in event.message for event in events)


async def test_a_broker_that_is_not_there_does_not_keep_a_student_from_its_teachers(town: Town):
    town.trust("student", "teacher")
    server = await town.serve(HostileTeacher(AgentId("teacher"), town.signer("teacher")).service)
    agent = await town.start("student", STUDENT, make_host=lambda _: ThreadHost(Stubborn))
    view, events = await taught(town.peer(agent.address), server.address, broker=NOBODY)
    assert view.verdict.reasons == (Reason.NO_GAIN,)
    assert any(f"{NOBODY}: PEER_UNAVAILABLE" in event.message for event in events)


async def test_an_agent_without_a_key_makes_one_that_only_its_owner_can_read(tmp_path):
    table = {"name": "new", "role": "student", "data_dir": "new"}
    settings = settings_from(table, base=tmp_path, environ={})
    agent = await start_agent(settings, make_host=lambda _: ThreadHost(Stubborn))
    try:
        async with PeerClient(agent.address) as peer:
            card, _ = await peer.describe_student(timeout_s=5)
        assert settings.key_file.stat().st_mode & 0o777 == 0o600
        assert card.key_id == Ed25519Signer.load(settings.key_file).key_id
        assert DOMAIN in card.domains
    finally:
        await agent.drain(0)
