"""A broker introduces agents and keeps sealed packets; it need not be trusted."""

import asyncio
import time

import pytest

from m2kt import errors
from m2kt.identity import BROADCAST, AgentId, Role
from m2kt.meter import DataMeter
from m2kt.reasons import Reason
from m2kt.registry import PacketHeader, RegistryChange
from m2kt.signing import Ed25519Signer, sign_envelope
from m2kt.verdict import Receipt, Rejected
from m2kt.wire import cards
from m2kt.wire.admission import packet_id_of
from m2kt.wire.v1 import broker_service_pb2 as pb
from m2kt_agents.broker_client import BrokerClient
from m2kt_agents.errors import peer_errors
from m2kt_agents.membership import Membership
from m2kt_agents.parts import Chunk
from m2kt_agents.registrations import header_to_wire
from tests.simulator import DOMAIN, TEACHER, HostileTeacher, Town, until

BROKER = {"role": "broker"}


class Clock:
    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@pytest.fixture
async def clock():
    return Clock()


@pytest.fixture
async def broker(town: Town, clock: Clock):
    agent = await town.start("broker", BROKER, clock=clock)
    async with BrokerClient(agent.address) as client:
        yield client


def teacher_of(town: Town, name: str = "teacher") -> HostileTeacher:
    return HostileTeacher(AgentId(name), town.signer(name), chunk_bytes=2048)


def card_of(teacher: HostileTeacher):
    return cards.sign_card(teacher.card, teacher.signer)


def header_of(teacher: HostileTeacher, envelope, audience=BROADCAST, **changes) -> PacketHeader:
    fields = {
        "packet_id": packet_id_of(envelope.payload),
        "teacher": teacher.agent,
        "audience": audience,
        "domain": DOMAIN,
        "expires_at_s": time.time() + 600,
        "payload_bytes": len(teacher.encoded.payload),
    }
    return PacketHeader(**{**fields, **changes})


async def test_teachers_are_found_by_domain_while_their_lease_holds(town, broker, clock):
    teacher = teacher_of(town)
    lease, granted_s = await broker.register(card_of(teacher), lease_s=10.0, timeout_s=5)
    assert granted_s == 10.0
    assert await broker.find_teachers(DOMAIN, timeout_s=5) == (teacher.card,)
    assert await broker.find_teachers("arith.mod5", timeout_s=5) == ()
    clock.ahead_s = 8
    assert await broker.renew(lease, timeout_s=5) == 10.0
    clock.ahead_s = 16
    assert await broker.find_teachers(DOMAIN, timeout_s=5) == (teacher.card,)
    clock.ahead_s = 30
    assert await broker.find_teachers(DOMAIN, timeout_s=5) == ()
    with pytest.raises(errors.NotFoundError):
        await broker.renew(lease, timeout_s=5)


async def test_nobody_registers_with_a_card_that_its_key_did_not_sign(town, broker):
    teacher = teacher_of(town)
    forged = cards.sign_card(teacher.card, Ed25519Signer.generate())
    with pytest.raises(errors.BadSignatureError):
        await broker.register(forged, lease_s=10, timeout_s=5)
    other = HostileTeacher(teacher.agent, Ed25519Signer.generate())
    await broker.register(card_of(teacher), lease_s=10, timeout_s=5)
    with pytest.raises(errors.RequestError, match="key"):
        await broker.register(card_of(other), lease_s=10, timeout_s=5)


async def test_a_sealed_packet_comes_back_byte_for_byte_from_any_chunk_on(town, broker):
    teacher = teacher_of(town)
    envelope = teacher.sealed(AgentId("student"), b"")
    header = header_of(teacher, envelope, AgentId("student"))
    for _ in range(2):
        packet = await broker.publish(header, envelope, teacher.chunks(), timeout_s=5)
    assert packet == packet_id_of(envelope.payload)
    assert await broker.list_packets(DOMAIN, AgentId("student"), timeout_s=5) == (header,)
    assert await broker.list_packets(DOMAIN, AgentId("another"), timeout_s=5) == ()
    whole = [p async for p in broker.fetch_packet(packet, from_chunk=0, timeout_s=5)]
    rest = [p async for p in broker.fetch_packet(packet, from_chunk=2, timeout_s=5)]
    assert whole == [envelope, *teacher.chunks()]
    assert rest == [envelope, *teacher.chunks(2)]


