"""The teacher agent: signs what it knows for each student who asks; and its gRPC service.

The payload is extracted, encoded and hashed once a domain; for each student only a new
manifest is signed.

Owns: `TeacherAgent` (a plain class that knows no Ray), `TeacherServicer`.
Does not own: extraction (m2kt.extract), model work (lecturer).
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Final, final

from m2kt.audit import Deed
from m2kt.disk import LocalDisk, disk_errors, put_whole
from m2kt.errors import RequestError, StoreError
from m2kt.identity import BROADCAST, AgentCard, AgentId, ModelCard, PacketId
from m2kt.registry import PacketHeader
from m2kt.signing import Envelope
from m2kt.transferability import ConceptSample
from m2kt.wire import cards, samples
from m2kt.wire.chunks import SealedPacket, SealHeader, seal
from m2kt.wire.packets import EncodedPayload
from m2kt.wire.v1 import teacher_service_pb2 as pb

from .broker_client import BrokerClient
from .lecturer import Lecture
from .offering import Offer, Settlement, offer
from .parts import Chunk, Lent
from .permissions import Permissions, Permit
from .resources import TeacherResources
from .server import Context, Service

logger = logging.getLogger(__name__)

NONCE_BYTES: Final = range(16, 65)


@final
class TeacherAgent:
    """A teacher. Make it on the event loop that it will live on."""

    def __init__(self, resources: TeacherResources, model: ModelCard) -> None:
        self._resources = resources
        self._model = model
        self._counting = asyncio.Lock()
        self._lecturing = asyncio.Lock()
        self._encoded: dict[str, EncodedPayload] = {}
        self.address = ""

    @property
    def card(self) -> AgentCard:
        """How it introduces itself."""
        return self._resources.credentials.card(self.address, self._model)

    @property
    def permissions(self) -> Permissions:
        """Who may ask it for what."""
        return self._resources.permissions

    async def close(self) -> None:
        """Stops model work."""
        await self._resources.host.close()
        self._resources.journal.close()

    async def sample(self, domain: str) -> ConceptSample:
        """A few of the concepts that a packet of `domain` would hold.

        Raises:
            RequestError: the domain is none of this teacher's.
            CompatibilityError: its concepts have one exemplar each.
        """
        self._require_mine(domain)
        sample: ConceptSample = await self._resources.host.call(
            "sample", domain, self._resources.clock()
        )
        return sample

    async def packet(
        self,
        domain: str,
        student: AgentCard,
        nonce: bytes,
        *,
        from_chunk: int = 0,
        node: str = "",
    ) -> AsyncIterator[Envelope | Chunk | Lent]:
        """The packet for one student: its manifest, then its chunks from `from_chunk` on.

        To a student of its own node it lends them, if there is room.

        Raises:
            RequestError: the domain is none of this teacher's, or the nonce has a wrong length.
        """
        if len(nonce) not in NONCE_BYTES:
            raise RequestError(
                f"expected a nonce of {NONCE_BYTES.start} to {NONCE_BYTES.stop - 1} bytes, found"
                f" {len(nonce)}; draw a new one for each exchange"
            )
        sealed = await self._sealed(domain, student.agent, nonce)
        yield sealed.envelope
        if await self._lends(sealed.encoded, node):
            yield Lent()
        else:
            for chunk in chunks_of(sealed, from_chunk):
                yield chunk
        logger.info("packet sent domain=%s student=%s from=%d", domain, student.agent, from_chunk)

    async def offer(
        self, student: str, domain: str, *, offer_id: str = "", timeout_s: float
    ) -> Settlement:
        """Brings its packet to a student at `student` and waits until it has decided.

        Args:
            student: Address, `host:port`.
            domain: Name of the domain.
            offer_id: Equal for the same offer after a broken connection; empty for a new one.
            timeout_s: For all of it.

        Raises:
            M2KTError: what the student raised, such as a TrustError.
        """
        sealed: list[SealedPacket] = []

        async def manifest(challenger: AgentCard, nonce: bytes) -> Envelope:
            sealed.append(await self._sealed(domain, challenger.agent, nonce))
            return sealed[0].envelope

        brought = Offer(
            teacher=self.card,
            domain=domain,
            offer_id=offer_id or secrets.token_hex(16),
            manifest=manifest,
            chunks=lambda first: chunks_of(sealed[0], first),
        )
        return await offer(student, brought, tls=self._resources.tls, timeout_s=timeout_s)

    async def publish(
        self, broker: str, domain: str, *, audience: AgentId = BROADCAST, timeout_s: float
    ) -> PacketId:
        """Leaves a sealed packet with a broker, for one student or for any."""
        sealed = await self._sealed(domain, audience, b"")
        async with BrokerClient(broker, tls=self._resources.tls) as client:
            return await client.publish(
                self._header(sealed, audience),
                sealed.envelope,
                chunks_of(sealed, 0),
                timeout_s=timeout_s,
            )

    def record_receipt(self, envelope: Envelope) -> None:
        """Keeps the receipt of a student whom it trusts.

        Raises:
            TrustError: it is not signed by one.
        """
        receipt = cards.verify_receipt(envelope, self._resources.credentials.trust)
        raw = cards.envelope_to_bytes(envelope)
        at_s = self._resources.clock()
        if self._resources.journal.record_receipt(raw, at_s=at_s):
            facts = {"transfer": receipt.transfer, "student": receipt.student}
            self._resources.audit.note(Deed.RECEIPT_KEPT, facts, at_s=at_s)
        logger.info(
            "receipt kept transfer=%s student=%s verdict=%s",
            receipt.transfer,
            receipt.student,
            type(receipt.verdict).__name__,
        )

    def receipts(self) -> tuple[Envelope, ...]:
        """All receipts, oldest first."""
        return tuple(cards.envelope_from_bytes(raw) for raw in self._resources.journal.receipts())

    async def _lends(self, encoded: EncodedPayload, node: str) -> bool:
        neighbours = self._resources.neighbours
        if neighbours is None or not node or node != neighbours.node:
            return False
        return await neighbours.lend(encoded.content_digest, encoded.payload)

    def _header(self, sealed: SealedPacket, audience: AgentId) -> PacketHeader:
        limits, now_s = self._resources.limits, self._resources.clock()
        return PacketHeader(
            packet_id=sealed.packet_id,
            teacher=self._resources.credentials.agent,
            audience=audience,
            domain=sealed.encoded.domain,
            expires_at_s=now_s + limits.packet_life_s,
            payload_bytes=len(sealed.encoded.payload),
        )

    async def _sealed(self, domain: str, audience: AgentId, nonce: bytes) -> SealedPacket:
        """The packet, signed for one student; model work only if it is the first time."""
        self._require_mine(domain)
        encoded = await self._encoded_for(domain)
        header = SealHeader(
            audience=audience,
            nonce=nonce,
            sequence=await self._next_sequence(),
            issued_at_s=self._resources.clock(),
            ttl_s=self._resources.limits.packet_life_s,
        )
        keys = self._resources.credentials
        sealed = seal(encoded, keys.signer, header, *keys.co_signers)
        facts = {"packet": sealed.packet_id, "audience": audience, "domain": domain}
        self._resources.audit.note(Deed.PACKET_SENT, facts, at_s=header.issued_at_s)
        return sealed

    async def _encoded_for(self, domain: str) -> EncodedPayload:
        """The payload for `domain`, one for all students; its bytes are not held in memory."""
        if domain in self._encoded:
            return self._encoded[domain]
        async with self._lecturing:
            if domain not in self._encoded:  # others may have asked meanwhile
                now_s = self._resources.clock()
                lecture: Lecture = await self._resources.host.call("lecture", domain, now_s)
                self._encoded[domain] = await self._with_bytes(lecture, domain, now_s)
        return self._encoded[domain]

    async def _with_bytes(self, lecture: Lecture, domain: str, now_s: float) -> EncodedPayload:
        """What the model's worker wrote; fetched, if it works on another machine."""
        try:
            return await asyncio.to_thread(lecture.encoded)
        except StoreError:
            payload: bytes = await self._resources.host.call("payload", domain, now_s)
            with disk_errors(f"use {lecture.file.parent}"):
                lecture.file.parent.mkdir(parents=True, exist_ok=True)
            await asyncio.to_thread(put_whole, LocalDisk(), lecture.file, [payload])
            return await asyncio.to_thread(lecture.encoded)

    def _require_mine(self, domain: str) -> None:
        mine = self._resources.credentials.domains
        if domain not in mine:
            raise RequestError(
                f"expected one of my domains {', '.join(mine)}, found {domain[:80]!r}; ask another"
                " teacher (FindTeachers at a broker)"
            )

    async def _next_sequence(self) -> int:
        """Counts manifests, across restarts."""
        path = self._resources.sequence_file
        async with self._counting:
            try:
                last = int(path.read_text()) if path.exists() else 0  # a few bytes
            except ValueError as error:
                raise StoreError(
                    f"expected a number in {path}, found something else; write the sequence of the"
                    " last manifest into it"
                ) from error
            await asyncio.to_thread(put_whole, LocalDisk(), path, [str(last + 1).encode()])
            return last + 1


