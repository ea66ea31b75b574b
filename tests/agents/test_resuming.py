"""Streams that break off go on at the first chunk that is missing, pulled or pushed."""

import asyncio

import pytest
from grpc import aio

from m2kt.errors import IncompleteError
from m2kt.identity import AgentId
from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt.wire import cards, verdicts
from m2kt.wire.v1 import student_service_pb2 as pb
from m2kt_agents.errors import peer_errors
from m2kt_agents.faultbench.proxy import Fault, FaultProxy, Strike
from tests.packets import tiny_packet
from tests.siege import with_nan
from tests.simulator import (
    DOMAIN,
    STUDENT,
    HostileTeacher,
    Town,
    chunk_to_wire,
    ended,
    taught,
    until,
)


def packet_to_refuse(seed: int):
    """Another packet that screening refuses: a transfer of it is over at once."""
    packet = tiny_packet(teacher=AgentId("teacher"), seed=seed)
    packet.means[0, 0] = float("nan")
    return packet


async def student_of(town: Town, **limits):
    town.trust("student", "teacher")
    agent = await town.start("student", {**STUDENT, "limits": {"fetch_s": 20.0, **limits}})
    return agent, town.peer(agent.address)


def teacher_of(town: Town, **knobs) -> HostileTeacher:
    return HostileTeacher(
        AgentId("teacher"), town.signer("teacher"), packet=with_nan(), chunk_bytes=2048, **knobs
    )


async def test_a_pulled_stream_goes_on_at_the_first_missing_chunk(town: Town):
    _, student = await student_of(town)
    teacher = teacher_of(town, cut_after=2)
    server = await town.serve(teacher.service)
    view, _ = await taught(student, server.address)
    assert [request.from_chunk for request in teacher.asked] == [0, 2]
    assert Reason.NOT_FINITE in view.verdict.reasons


async def test_a_connection_that_died_in_silence_is_not_used_for_the_next_packet(town: Town):
    _, student = await student_of(town, stall_s=0.5)
    server = await town.serve(teacher_of(town).service)
    strikes = [Strike(Fault.BLACK_HOLE_DOWN, after=3000)]
    calm = Strike(Fault.RESET, after=1 << 40)
    async with FaultProxy(server.address, lambda: strikes.pop() if strikes else calm) as proxy:
        view, _ = await taught(student, proxy.address)
        assert view.verdict.reasons == (Reason.DEADLINE,)
        view, _ = await taught(student, proxy.address)
    assert Reason.NOT_FINITE in view.verdict.reasons


class ForgetfulTeacher(HostileTeacher):
    """Breaks off once, and has another packet when it is asked to go on."""

    async def StreamPacket(self, request, context):
        async for part in super().StreamPacket(request, context):
            yield part
        self.encoded = HostileTeacher(
            self.agent, self.signer, packet=packet_to_refuse(7), chunk_bytes=2048
        ).encoded


async def test_a_stream_that_goes_on_with_other_bytes_begins_again(town: Town):
    _, student = await student_of(town)
    teacher = ForgetfulTeacher(
        AgentId("teacher"),
        town.signer("teacher"),
        packet=with_nan(),
        chunk_bytes=2048,
        cut_after=2,
    )
    server = await town.serve(teacher.service)
    view, _ = await taught(student, server.address)
    assert [request.from_chunk for request in teacher.asked] == [0, 2, 0]
    assert Reason.NOT_FINITE in view.verdict.reasons


class Offering:
    """A teacher's side of OfferPacket, word by word."""

    def __init__(self, student, teacher: HostileTeacher) -> None:
        self.call = student.student.OfferPacket(timeout=30)
        self.teacher = teacher
        self.transfer = ""

    async def begin(self) -> int:
        """Up to the chunk that the student wants first."""
        hello = pb.OfferHello(
            teacher=cards.card_to_wire(self.teacher.card), domain=DOMAIN, offer_id="again"
        )
        await self.call.write(pb.OfferPacketRequest(hello=hello))
        challenge = (await self.call.read()).challenge
        envelope = self.teacher.sealed(AgentId(challenge.student.agent), challenge.nonce)
        message = cards.envelope_to_wire(envelope)
        await self.call.write(pb.OfferPacketRequest(manifest=message))
        wanted = (await self.call.read()).wanted
        self.transfer = wanted.transfer_id
        return wanted.from_chunk

    async def send(self, first: int, last: int | None = None) -> None:
        for chunk in self.teacher.chunks()[first:last]:
            await self.call.write(pb.OfferPacketRequest(chunk=chunk_to_wire(chunk)))

    async def end(self) -> pb.OfferSettlement:
        await self.call.done_writing()
        with peer_errors("student"):
            while (word := await self.call.read()) is not aio.EOF:
                if word.HasField("settlement"):
                    return word.settlement
        raise AssertionError("the student did not settle")


async def test_an_offer_that_was_cut_off_goes_on_and_is_settled_once(town: Town):
    _, student = await student_of(town)
    teacher = teacher_of(town)
    first = Offering(student, teacher)
    assert await first.begin() == 0
    await first.send(0, 2)
    with pytest.raises(IncompleteError):
        await first.end()
    again = Offering(student, teacher)
    assert await again.begin() == 2
    assert again.transfer == first.transfer
    await again.send(2)
    settlement = await again.end()
    assert Reason.NOT_FINITE in verdicts.verdict_from_wire(settlement.verdict).reasons
    told_again = Offering(student, teacher)
    assert await told_again.begin() == len(teacher.chunks())
    assert await told_again.end() == settlement


async def test_an_offer_whose_teacher_hangs_up_is_kept_for_a_while_and_then_given_up(town: Town):
    agent, student = await student_of(town, fetch_s=0.3)
    offering = Offering(student, teacher_of(town))
    await offering.begin()
    await offering.send(0, 1)
    offering.call.cancel()
    ledger = agent.agent.ledger
    await until(lambda: ledger.state(offering.transfer) is not TransferState.OFFERED)
    view, _ = await ended(student, offering.transfer)
    assert view.verdict.reasons == (Reason.INCOMPLETE,)
    assert not list((town.folder / "student" / "spool").iterdir())


async def test_an_open_offer_ends_when_the_student_is_started_again(town: Town):
    agent, student = await student_of(town)
    offering = Offering(student, teacher_of(town))
    await offering.begin()
    await offering.send(0, 1)
    await asyncio.sleep(0.05)
    await town.stop(agent)
    back = town.peer((await town.start("student", STUDENT)).address)
    view, _ = await ended(back, offering.transfer)
    assert view.state is TransferState.FAILED
    assert view.verdict.reasons == (Reason.INTERRUPTED,)


async def test_too_many_open_offers_are_refused(town: Town):
    _, student = await student_of(town, waiting=1)
    kept = Offering(student, teacher_of(town))
    await kept.begin()
    other = Offering(student, teacher_of(town))
    hello = pb.OfferHello(
        teacher=cards.card_to_wire(other.teacher.card), domain=DOMAIN, offer_id="another"
    )
    await other.call.write(pb.OfferPacketRequest(hello=hello))
    challenge = (await other.call.read()).challenge
    envelope = other.teacher.sealed(AgentId("student"), challenge.nonce)
    await other.call.write(pb.OfferPacketRequest(manifest=cards.envelope_to_wire(envelope)))
    with pytest.raises(aio.AioRpcError, match="open offers"):
        await other.call.read()
    kept.call.cancel()