async def test_an_expired_packet_is_gone_and_its_bytes_with_it(town, broker, clock):
    teacher = teacher_of(town)
    envelope = teacher.sealed(BROADCAST, b"")
    header = header_of(teacher, envelope)
    packet = await broker.publish(header, envelope, teacher.chunks(), timeout_s=5)
    clock.ahead_s = 1000
    with pytest.raises(errors.NotFoundError):
        await anext(broker.fetch_packet(packet, from_chunk=0, timeout_s=5))
    later = teacher.sealed(BROADCAST, b"later")
    fresh = header_of(teacher, later, expires_at_s=time.time() + 5000)
    await broker.publish(fresh, later, teacher.chunks(), timeout_s=5)
    assert len(list((town.folder / "broker" / "packets").glob("*.payload"))) == 1


async def test_a_packet_that_is_not_what_its_header_says_is_refused(town, broker):
    teacher = teacher_of(town)
    envelope, chunks = teacher.sealed(BROADCAST, b""), teacher.chunks()
    header = header_of(teacher, envelope)
    short = header_of(teacher, envelope, payload_bytes=100)
    other = header_of(teacher, envelope, packet_id=packet_id_of(b"other"))
    huge = header_of(teacher, envelope, payload_bytes=2**40)
    swapped = [chunks[1], chunks[0], *chunks[2:]]
    for wrong, sent, error in (
        (header, chunks[:-1], errors.IncompleteError),
        (header, swapped, errors.ChunkError),
        (header, [Chunk(0, b"")], errors.ChunkError),
        (short, chunks, errors.OversizeError),
        (huge, chunks, errors.OversizeError),
        (other, chunks, errors.BadSignatureError),
    ):
        with pytest.raises(error):
            await broker.publish(wrong, envelope, sent, timeout_s=5)
    assert list((town.folder / "broker" / "packets").iterdir()) == []


async def test_nobody_leaves_packets_in_the_name_of_a_teacher_that_is_there(town, broker):
    teacher = teacher_of(town)
    await broker.register(card_of(teacher), lease_s=60, timeout_s=5)
    thief = HostileTeacher(teacher.agent, Ed25519Signer.generate(), chunk_bytes=2048)
    envelope = thief.sealed(BROADCAST, b"")
    with pytest.raises(errors.BadSignatureError):
        await broker.publish(header_of(thief, envelope), envelope, thief.chunks(), timeout_s=5)
    honest = teacher.sealed(BROADCAST, b"")
    await broker.publish(header_of(teacher, honest), honest, teacher.chunks(), timeout_s=5)


async def test_parts_out_of_order_are_a_breach_of_the_protocol(broker, town):
    teacher = teacher_of(town)
    envelope = teacher.sealed(BROADCAST, b"")
    manifest = pb.PublishPacketRequest(manifest=cards.envelope_to_wire(envelope))
    header = pb.PublishPacketRequest(header=header_to_wire(header_of(teacher, envelope)))
    for said in ([], [manifest], [header], [header, manifest, manifest]):
        with pytest.raises(errors.ProtocolError), peer_errors("broker"):
            await broker._stub.PublishPacket(iter(said), timeout=5)


def receipt_by(signer: Ed25519Signer, transfer: str, *teachers: str):
    receipt = Receipt(
        transfer=transfer,
        student=AgentId("student"),
        domain=DOMAIN,
        packets=(),
        teachers=tuple(AgentId(t) for t in teachers),
        verdict=Rejected((Reason.NO_GAIN,)),
        head_before="b3:0",
        head_after="b3:0",
        meter=DataMeter(),
        probe_items=0,
        issued_at_s=1.0,
    )
    return cards.sign_receipt(receipt, signer)


