"""Threat: a teacher that dials a student and does not keep to the protocol.

The threats to what a packet says have files of their own.
"""

import pytest
from grpc import aio

from m2kt import errors
from m2kt.identity import AgentId
from m2kt.wire import cards
from m2kt.wire.v1 import student_service_pb2 as pb
from m2kt_agents.errors import peer_errors
from tests import siege as lies
from tests.siege import Siege
from tests.simulator import DOMAIN, HostileTeacher

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_nobody_offers_the_packet_of_another(siege: Siege):
    stranger = HostileTeacher(AgentId("stranger"), lies.stranger())
    with pytest.raises(errors.UnknownKeyError, match="sends"):
        await siege.pushed(siege.teacher(), card=stranger.card)


async def test_a_domain_that_is_none_of_the_students_is_refused_at_the_hello(siege: Siege):
    with pytest.raises(errors.RequestError, match="my domains"):
        await siege.pushed(siege.teacher(), domain="arith.mod5")
    with pytest.raises(errors.DomainError):
        await siege.pushed(siege.teacher(), domain="alchemy")


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
    teacher, before = siege.teacher(), await siege.witness()
    call = siege.student.student.OfferPacket(timeout=10)
    with pytest.raises((errors.ProtocolError, errors.IncompleteError)), peer_errors("student"):
        await converse(call, teacher, said)
    await siege.unchanged(before, sealed=False)


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
