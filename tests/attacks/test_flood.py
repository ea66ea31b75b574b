"""Threat: a peer that opens calls as fast as it can, and cancels them."""

import asyncio

import pytest
from grpc import aio

from m2kt.errors import BusyError
from m2kt.wire.v1 import teacher_service_pb2 as pb
from m2kt.wire.v1.teacher_service_pb2_grpc import TeacherServiceStub
from m2kt_agents.certificates import Authority
from m2kt_agents.channel import open_channel
from m2kt_agents.client import PeerClient
from m2kt_agents.server import serve
from m2kt_agents.settings import Limits
from tests.packets import signer
from tests.simulator import AgentId, HostileTeacher

LIMITS = Limits(calls_per_s=20.0, calls_burst=40, calls_per_caller=8)


class Endless(HostileTeacher):
    """Keeps who asks for a packet waiting."""

    async def StreamPacket(self, request, context):  # noqa: N802 - the name in the proto
        await asyncio.Event().wait()
        yield


@pytest.fixture
async def town(tmp_path):
    """The address of a teacher behind mutual TLS, and certificates of two who call it."""
    authority = Authority(tmp_path)
    names = [AgentId(name) for name in ("teacher", "eve", "alice")]
    tls = [authority.issue(name, hosts=["127.0.0.1"]) for name in names]
    teacher = Endless(names[0], signer())
    server = await serve([teacher.service], "127.0.0.1:0", limits=LIMITS, tls=tls[0])
    yield server.address, *tls[1:]
    await server.drain(0)


async def test_who_floods_is_refused_and_others_are_answered(town):
    address, eves, alices = town
    async with PeerClient(address, tls=eves) as eve, PeerClient(address, tls=alices) as alice:
        flood = [eve.describe_teacher(timeout_s=10) for _ in range(300)]
        answered = asyncio.gather(*flood, return_exceptions=True)
        for _ in range(10):
            assert (await alice.describe_teacher(timeout_s=5)).agent == "teacher"
        found = await answered
    refused = [error for error in found if isinstance(error, BusyError)]
    assert len(refused) + sum(not isinstance(each, Exception) for each in found) == 300
    assert len(refused) >= 150
    assert "calls a second of one caller" in str(refused[-1])


async def test_calls_that_are_opened_and_cancelled_hold_nothing_for_long(town):
    address, eves, alices = town
    async with (
        open_channel(address, tls=eves, own_connection=True) as channel,
        PeerClient(address, tls=alices) as alice,
    ):
        stub = TeacherServiceStub(channel)
        for _ in range(20):
            calls = [stub.StreamPacket(pb.StreamPacketRequest(), timeout=60) for _ in range(100)]
            await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            assert (await alice.describe_teacher(timeout_s=5)).agent == "teacher"


async def test_only_so_many_streams_of_one_caller_are_open(town):
    address, eves, _ = town
    async with open_channel(address, tls=eves, own_connection=True) as channel:
        stub = TeacherServiceStub(channel)
        calls = [stub.StreamPacket(pb.StreamPacketRequest(), timeout=2) for _ in range(12)]
        codes = [await call.code() for call in calls]
    assert sum(code.name == "RESOURCE_EXHAUSTED" for code in codes) == 4
    assert isinstance(calls[0], aio.UnaryStreamCall)
