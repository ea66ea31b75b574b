"""Threat: a packet at rest that is offered again: it is valid, addressed, timely, and old."""

import time

import pytest

from m2kt.identity import BROADCAST
from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt.registry import PacketHeader
from m2kt.wire.admission import packet_id_of
from m2kt_agents.broker_client import BrokerClient
from tests.siege import TEACHER, Siege, reasons, with_nan
from tests.simulator import DOMAIN, Town, ended

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def offered_by_broker(town: Town, siege: Siege, envelope, chunks):
    """Leaves the packet with a new broker, and lets the student fetch it from there."""
    broker = await town.start(f"broker-{time.monotonic_ns()}", {"role": "broker"})
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
    transfer = await siege.student.learn(DOMAIN, broker=broker.address, timeout_s=5)
    view, _ = await ended(siege.student, transfer)
    return view


async def test_a_packet_at_rest_is_considered_once_whoever_brings_it_again(siege: Siege):
    teacher = siege.teacher(packet=with_nan())
    envelope, chunks = teacher.sealed(BROADCAST, b""), teacher.chunks()
    before = await siege.witness()
    first = await offered_by_broker(siege.town, siege, envelope, chunks)
    assert Reason.NOT_FINITE in reasons(first)
    again = await offered_by_broker(siege.town, siege, envelope, chunks)
    assert reasons(again) == (Reason.REPLAYED,)
    assert again.state is TransferState.REJECTED
    assert await siege.witness() == before


async def test_a_packet_that_answered_a_challenge_is_no_packet_at_rest(siege: Siege):
    teacher = siege.teacher()
    envelope = teacher.sealed(BROADCAST, b"n" * 32)
    view = await offered_by_broker(siege.town, siege, envelope, teacher.chunks())
    assert reasons(view) == (Reason.WRONG_NONCE,)
