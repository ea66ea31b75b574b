"""Threat: a teacher that dials a student and lies: refused in the call, with its own reason."""

import time
from typing import Any

import pytest
from grpc import aio

from m2kt import errors
from m2kt.identity import AgentId
from m2kt.wire import cards
from m2kt.wire.v1 import student_service_pb2 as pb
from m2kt_agents.errors import peer_errors
from m2kt_agents.offering import Offer, offer
from tests import siege as lies
from tests.siege import REVOKED, Siege, with_nan
from tests.simulator import DOMAIN, HostileTeacher

pytestmark = pytest.mark.asyncio(loop_scope="session")

BY_LIE: dict[str, tuple[dict[str, Any], type[errors.M2KTError]]] = {
    "flipped manifest": ({"spoil_envelope": lies.flip_manifest}, errors.BadSignatureError),
    "no signature": ({"spoil_envelope": lies.unsigned}, errors.UnknownKeyError),
    "expired": ({"issued_at_s": time.time() - 7200, "ttl_s": 60.0}, errors.StalePacketError),
    "from the future": ({"issued_at_s": time.time() + 7200}, errors.FuturePacketError),
    "for somebody else": ({"audience": AgentId("another")}, errors.AudienceError),
    "another nonce": ({"nonce": b"x" * 32}, errors.NonceError),
    "flipped chunk": ({"spoil_chunk": lies.flip_chunk}, errors.ChunkError),
    "shape bomb": ({"edit": lies.shape_bomb}, errors.ShapeError),
    "oversize": ({"edit": lies.oversize}, errors.OversizeError),
    "another domain": ({"edit": lies.other_domain}, errors.ProtocolError),
}


async def pushed(siege: Siege, teacher: HostileTeacher, **changes: Any):
    async def manifest(student, nonce):
        return teacher.sealed(student.agent, nonce)

    brought = Offer(
        teacher=changes.get("card", teacher.card),
        domain=changes.get("domain", DOMAIN),
        offer_id=f"offer-{time.monotonic_ns()}",
        manifest=manifest,
        chunks=teacher.chunks,
    )
    return await offer(siege.agent.address, brought, timeout_s=20)


@pytest.mark.parametrize("lie", BY_LIE)
async def test_a_lie_is_refused_in_the_call_and_nothing_changes(siege: Siege, lie):
    knobs, error = BY_LIE[lie]
    before = await siege.witness()
    with pytest.raises(error) as caught:
        await pushed(siege, siege.teacher(**knobs))
    assert type(caught.value) is error
    assert await siege.witness() == before
    assert not list((siege.town.folder / "student" / "spool").iterdir())


async def test_an_unknown_and_a_revoked_key_are_told_apart(siege: Siege):
    with pytest.raises(errors.UnknownKeyError):
        await pushed(siege, siege.teacher(signer=lies.stranger()))
    with pytest.raises(errors.RevokedKeyError):
        await pushed(siege, HostileTeacher(REVOKED, siege.town.signer(REVOKED)))


async def test_nobody_offers_the_packet_of_another(siege: Siege):
    stranger = HostileTeacher(AgentId("stranger"), lies.stranger())
    with pytest.raises(errors.UnknownKeyError, match="offers"):
        await pushed(siege, siege.teacher(), card=stranger.card)


async def test_an_honest_packet_that_is_harmful_is_rejected_with_a_receipt(siege: Siege):
    settlement = await pushed(siege, siege.teacher(packet=with_nan()))
    receipt = cards.receipt_from_bytes(settlement.receipt.payload)
    assert receipt.verdict == settlement.verdict
    assert receipt.head_before == receipt.head_after


async def test_a_domain_that_is_none_of_the_students_is_refused_at_the_hello(siege: Siege):
    with pytest.raises(errors.RequestError, match="my domains"):
        await pushed(siege, siege.teacher(), domain="arith.mod5")
    with pytest.raises(errors.DomainError):
        await pushed(siege, siege.teacher(), domain="alchemy")


@pytest.mark.parametrize(
    "said",
    [
        [],
        [pb.OfferPacketRequest()],
        ["hello"],
        ["hello", "hello"],
        ["hello", "manifest", "manifest"],
    ],
    ids=["nothing", "empty", "hello only", "hello twice", "manifest twice"],
)
async def test_a_conversation_out_of_order_is_a_breach_of_the_protocol(siege: Siege, said):
    teacher = siege.teacher()
    call = siege.student.student.OfferPacket(timeout=10)
    with pytest.raises((errors.ProtocolError, errors.IncompleteError)), peer_errors("student"):
        await converse(call, teacher, said)


async def converse(call, teacher: HostileTeacher, said):
    nonce = b""
    for word in said:
        if word == "hello":
            hello = pb.OfferHello(
                teacher=cards.card_to_wire(teacher.card), domain=DOMAIN, offer_id="out of order"
            )
            word = pb.OfferPacketRequest(hello=hello)
        elif word == "manifest":
            envelope = teacher.sealed(AgentId("student"), nonce)
            word = pb.OfferPacketRequest(manifest=cards.envelope_to_wire(envelope))
        await call.write(word)
        if word.HasField("hello") and not nonce:
            nonce = (await call.read()).challenge.nonce
    await call.done_writing()
    while await call.read() is not aio.EOF:
        pass
