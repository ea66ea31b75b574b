"""The broker agent: introduces agents, and keeps sealed packets that it never opens.

Nobody has to trust it: cards, packets and receipts are signed by their authors. Free of
torch. Agents and packets are forgotten when it stops; receipts are kept.

Owns: `BrokerAgent`, `BrokerServicer`.
Does not own: the registry's rules (m2kt.registry).
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final, final

from m2kt.digest import digest_of
from m2kt.disk import disk_errors, mapped
from m2kt.errors import BadSignatureError, ChunkError, IncompleteError, OversizeError, ProtocolError
from m2kt.identity import BROADCAST, AgentId, PacketId, Role
from m2kt.journal import Journal
from m2kt.registry import KeptPacket, Lease, PacketHeader, Registry, RegistryLimits, RegistryNews
from m2kt.signing import Envelope, verify_own
from m2kt.wire import cards
from m2kt.wire.v1 import broker_service_pb2 as pb

from .pacing import paced
from .parts import Chunk, kind_of, part_of
from .permissions import Deed, Permissions
from .registrations import header_from_wire, header_to_wire, news_to_wire
from .server import Context, Service
from .settings import Limits

Incoming = AsyncIterator[pb.PublishPacketRequest | Chunk]

CHECK_S: Final = 0.5
"""How often watchers look for leases that ran out, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerResources:
    """What a broker works with.

    Attributes:
        permissions: Who may ask it for what.
        limits: What it is ready to keep.
        pace: How slowly packets may come.
        folder: For payloads; what lies there from an earlier run is thrown away.
        journal: For receipts.
        clock: Unix time, seconds.
    """

    permissions: Permissions
    limits: RegistryLimits
    pace: Limits
    folder: Path
    journal: Journal
    clock: Callable[[], float]


