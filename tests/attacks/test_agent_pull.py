"""Threat: a teacher that a student asks, and that lies, over real gRPC.

Each lie is refused with a reason of its own, before a byte of content is parsed, and
HEAD stays where it was.
"""

import time

import pytest

from m2kt.identity import AgentId
from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt.wire import cards
from m2kt.wire.v1 import teacher_service_pb2 as pb
from m2kt_agents.parts import chunk_to_wire
from tests import siege as lies
from tests.siege import REVOKED, Siege, reasons
from tests.simulator import HostileTeacher, taught

pytestmark = pytest.mark.asyncio(loop_scope="session")

BY_LIE = {
    "a bit flipped in the manifest": ({"spoil_envelope": lies.flip_manifest}, Reason.BAD_SIGNATURE),
    "a bit flipped in the signature": (
        {"spoil_envelope": lies.flip_signature},
        Reason.BAD_SIGNATURE,
    ),
    "no signature": ({"spoil_envelope": lies.unsigned}, Reason.UNKNOWN_KEY),
    "another type": ({"spoil_envelope": lies.other_type}, Reason.BAD_SIGNATURE),
    "expired": ({"issued_at_s": time.time() - 7200, "ttl_s": 60.0}, Reason.EXPIRED),
    "from the future": ({"issued_at_s": time.time() + 7200}, Reason.NOT_YET_VALID),
    "for somebody else": ({"audience": AgentId("another")}, Reason.WRONG_AUDIENCE),
    "another nonce": ({"nonce": b"x" * 32}, Reason.WRONG_NONCE),
    "no nonce": ({"nonce": b""}, Reason.WRONG_NONCE),
    "a bit flipped in a chunk": ({"spoil_chunk": lies.flip_chunk}, Reason.CHUNK_MISMATCH),
    "a longer chunk": ({"spoil_chunk": lies.long_chunk}, Reason.CHUNK_MISMATCH),
    "chunks under other numbers": ({"spoil_chunk": lies.other_index}, Reason.CHUNK_MISMATCH),
    "a shape bomb": ({"edit": lies.shape_bomb}, Reason.BAD_SHAPE),
    "oversize": ({"edit": lies.oversize}, Reason.OVERSIZE),
    "more digests than chunks": ({"edit": lies.many_chunks}, Reason.MALFORMED),
    "another domain": ({"edit": lies.other_domain}, Reason.PROTOCOL),
}


@pytest.mark.parametrize("lie", BY_LIE)
async def test_a_lie_is_refused_with_its_own_reason(siege: Siege, lie):
    knobs, reason = BY_LIE[lie]
    view = await siege.pulled(siege.teacher(**knobs))
    assert view.state is TransferState.REJECTED
    assert reasons(view) == (reason,)


async def test_a_key_that_nobody_enrolled_is_unknown(siege: Siege):
    view = await siege.pulled(siege.teacher(signer=lies.stranger()))
    assert reasons(view) == (Reason.UNKNOWN_KEY,)


async def test_the_right_key_in_another_name_is_refused(siege: Siege):
    honest = siege.teacher()
    other = HostileTeacher(AgentId("impostor"), honest.signer)
    assert reasons(await siege.pulled(other)) == (Reason.BAD_SIGNATURE,)


async def test_a_revoked_key_is_refused(siege: Siege):
    teacher = HostileTeacher(REVOKED, siege.town.signer(REVOKED))
    assert reasons(await siege.pulled(teacher)) == (Reason.REVOKED_KEY,)


async def test_a_whole_stream_that_is_played_again_is_refused(siege: Siege):
    honest = siege.teacher()
    envelope = honest.sealed(AgentId("student"), b"n" * 32)
    recorded = [pb.StreamPacketResponse(manifest=cards.envelope_to_wire(envelope))]
    recorded += [pb.StreamPacketResponse(chunk=chunk_to_wire(c)) for c in honest.chunks()]
    view = await siege.pulled(siege.teacher(replay=recorded))
    assert reasons(view) == (Reason.WRONG_NONCE,)


async def test_values_that_are_not_finite_are_refused_after_authentication(siege: Siege):
    view = await siege.pulled(siege.teacher(packet=lies.with_nan()))
    assert Reason.NOT_FINITE in reasons(view)


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
