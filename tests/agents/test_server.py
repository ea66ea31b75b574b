"""What all servers have in common: one port each, deadlines, limits, drain, mutual TLS."""

import asyncio
import re
from pathlib import Path

import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from m2kt.errors import (
    DeadlineError,
    OversizeError,
    PeerUnavailableError,
    ProtocolError,
    RequestError,
)
from m2kt.identity import AgentId
from m2kt.wire.v1 import teacher_service_pb2 as pb
from m2kt_agents.channel import RETRIED
from m2kt_agents.client import PeerClient
from m2kt_agents.errors import peer_errors
from m2kt_agents.server import serve
from m2kt_agents.settings import Limits
from tests.packets import signer
from tests.simulator import DOMAIN, HostileTeacher

PROTO = Path(__file__).parent.parent.parent / "proto" / "m2kt" / "wire" / "v1"


class SlowTeacher(HostileTeacher):
    """Answers when it is let go, and sends chunks without end."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.asked_at = asyncio.Event()
        self.go_on = asyncio.Event()

    async def DescribeTeacher(self, request, context):
        self.asked_at.set()
        await self.go_on.wait()
        return await super().DescribeTeacher(request, context)

    async def StreamPacket(self, request, context):
        self.asked_at.set()
        while True:
            yield pb.StreamPacketResponse()
            await asyncio.sleep(0.01)


def honest() -> HostileTeacher:
    return HostileTeacher(AgentId("teacher"), signer())


@pytest.fixture
async def slow():
    teacher = SlowTeacher(AgentId("teacher"), signer())
    server = await serve([teacher.service], "127.0.0.1:0", limits=Limits(deadline_s=0.5))
    async with PeerClient(server.address) as peer:
        yield teacher, server, peer
    await server.drain(0)


async def test_two_servers_on_one_port_fail_loudly():
    first = await serve([honest().service], "127.0.0.1:0", limits=Limits())
    try:
        with pytest.raises(RequestError, match="free address"):
            await serve([honest().service], first.address, limits=Limits())
    finally:
        await first.drain(0)


async def test_an_address_that_is_none_is_refused():
    with pytest.raises(RequestError, match="listen"):
        await serve([honest().service], "127.0.0.1:none", limits=Limits())


async def test_a_deadline_is_required_of_unary_calls_and_of_streams(slow):
    _, _, peer = slow
    with pytest.raises(RequestError, match="deadline"), peer_errors("teacher"):
        await peer.teacher.DescribeTeacher(pb.DescribeTeacherRequest())
    call = peer.teacher.StreamPacket(pb.StreamPacketRequest())
    with pytest.raises(RequestError, match="deadline"), peer_errors("teacher"):
        await call.read()


async def test_a_call_that_takes_longer_than_the_server_allows_is_ended(slow):
    _, _, peer = slow
    with pytest.raises(DeadlineError, match="call again"):
        await peer.describe_teacher(timeout_s=60)


async def test_a_stream_that_goes_on_for_longer_than_the_server_allows_is_ended(slow):
    teacher, _, peer = slow
    stream = peer.teacher.StreamPacket(pb.StreamPacketRequest(), timeout=60)

    async def consume() -> None:
        with peer_errors("teacher"):
            async for _ in stream:
                pass

    with pytest.raises(DeadlineError, match="call again"):  # the server's words, not gRPC's own
        await consume()
    assert teacher.asked_at.is_set()


async def test_drain_lets_a_call_in_flight_end_and_refuses_new_ones():
    teacher = SlowTeacher(AgentId("teacher"), signer())
    server = await serve([teacher.service], "127.0.0.1:0", limits=Limits())
    async with PeerClient(server.address) as peer, PeerClient(server.address) as late:
        in_flight = asyncio.create_task(peer.describe_teacher(timeout_s=20))
        await teacher.asked_at.wait()
        draining = asyncio.create_task(server.drain(10.0))
        await asyncio.sleep(0.05)
        assert not await _healthy(late)
        with pytest.raises(PeerUnavailableError):
            await late.describe_teacher(timeout_s=5)
        teacher.go_on.set()
        assert (await in_flight).agent == "teacher"
        await draining
        await server.ended()


async def test_drain_tells_whoever_watches_its_health_before_it_stops():
    teacher = SlowTeacher(AgentId("teacher"), signer())
    server = await serve([teacher.service], "127.0.0.1:0", limits=Limits())
    async with PeerClient(server.address) as peer, aio.insecure_channel(server.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        in_flight = asyncio.create_task(peer.describe_teacher(timeout_s=20))
        await teacher.asked_at.wait()
        draining = asyncio.create_task(server.drain(10.0))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        teacher.go_on.set()
        await in_flight
        await draining


async def _healthy(peer: PeerClient) -> bool:
    try:
        return await peer.healthy(timeout_s=5)
    except PeerUnavailableError:
        return False


async def test_a_message_over_the_limit_is_refused():
    server = await serve([honest().service], "127.0.0.1:0", limits=Limits(message_bytes=1000))
    request = pb.StreamPacketRequest(nonce=b"x" * 5000)
    try:
        async with PeerClient(server.address) as peer:
            with pytest.raises(OversizeError), peer_errors("teacher"):
                await peer.teacher.StreamPacket(request, timeout=5).read()
    finally:
        await server.drain(0)


async def test_a_stream_without_a_part_is_a_breach_of_the_protocol(slow):
    _, _, peer = slow
    card = honest().card
    stream = peer.stream_packet(DOMAIN, card, b"n" * 16, from_chunk=0, timeout_s=5)
    with pytest.raises(ProtocolError, match="empty message"):
        await anext(stream)


def idempotent_unary_methods() -> set[tuple[str, str]]:
    """Methods whose comment in the proto files says Idempotent and which move no stream."""
    found = set()
    for path in PROTO.glob("*_service.proto"):
        text = path.read_text()
        service = re.search(r"^service (\w+)", text, re.MULTILINE)[1]
        for comment, name, asks, answers in re.findall(
            r"((?:  //.*\n)+)  rpc (\w+)\((.*?)\)\s*returns \((.*?)\)", text
        ):
            if "Idempotent" in comment and "stream" not in asks + answers:
                found.add((f"m2kt.wire.v1.{service}", name))
    return found


def test_the_methods_that_are_tried_again_are_those_that_the_proto_calls_idempotent():
    assert set(RETRIED) == idempotent_unary_methods()


class BusyTeacher(HostileTeacher):
    """Is not there for its first two callers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.calls = 0

    async def DescribeTeacher(self, request, context):
        self.calls += 1
        if self.calls <= 2:
            raise PeerUnavailableError("expected to be there, found myself away; call again")
        return await super().DescribeTeacher(request, context)


async def test_an_idempotent_call_is_tried_again_when_the_peer_was_not_there():
    teacher = BusyTeacher(AgentId("teacher"), signer())
    server = await serve([teacher.service], "127.0.0.1:0", limits=Limits())
    try:
        async with PeerClient(server.address) as peer:
            assert (await peer.describe_teacher(timeout_s=20)).agent == "teacher"
    finally:
        await server.drain(0)
    assert teacher.calls == 3