def chunks_of(sealed: SealedPacket, first: int) -> Iterator[Chunk]:
    """The chunks of a packet from `first` on."""
    return (Chunk(index, data) for index, data in sealed.chunks(first))


@final
class TeacherServicer:
    """`m2kt.wire.v1.TeacherService` over a teacher."""

    def __init__(self, agent: TeacherAgent) -> None:
        self._agent = agent

    async def DescribeTeacher(
        self, request: pb.DescribeTeacherRequest, context: Context
    ) -> pb.DescribeTeacherResponse:
        self._agent.permissions.admit(context, Permit.MEET)
        return pb.DescribeTeacherResponse(teacher=cards.card_to_wire(self._agent.card))

    async def SampleConcepts(
        self, request: pb.SampleConceptsRequest, context: Context
    ) -> pb.SampleConceptsResponse:
        self._agent.permissions.admit(context, Permit.LEARN, request.domain)
        return samples.sample_to_wire(await self._agent.sample(request.domain))

    async def StreamPacket(
        self, request: pb.StreamPacketRequest, context: Context
    ) -> AsyncIterator[pb.StreamPacketResponse | Chunk]:
        caller = self._agent.permissions.admit(context, Permit.LEARN, request.domain)
        student = cards.card_from_wire(request.student)
        self._agent.permissions.require_own(caller, student.agent)
        parts = self._agent.packet(
            request.domain,
            student,
            request.nonce,
            from_chunk=request.from_chunk,
            node=request.node,
        )
        async for part in parts:
            if isinstance(part, Chunk):
                self._agent.permissions.require(Permit.LEARN, caller, request.domain)  # still?
                yield part
            elif isinstance(part, Lent):
                yield pb.StreamPacketResponse(lent=pb.Lent())
            else:
                yield pb.StreamPacketResponse(manifest=cards.envelope_to_wire(part))

    async def RecordReceipt(
        self, request: pb.TeacherServiceRecordReceiptRequest, context: Context
    ) -> pb.TeacherServiceRecordReceiptResponse:
        self._agent.permissions.admit(context, Permit.MEET)
        self._agent.record_receipt(cards.envelope_from_wire(request.receipt))
        return pb.TeacherServiceRecordReceiptResponse()


def teacher_service(agent: TeacherAgent) -> Service:
    """The service, ready to be served."""
    return Service(pb.DESCRIPTOR.services_by_name["TeacherService"], TeacherServicer(agent))