@final
class BrokerAgent:
    """A broker. Make it on the event loop that it will live on."""

    def __init__(self, resources: BrokerResources) -> None:
        self._resources = resources
        self._registry = Registry(resources.limits, lambda: secrets.token_urlsafe(24))
        self._lengths: dict[str, tuple[int, ...]] = {}
        self._news = asyncio.Event()
        with disk_errors(f"use {resources.folder}"):
            resources.folder.mkdir(parents=True, exist_ok=True)
            for leftover in resources.folder.glob("*.payload"):
                leftover.unlink()

    @property
    def permissions(self) -> Permissions:
        """Who may ask it for what."""
        return self._resources.permissions

    def close(self) -> None:
        """Closes the journal."""
        self._resources.journal.close()

    def register(self, envelope: Envelope, lease_s: float) -> Lease:
        """Enters an agent by the card that it signed with its own key.

        Raises:
            TrustError: the card is not signed with the key on it.
            RequestError: the name belongs to another key.
        """
        card, sealed = cards.read_card(envelope), cards.envelope_to_bytes(envelope)
        now_s = self._resources.clock()
        lease = self._registry.register(card, sealed, lease_s=lease_s, now_s=now_s)
        self._news.set()
        return lease

    def renew(self, lease_id: str) -> Lease:
        """Prolongs a lease; see `Registry.renew`."""
        return self._registry.renew(lease_id, now_s=self._resources.clock())

    def find_teachers(self, domain: str) -> tuple[Envelope, ...]:
        """Cards of teachers, as they signed them, ordered by name."""
        leases = self._registry.find(domain, Role.TEACHER, now_s=self._resources.clock())
        return tuple(cards.envelope_from_bytes(lease.sealed_card) for lease in leases)

    async def publish(
        self, header: PacketHeader, manifest: Envelope, chunks: AsyncIterator[Chunk]
    ) -> PacketId:
        """Keeps a sealed packet as it comes.

        Raises:
            BadSignatureError: its id is not its manifest's, or a registered teacher of that
                name has another key.
            BusyError: there is no room.
            PacketError: its bytes are not as many as its header says, or not in order.
        """
        self._forget_expired()
        self._require_owner(header, manifest)
        self._registry.require_room(header, now_s=self._resources.clock())
        place = self._resources.folder / f"{header.packet_id.removeprefix('b3:')}.payload"
        beside = place.with_suffix(f".{secrets.token_hex(4)}.payload")
        try:
            lengths = await _written(beside, header, paced(chunks, self._resources.pace))
            beside.replace(place)
        finally:
            beside.unlink(missing_ok=True)
        self._lengths[place.name] = lengths
        kept = KeptPacket(header, cards.envelope_to_bytes(manifest), place.name)
        self._registry.publish(kept, now_s=self._resources.clock())
        return header.packet_id

    def packets_for(self, student: AgentId, domain: str) -> tuple[PacketHeader, ...]:
        """What a student may fetch, newest first."""
        return self._registry.packets_for(student, domain, now_s=self._resources.clock())

    def header(self, packet: PacketId) -> PacketHeader:
        """What is written on the outside of a packet.

        Raises:
            NotFoundError: it is not kept (any more).
        """
        return self._registry.fetch(packet, now_s=self._resources.clock()).header

    async def packet(
        self, packet: PacketId, *, from_chunk: int = 0
    ) -> AsyncIterator[Envelope | Chunk]:
        """A packet as it was left: its manifest, then its chunks.

        Raises:
            NotFoundError: it is not kept (any more).
        """
        kept = self._registry.fetch(packet, now_s=self._resources.clock())
        yield cards.envelope_from_bytes(kept.envelope)
        lengths = self._lengths[kept.payload_ref]
        path = self._resources.folder / kept.payload_ref
        starts = (0, *accumulate(lengths))
        payload = mapped(path)
        for index in range(from_chunk, len(lengths)):
            yield Chunk(index, payload[starts[index] : starts[index + 1]])

    def record_receipt(self, envelope: Envelope) -> None:
        """Keeps a receipt that is signed by the key that it names.

        Raises:
            TrustError: it is not.
            PacketError: it is no receipt.
        """
        signers = [signature.key_id for signature in envelope.signatures]
        if not signers:
            raise BadSignatureError("expected a signed receipt, found no signature; sign it")
        cards.receipt_from_bytes(verify_own(envelope, cards.RECEIPT_TYPE, signers[0]))
        raw = cards.envelope_to_bytes(envelope)
        self._resources.journal.record_receipt(raw, at_s=self._resources.clock())

    def receipts(self, teacher: str) -> tuple[Envelope, ...]:
        """Receipts about packets of `teacher`, or all if it is empty; oldest first."""
        found = [cards.envelope_from_bytes(raw) for raw in self._resources.journal.receipts()]
        return tuple(
            envelope
            for envelope in found
            if not teacher or teacher in cards.receipt_from_bytes(envelope.payload).teachers
        )

    async def watch(self, after: int) -> AsyncIterator[RegistryNews]:
        """Who came and who went after a revision, without end."""
        while True:
            news = self._news
            for item in self._registry.news_after(after, now_s=self._resources.clock()):
                after = item.revision
                yield item
            try:
                await asyncio.wait_for(news.wait(), CHECK_S)
            except TimeoutError:
                continue
            if news is self._news:  # the first who wakes makes the next bell
                self._news = asyncio.Event()

    def _require_owner(self, header: PacketHeader, manifest: Envelope) -> None:
        packet_id = PacketId(digest_of(manifest.payload))
        if header.packet_id != packet_id:
            raise BadSignatureError(
                f"expected packet {packet_id}, the digest of its manifest, found"
                f" {header.packet_id}; correct the header"
            )
        now_s = self._resources.clock()
        for lease in self._registry.find(header.domain, Role.TEACHER, now_s=now_s):
            if lease.card.agent == header.teacher:
                verify_own(manifest, manifest.payload_type, lease.card.key_id)

    def _forget_expired(self) -> None:
        for kept in self._registry.forget_expired(now_s=self._resources.clock()):
            self._lengths.pop(kept.payload_ref, None)
            (self._resources.folder / kept.payload_ref).unlink(missing_ok=True)


async def _written(
    path: Path, header: PacketHeader, chunks: AsyncIterator[Chunk]
) -> tuple[int, ...]:
    """Writes chunks to a file as they come; their lengths."""
    lengths: list[int] = []
    with disk_errors(f"write {path}"), path.open("wb") as file:
        async for chunk in chunks:
            if chunk.index != len(lengths) or not chunk.data:
                raise ChunkError(
                    f"expected chunk {len(lengths)} with bytes, found {chunk.index} with"
                    f" {len(chunk.data)}; send chunks in order"
                )
            lengths.append(len(chunk.data))
            if sum(lengths) > header.payload_bytes:
                raise OversizeError(
                    f"expected {header.payload_bytes} bytes as the header says, found more; correct"
                    " the header"
                )
            file.write(chunk.data)
    if sum(lengths) != header.payload_bytes:
        raise IncompleteError(
            f"expected {header.payload_bytes} bytes as the header says, found {sum(lengths)}; send"
            " all chunks"
        )
    return tuple(lengths)


