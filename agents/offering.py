"""Bringing a packet to a student that waits at an address: the teacher's side of OfferPacket.

Owns: `offer`, `Settlement`.
Does not own: sealing (teacher), the channel (channel).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, final

from grpc import aio

from m2kt.errors import ProtocolError
from m2kt.identity import AgentCard, TransferId
from m2kt.progress import Event
from m2kt.signing import Envelope
from m2kt.verdict import Verdict
from m2kt.wire import cards, verdicts
from m2kt.wire.v1 import student_service_pb2 as pb

from .channel import open_channel
from .errors import peer_errors
from .methods import dialled
from .parts import Chunk
from .settings import TlsFiles

Call = aio.StreamStreamCall[pb.OfferPacketRequest | Chunk, pb.OfferPacketResponse]

OFFER: Final = pb.DESCRIPTOR.services_by_name["StudentService"].methods_by_name["OfferPacket"]


@final
@dataclass(frozen=True, slots=True)
class Settlement:
    """How an offer ended.

    Attributes:
        transfer: Its id.
        verdict: The student's.
        receipt: The student's signed receipt, unchecked.
        events: What happened on the way.
    """

    transfer: TransferId
    verdict: Verdict
    receipt: Envelope
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a teacher brings.

    Attributes:
        teacher: Its card.
        domain: Name of the domain.
        offer_id: Equal for the same offer after a broken connection.
        manifest: Signs a manifest for the student that challenges with a nonce.
        chunks: The chunks from an index on.
    """

    teacher: AgentCard
    domain: str
    offer_id: str
    manifest: Callable[[AgentCard, bytes], Awaitable[Envelope]]
    chunks: Callable[[int], Iterable[Chunk]]


async def offer(
    address: str, brought: Offer, *, tls: TlsFiles | None = None, timeout_s: float
) -> Settlement:
    """Brings a packet and waits for the student's decision.

    Raises:
        M2KTError: what the student raised, or a `PeerError`.
    """
    channel = open_channel(address, tls=tls, own_connection=False)
    async with channel:
        call = dialled(channel, OFFER)(timeout=timeout_s)
        with peer_errors(address):
            return await _converse(call, brought)


async def _converse(call: Call, brought: Offer) -> Settlement:
    hello = pb.OfferHello(
        teacher=cards.card_to_wire(brought.teacher),
        domain=brought.domain,
        offer_id=brought.offer_id,
    )
    await _say(call, pb.OfferPacketRequest(hello=hello))
    challenge = (await _hear(call, "challenge")).challenge
    student = cards.card_from_wire(challenge.student)
    manifest = await brought.manifest(student, challenge.nonce)
    await _say(call, pb.OfferPacketRequest(manifest=cards.envelope_to_wire(manifest)))
    wanted = (await _hear(call, "wanted")).wanted
    chunks = brought.chunks(wanted.from_chunk)
    await _say_all(call, chunks)
    events: list[Event] = []
    while (part := await _hear(call, "event", "settlement")).WhichOneof("part") == "event":
        events.append(verdicts.event_from_wire(part.event))
    return Settlement(
        TransferId(wanted.transfer_id),
        verdicts.verdict_from_wire(part.settlement.verdict),
        cards.envelope_from_wire(part.settlement.receipt),
        tuple(events),
    )


async def _say(call: Call, request: pb.OfferPacketRequest) -> None:
    try:
        await call.write(request)
    except asyncio.InvalidStateError:  # the student has hung up: reading tells why
        await _hear(call)


async def _say_all(call: Call, chunks: Iterable[Chunk]) -> None:
    """Writes `chunks` and nothing more; stops where the student hangs up: reading tells why.

    grpcio puts INTERNAL in the place of the student's status if a write fails after that has
    come (grpc/grpc#36066): a write that is under way then is cancelled before it can fail.
    """

    async def write() -> None:
        with suppress(asyncio.InvalidStateError, aio.AioRpcError):
            for chunk in chunks:
                await call.write(chunk)
            await call.done_writing()

    writing = asyncio.create_task(write())

    def stop(_: object) -> None:
        writing.cancel()

    call.add_done_callback(stop)
    try:
        await asyncio.wait({writing})
    finally:
        writing.cancel()
    if not writing.cancelled():
        writing.result()


async def _hear(call: Call, *wanted: str) -> pb.OfferPacketResponse:
    """The student's next word, one of `wanted`; raises what the call ended with instead."""
    found = await call.read()
    kind = found.WhichOneof("part") if isinstance(found, pb.OfferPacketResponse) else "the end"
    if kind not in wanted or not isinstance(found, pb.OfferPacketResponse):
        raise ProtocolError(
            f"expected {' or '.join(wanted) or 'a reason'} from the student, found {kind}; both"
            " sides need one version in common"
        )
    return found
