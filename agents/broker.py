"""The broker agent: introduces agents, and keeps sealed packets that it never opens.

Nobody has to trust it: cards, packets and receipts are signed by their authors. Free of
torch. Agents and packets are forgotten when it stops; receipts are kept.

Owns: `BrokerAgent`.
Does not own: the registry's rules (m2kt.registry), its gRPC service (broker_service).
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final, final

from m2kt.audit import AuditLog, Deed
from m2kt.digest import digest_of
from m2kt.disk import disk_errors, mapped
from m2kt.errors import BadSignatureError, ChunkError, IncompleteError, OversizeError
from m2kt.identity import AgentId, PacketId, Role
from m2kt.journal import Journal
from m2kt.registry import KeptPacket, Lease, PacketHeader, Registry, RegistryLimits, RegistryNews
from m2kt.signing import Envelope, verify_own
from m2kt.wire import cards

from .pacing import paced
from .parts import Chunk
from .permissions import Permissions
from .settings import Limits

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
        audit: What it did that matters to others.
        clock: Unix time, seconds.
    """

    permissions: Permissions
    limits: RegistryLimits
    pace: Limits
    folder: Path
    journal: Journal
    audit: AuditLog
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
        self._note(Deed.REGISTERED, agent=card.agent, key=card.key_id)
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
        self._note(Deed.PACKET_KEPT, packet=header.packet_id, teacher=header.teacher)
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
        self._note(Deed.PACKET_FETCHED, packet=packet, audience=kept.header.audience)
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
        if self._resources.journal.record_receipt(raw, at_s=self._resources.clock()):
            self._note(Deed.RECEIPT_KEPT, receipt=digest_of(raw), signer=signers[0])

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

    def _note(self, deed: Deed, **facts: str) -> None:
        self._resources.audit.note(deed, facts, at_s=self._resources.clock())

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
