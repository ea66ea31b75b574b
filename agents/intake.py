"""One packet's way in: from parts that anybody may have sent to a sealed `AuthenticPayload`.

Owns: `Intake`, and `reopened`, which proves a sealed packet again.
Does not own: where the parts come from (fetching, offers), what they say (m2kt.wire.packets).
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import final

from m2kt.audit import Deed
from m2kt.disk import disk_errors
from m2kt.errors import (
    IncompleteError,
    PacketError,
    ProtocolError,
    ReplayedPacketError,
    TrustError,
    UnknownKeyError,
)
from m2kt.identity import AgentId, PacketId
from m2kt.packet import AuthenticPayload
from m2kt.signing import Envelope, verify_envelope
from m2kt.trust import TrustStore
from m2kt.wire import cards
from m2kt.wire.admission import AdmittedManifest, Expectations, admit
from m2kt.wire.chunks import Assembly, authenticate
from m2kt.wire.manifest import MANIFEST_TYPE, WireLimits, parse_manifest

from .neighbours import Neighbours
from .overlap import overlapped
from .parts import Chunk, Lent
from .permissions import Permit
from .resources import StudentResources
from .spool import Slot


@final
class Intake:
    """Takes in one packet, part by part. With a slot, it goes on with what an earlier one left."""

    def __init__(
        self,
        resources: StudentResources,
        domain: str,
        nonce: bytes,
        slot: Slot | None = None,
        *,
        teacher: AgentId | None = None,
    ) -> None:
        """Expects nothing yet.

        Args:
            resources: The student's.
            domain: What the packet is to be about.
            nonce: What the manifest has to repeat; empty for a packet at rest.
            slot: Its share of a collection; without one, nothing outlives this process.
            teacher: Who has to have signed it, if that is known.

        Raises:
            StoreError: the spool cannot be read or written.
        """
        self._slot = slot
        self._resources = resources
        self._domain = domain
        self._nonce = nonce
        self._teacher = teacher
        self._trust: TrustStore | None = None
        spool = resources.spool
        self._part = spool.part(slot.transfer, slot.source) if slot else spool.unnamed()
        self._promise = self._part.with_suffix(".manifest")
        self._envelope: Envelope | None = None
        self._assembly = self._left()

    def close(self) -> None:
        """Throws away what was on its way."""
        self._part.unlink(missing_ok=True)
        self._promise.unlink(missing_ok=True)

    @property
    def next_chunk(self) -> int:
        """The first chunk that is missing."""
        return self._assembly.next_index if self._assembly is not None else 0

    def admit(self, envelope: Envelope) -> int:
        """Checks a manifest before a byte of data is stored; the number of its chunks.

        Args:
            envelope: The signed manifest; a later one takes the place of an earlier one.

        Raises:
            TrustError: who signed it, for whom, when, or about what is not acceptable.
            PacketError: it is malformed, or promises more than is agreed to.
        """
        admitted = self._admitted(envelope)
        if self._teacher not in (None, admitted.manifest.teacher):
            raise UnknownKeyError(
                f"expected a manifest of {self._teacher}, who sends it, found one of"
                f" {admitted.manifest.teacher}; an agent sends its own packets"
            )
        if self._slot is not None:
            self._slot.reserve(admitted.manifest.payload_bytes)
            with disk_errors(f"write {self._promise}"):
                self._promise.write_bytes(cards.envelope_to_bytes(envelope))
        self._envelope = envelope
        if self._assembly is None:
            self._assembly = Assembly(admitted, self._part)
        else:
            self._assembly.resume(admitted)
        return len(admitted.manifest.chunk_digests)

    def resume(self, other: "Intake") -> None:
        """Goes on under the manifest that `other` has admitted, with the chunks it has."""
        if self._assembly is not None and other._assembly is not None:
            self._envelope = other._envelope
            self._assembly.resume(other._assembly.admitted)
        other.close()

    def accept(self, part: Envelope | Chunk) -> None:
        """Takes the manifest or the next chunk.

        Raises:
            ProtocolError: a chunk before the manifest.
            ChunkError: it is not the chunk that the manifest promises; nothing was stored.
            TrustError: see `admit`; or who signed the manifest is not trusted any more.
        """
        if isinstance(part, Envelope):
            self.admit(part)
        elif self._assembly is None:
            raise ProtocolError(
                f"expected a manifest first, found chunk {part.index}; send the manifest"
            )
        else:
            self._require_still_trusted()
            self._assembly.add(part.index, part.data)

    async def take(self, parts: AsyncIterator[Envelope | Chunk | Lent]) -> bool:
        """Takes parts as they come, chunks in a thread beside the stream.

        Returns after the last one, or where the manifest speaks of other bytes than those
        that had come.

        Returns:
            Whether the payload is lent: `borrow` it then.

        Raises:
            M2KTError: see `accept`; or what `parts` raised, with all that had come taken.
        """
        before = self.next_chunk
        async for part in parts:
            if isinstance(part, Lent):
                return True
            self.accept(part)
            if self.next_chunk < before:
                return False
            if isinstance(part, Chunk):
                await overlapped(_sent(parts), self.accept)
        return False

    async def borrow(self, neighbours: Neighbours) -> AuthenticPayload:
        """The whole packet, read where its teacher has lent it; else as `finish`.

        Raises:
            PeerUnavailableError: it is not there.
            ChunkError: it is not what the manifest says.
            ReplayedPacketError: exactly this packet was offered before.
        """
        if self._assembly is None:
            raise ProtocolError("expected a manifest first, found a payload; send the manifest")
        admitted = self._assembly.admitted
        its = admitted.manifest
        view = await neighbours.borrow(its.teacher, its.content_digest)
        return await self._kept(await asyncio.to_thread(authenticate, admitted, view), view)

    async def finish(self) -> AuthenticPayload:
        """The whole packet, sealed in the store and never to be accepted again.

        Raises:
            IncompleteError: parts are missing.
            ReplayedPacketError: exactly this packet was offered before.
        """
        if self._assembly is None:
            raise IncompleteError("expected a manifest and chunks, found nothing; send them")
        return await self._kept(await asyncio.to_thread(self._assembly.finish), self._part)

    async def _kept(
        self, payload: AuthenticPayload, content: Path | memoryview
    ) -> AuthenticPayload:
        """Seals what is authentic in the store, and notes that it has come."""
        if self._assembly is None or self._envelope is None:
            raise IncompleteError("expected a manifest and chunks, found nothing; send them")
        envelope = cards.envelope_to_bytes(self._envelope)
        put, digest = self._resources.store.packets.put, payload.content_digest
        await asyncio.to_thread(put, payload.packet_id, envelope, content, digest)
        if not self._noted(payload.packet_id, self._assembly.admitted.manifest.expires_at_s):
            raise ReplayedPacketError(
                f"expected a packet that was never offered, found {payload.packet_id}; ask the"
                " teacher to sign a new manifest"
            )
        facts = {"packet": payload.packet_id, "teacher": payload.teacher}
        self._resources.audit.note(Deed.PACKET_KEPT, facts, at_s=self._resources.clock())
        self.close()
        return payload

    def _admitted(self, envelope: Envelope) -> AdmittedManifest:
        trust = self._trust = self._resources.credentials.trust
        try:
            verified = verify_envelope(envelope, trust, MANIFEST_TYPE)
        except UnknownKeyError:
            if self._teacher is None:
                raise
            trust = self._resources.credentials.on_first_use(envelope, self._teacher)
            verified = verify_envelope(envelope, trust, MANIFEST_TYPE)
        expectations = Expectations(
            audience=self._resources.credentials.agent,
            now_s=self._resources.clock(),
            nonce=self._nonce,
            domain=self._domain,
            limits=WireLimits(payload_bytes=self._resources.limits.payload_bytes),
        )
        admitted = admit(verified, expectations, self._resources.journal.seen)
        if trust is not self._trust:
            self._resources.credentials.remember(trust)
        self._resources.permissions.require(Permit.TEACH, verified.agent, self._domain)
        return admitted

    def _require_still_trusted(self) -> None:
        """A key that is revoked ends the stream of what it signed."""
        trust = self._resources.credentials.trust
        if trust is not self._trust and self._envelope is not None:
            verified = verify_envelope(self._envelope, trust, MANIFEST_TYPE)
            self._resources.permissions.require(Permit.TEACH, verified.agent, self._domain)
            self._trust = trust

    def _noted(self, packet: PacketId, expires_at_s: float) -> bool:
        """Whether this packet is new; then it is known from now on, with its source."""
        journal, slot = self._resources.journal, self._slot
        if slot is None:
            return journal.admit(packet, expires_at_s)
        return journal.collect(slot.transfer, slot.source, packet, expires_at_s=expires_at_s)

    def _left(self) -> Assembly | None:
        """What an earlier life has left, as far as it is what the manifest of then promised."""
        if not self._promise.exists():
            self.close()  # chunks that nothing tells the number of
            return None
        try:
            envelope = cards.envelope_from_bytes(self._promise.read_bytes())
            limits = WireLimits(payload_bytes=self._resources.limits.payload_bytes)
            return Assembly(_admitted_then(self._resources, envelope, limits), self._part)
        except (OSError, PacketError, TrustError):
            self.close()
            return None


async def _sent(parts: AsyncIterator[Envelope | Chunk | Lent]) -> AsyncIterator[Envelope | Chunk]:
    """What follows a first chunk: nothing is lent any more.

    Raises:
        ProtocolError: it is.
    """
    async for part in parts:
        if isinstance(part, Lent):
            raise ProtocolError(
                "expected another chunk, found that the payload is lent; send one or the other"
            )
        yield part


def reopened(resources: StudentResources, packet: PacketId) -> AuthenticPayload:
    """A packet that was sealed before, proved again under the trust store of today.

    Its expiry is not asked again: it was valid when it came.

    Raises:
        TrustError: the keys that signed it are no longer trusted.
        StoreError: it is not kept, or was altered.
    """
    raw, payload = resources.store.packets.get(packet)
    limits = WireLimits(payload_bytes=max(len(payload), 1))
    admitted = _admitted_then(resources, cards.envelope_from_bytes(raw), limits)
    return authenticate(admitted, payload)


def _admitted_then(
    resources: StudentResources, envelope: Envelope, limits: WireLimits
) -> AdmittedManifest:
    """A manifest that was admitted before, held against the trust of today, not its expiry."""
    verified = verify_envelope(envelope, resources.credentials.trust, MANIFEST_TYPE)
    expectations = Expectations(
        audience=resources.credentials.agent,
        now_s=parse_manifest(verified, limits).issued_at_s,
        limits=limits,
    )
    return admit(verified, expectations, lambda _: False)