@final
class BrokerServicer:
    """`m2kt.wire.v1.BrokerService` over a broker."""

    def __init__(self, agent: BrokerAgent) -> None:
        self._agent = agent

    async def Register(self, request: pb.RegisterRequest, context: Context) -> pb.RegisterResponse:
        caller = self._agent.permissions.admit(context, Deed.MEET)
        card = cards.envelope_from_wire(request.card)
        self._agent.permissions.require_own(caller, cards.read_card(card).agent)
        lease = self._agent.register(card, request.lease_s)
        return pb.RegisterResponse(lease_id=lease.id, granted_s=lease.granted_s)

    async def RenewLease(
        self, request: pb.RenewLeaseRequest, context: Context
    ) -> pb.RenewLeaseResponse:
        self._agent.permissions.admit(context, Deed.MEET)
        return pb.RenewLeaseResponse(granted_s=self._agent.renew(request.lease_id).granted_s)

    async def FindTeachers(
        self, request: pb.FindTeachersRequest, context: Context
    ) -> pb.FindTeachersResponse:
        self._agent.permissions.admit(context, Deed.LEARN, request.domain)
        found = self._agent.find_teachers(request.domain)
        return pb.FindTeachersResponse(cards=[cards.envelope_to_wire(card) for card in found])

    async def PublishPacket(
        self, request_iterator: Incoming, context: Context
    ) -> pb.PublishPacketResponse:
        header = header_from_wire((await _next(request_iterator, "header")).header)
        caller = self._agent.permissions.admit(context, Deed.PUBLISH, header.domain)
        self._agent.permissions.require_own(caller, header.teacher)
        manifest = cards.envelope_from_wire((await _next(request_iterator, "manifest")).manifest)
        packet = await self._agent.publish(header, manifest, _chunks(request_iterator))
        return pb.PublishPacketResponse(packet_id=packet)

    async def ListPackets(
        self, request: pb.ListPacketsRequest, context: Context
    ) -> pb.ListPacketsResponse:
        caller = self._agent.permissions.admit(context, Deed.LEARN, request.domain)
        self._agent.permissions.require_own(caller, AgentId(request.student))
        found = self._agent.packets_for(AgentId(request.student), request.domain)
        return pb.ListPacketsResponse(packets=[header_to_wire(header) for header in found])

    async def FetchPacket(
        self, request: pb.FetchPacketRequest, context: Context
    ) -> AsyncIterator[pb.FetchPacketResponse | Chunk]:
        packet = PacketId(request.packet_id)
        self._agent.permissions.admit(context, Deed.MEET)
        header = self._agent.header(packet)
        caller = self._agent.permissions.admit(context, Deed.LEARN, header.domain)
        if header.audience != BROADCAST:
            self._agent.permissions.require_own(caller, header.audience)
        async for part in self._agent.packet(packet, from_chunk=request.from_chunk):
            if isinstance(part, Chunk):
                yield part
            else:
                yield pb.FetchPacketResponse(manifest=cards.envelope_to_wire(part))

    async def RecordReceipt(
        self, request: pb.BrokerServiceRecordReceiptRequest, context: Context
    ) -> pb.BrokerServiceRecordReceiptResponse:
        self._agent.permissions.admit(context, Deed.MEET)
        self._agent.record_receipt(cards.envelope_from_wire(request.receipt))
        return pb.BrokerServiceRecordReceiptResponse()

    async def ListReceipts(
        self, request: pb.ListReceiptsRequest, context: Context
    ) -> pb.ListReceiptsResponse:
        self._agent.permissions.admit(context, Deed.RECEIPTS)
        found = self._agent.receipts(request.teacher)
        return pb.ListReceiptsResponse(receipts=[cards.envelope_to_wire(one) for one in found])

    async def WatchRegistry(
        self, request: pb.WatchRegistryRequest, context: Context
    ) -> AsyncIterator[pb.WatchRegistryResponse]:
        self._agent.permissions.admit(context, Deed.MEET)
        async for news in self._agent.watch(request.after_revision):
            yield news_to_wire(news)


def broker_service(agent: BrokerAgent) -> Service:
    """The service, ready to be served."""
    return Service(pb.DESCRIPTOR.services_by_name["BrokerService"], BrokerServicer(agent))


async def _next(requests: Incoming, wanted: str) -> pb.PublishPacketRequest:
    """The next request, which must be a `wanted`."""
    request = await anext(requests, None)
    if isinstance(request, pb.PublishPacketRequest) and kind_of(request) == wanted:
        return request
    raise ProtocolError(
        f"expected a {wanted}, found {kind_of(request)}; see PublishPacket in broker_service.proto"
    )


async def _chunks(requests: Incoming) -> AsyncIterator[Chunk]:
    async for request in requests:
        part = part_of(request, "the teacher")
        if isinstance(part, Envelope):
            raise ProtocolError("expected a chunk, found another manifest; send one manifest")
        yield part
