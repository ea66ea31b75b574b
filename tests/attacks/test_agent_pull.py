"""Threat: a teacher that a student asks, and that does not keep to the protocol.

The threats to what a packet says have files of their own. First of all, that the besieged
student would have learnt from the packet in which they are hidden.
"""

from dataclasses import replace

import pytest

from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt.wire.v1 import teacher_service_pb2 as pb
from tests.siege import TEACHER, Siege, reasons
from tests.simulator import STUDENT, chunk_to_wire, taught

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_without_a_lie_such_a_student_learns_from_the_same_teacher(siege: Siege):
    siege.town.trust("twin", TEACHER)
    twin = siege.town.peer((await siege.town.start("twin", STUDENT)).address)
    server = await siege.town.serve(siege.teacher().service)
    view, _ = await taught(twin, server.address)
    assert view.state is TransferState.COMMITTED


async def test_a_packet_of_another_domain_is_a_breach_of_the_protocol(siege: Siege):
    await siege.refuses(
        Reason.PROTOCOL, edit=lambda manifest: replace(manifest, domain="arith.mod5")
    )


async def test_a_chunk_before_the_manifest_is_a_breach_of_the_protocol(siege: Siege):
    chunk = pb.StreamPacketResponse(chunk=chunk_to_wire(siege.teacher().chunks()[0]))
    assert reasons(await siege.pulled(siege.teacher(replay=[chunk]))) == (Reason.PROTOCOL,)


async def test_a_stream_that_ends_too_soon_every_time_is_incomplete(siege: Siege):
    view = await siege.pulled(siege.teacher(replay=[]))
    assert reasons(view) == (Reason.INCOMPLETE,)


async def test_nobody_at_the_address_leaves_the_student_undecided(siege: Siege):
    before = await siege.witness()
    view, _ = await taught(siege.student, "127.0.0.1:1")
    assert view.state is TransferState.FAILED
    assert reasons(view) == (Reason.PEER_UNAVAILABLE,)
    assert await siege.witness() == before