async def test_receipts_are_kept_once_and_found_by_teacher_even_after_a_restart(town, clock):
    agent = await town.start("broker", BROKER, clock=clock)
    key = town.signer("student")
    one, two = receipt_by(key, "t1", "adder"), receipt_by(key, "t2", "adder", "multiplier")
    async with BrokerClient(agent.address) as broker:
        for receipt in (one, two, one):
            await broker.record_receipt(receipt, timeout_s=5)
        assert await broker.receipts(timeout_s=5) == (one, two)
        assert await broker.receipts(teacher="multiplier", timeout_s=5) == (two,)
    await town.stop(agent)
    again = await town.start("broker", BROKER, clock=clock)
    async with BrokerClient(again.address) as broker:
        assert await broker.receipts(timeout_s=5) == (one, two)


async def test_a_receipt_that_nobody_signed_is_refused(town, broker):
    receipt = receipt_by(town.signer("student"), "t1")
    unsigned = sign_envelope(receipt.payload_type, receipt.payload)
    junk = sign_envelope(cards.RECEIPT_TYPE, b"\xff\xff", town.signer("student"))
    for wrong, error in ((unsigned, errors.BadSignatureError), (junk, errors.PacketError)):
        with pytest.raises(error):
            await broker.record_receipt(wrong, timeout_s=5)


async def test_a_watcher_hears_who_comes_and_who_goes(town, broker, clock):
    news = broker.watch_registry(timeout_s=20)
    coming = asyncio.create_task(anext(news))
    await broker.register(card_of(teacher_of(town)), lease_s=10, timeout_s=5)
    came = await coming
    assert (came.revision, came.change, came.agent) == (1, RegistryChange.REGISTERED, "teacher")
    assert cards.read_card(cards.envelope_from_bytes(came.sealed_card)).role is Role.TEACHER
    clock.ahead_s = 60
    went = await anext(news)
    assert (went.revision, went.change) == (2, RegistryChange.EXPIRED)
    assert went.sealed_card == b""
    await news.aclose()
    async for item in broker.watch_registry(after=1, timeout_s=5):
        assert item == went
        break


async def first_found(broker: BrokerClient) -> AgentId:
    """The first teacher that the broker knows, as soon as it knows one."""
    async for news in broker.watch_registry(timeout_s=10):
        if news.change is RegistryChange.REGISTERED:
            [card] = await broker.find_teachers(DOMAIN, timeout_s=5)
            return card.agent
    raise AssertionError("a registry's news have no end")


async def test_an_agent_registers_renews_and_comes_back_when_the_broker_has_forgotten_it(town):
    first = await town.start("broker", BROKER)
    table = {**TEACHER, "broker": first.address, "limits": {"lease_s": 0.6}}
    teacher = await town.start("teacher", table)
    await asyncio.wait_for(teacher.membership.registered.wait(), 10)
    async with BrokerClient(first.address) as client:
        await asyncio.sleep(1.0)
        assert [c.agent for c in await client.find_teachers(DOMAIN, timeout_s=5)] == ["teacher"]
    await town.stop(first)
    again = await town.start("broker", {**BROKER, "listen": first.address})
    async with BrokerClient(again.address) as client:
        assert await first_found(client) == "teacher"


async def test_a_lease_that_ran_out_is_taken_anew(town, clock):
    agent = await town.start("broker", BROKER, clock=clock)
    teacher = teacher_of(town)
    member = Membership(agent.address, lambda: card_of(teacher), lease_s=0.3)
    async with BrokerClient(agent.address) as client:
        await asyncio.wait_for(member.registered.wait(), 5)
        clock.ahead_s = 3600
        assert await first_found(client) == "teacher"
    await member.close()
    await until(lambda: member._task.done())
