"""Threat: a packet that was accepted once is offered again, to be learnt twice."""

import itertools
import time
from dataclasses import replace
from pathlib import Path

import pytest
from packets import trusting
from sealing import Student, refused, sealed, signer

from m2kt.identity import BROADCAST, AgentId
from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt.registry import PacketHeader
from m2kt.signing import Envelope, sign_envelope
from m2kt.wire import cards
from m2kt.wire.admission import packet_id_of
from m2kt.wire.manifest import MANIFEST_TYPE
from m2kt.wire.v1 import teacher_service_pb2 as pb
from m2kt_agents.broker_client import BrokerClient
from m2kt_agents.parts import Chunk
from m2kt_agents.views import TransferView
from tests.siege import TEACHER, Siege, over_grpc, reasons, with_nan
from tests.simulator import DOMAIN, STUDENT, Town, chunk_to_wire, ended

SEEN = frozenset({sealed().packet_id})
brokers = itertools.count()


def test_a_packet_that_was_seen_is_refused():
    with refused(Reason.REPLAYED):
        Student(seen=SEEN).admits(sealed().envelope)


def test_more_signatures_make_it_no_other_packet():
    student = Student(trust=trusting(signer(1), signer(2)), seen=SEEN)
    twice = sign_envelope(MANIFEST_TYPE, sealed().envelope.payload, signer(2), signer(1))
    with refused(Reason.REPLAYED):
        student.admits(twice)


def test_unsigned_additions_make_it_no_other_packet():
    envelope = sealed().envelope
    doubled = replace(envelope, signatures=envelope.signatures * 2)
    with refused(Reason.REPLAYED):
        Student(seen=SEEN).admits(doubled)


async def left_with_a_broker(siege: Siege, envelope: Envelope, chunks: list[Chunk]) -> str:
    """The address of a new broker that keeps this packet and no other."""
    broker = await siege.town.start(f"broker-{next(brokers)}", {"role": "broker"})
    header = PacketHeader(
        packet_id=packet_id_of(envelope.payload),
        teacher=TEACHER,
        audience=BROADCAST,
        domain=DOMAIN,
        expires_at_s=time.time() + 600,
        payload_bytes=sum(len(chunk.data) for chunk in chunks),
    )
    async with BrokerClient(broker.address) as client:
        await client.publish(header, envelope, chunks, timeout_s=10)
    return broker.address


async def fetched(siege: Siege, broker: str) -> TransferView:
    transfer = await siege.student.learn(DOMAIN, broker=broker, timeout_s=5)
    return (await ended(siege.student, transfer))[0]


async def refused_again(siege: Siege, envelope: Envelope, chunks: list[Chunk]) -> None:
    """Another broker brings the packet, and the student is as it was."""
    broker, before = await left_with_a_broker(siege, envelope, chunks), await siege.witness()
    again = await fetched(siege, broker)
    assert reasons(again) == (Reason.REPLAYED,)
    assert siege.journal()[again.transfer] == TransferState.REJECTED
    await siege.unchanged(before, sealed=False)


@pytest.mark.slow
async def test_over_grpc_a_packet_that_was_learnt_is_not_learnt_again(tmp_path: Path):
    async with Town(tmp_path) as town:
        siege = await Siege.laid(town)
        teacher = siege.teacher()
        envelope, chunks = teacher.sealed(BROADCAST, b""), teacher.chunks()
        first = await fetched(siege, await left_with_a_broker(siege, envelope, chunks))
        assert first.state is TransferState.COMMITTED
        await refused_again(siege, envelope, chunks)
        await town.stop(siege.agent)
        agent = await town.start("student", STUDENT)
        await refused_again(Siege(town, agent, town.peer(agent.address)), envelope, chunks)


@over_grpc
async def test_over_grpc_a_packet_that_was_declined_is_not_considered_again(siege: Siege):
    teacher = siege.teacher(packet=with_nan())
    envelope, chunks = teacher.sealed(BROADCAST, b""), teacher.chunks()
    first = await fetched(siege, await left_with_a_broker(siege, envelope, chunks))
    assert reasons(first) == (Reason.NOT_FINITE,)
    await refused_again(siege, envelope, chunks)


@over_grpc
async def test_over_grpc_a_whole_stream_that_is_played_again_is_refused(siege: Siege):
    honest = siege.teacher()
    envelope = honest.sealed(AgentId("student"), b"n" * 32)
    recorded = [pb.StreamPacketResponse(manifest=cards.envelope_to_wire(envelope))]
    recorded += [pb.StreamPacketResponse(chunk=chunk_to_wire(c)) for c in honest.chunks()]
    view = await siege.pulled(siege.teacher(replay=recorded))
    assert reasons(view) == (Reason.WRONG_NONCE,)


@over_grpc
async def test_over_grpc_a_packet_that_answered_a_challenge_is_no_packet_at_rest(siege: Siege):
    teacher, before = siege.teacher(), await siege.witness()
    envelope = teacher.sealed(BROADCAST, b"n" * 32)
    view = await fetched(siege, await left_with_a_broker(siege, envelope, teacher.chunks()))
    assert reasons(view) == (Reason.WRONG_NONCE,)
    await siege.unchanged(before, sealed=False)
