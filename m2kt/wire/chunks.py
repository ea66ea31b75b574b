"""A payload in pieces: sealed for one student by the teacher, put together by the student.

Every chunk is held against the signed manifest on arrival, before it is stored; the
whole once more at the end. A stream that broke goes on at the first missing chunk.

Owns: `seal`, `Assembly`, `authenticate` (the one maker of `AuthenticPayload`).
Does not own: the content (packets), the network (agents).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from m2kt.digest import Digest, content_digest_by, content_digest_of, digest_of
from m2kt.disk import disk_errors, mapped
from m2kt.errors import ChunkError, IncompleteError
from m2kt.identity import AgentId, PacketId
from m2kt.packet import AuthenticPayload
from m2kt.signing import Envelope, Signer, sign_envelope, verify_envelope
from m2kt.trust import TrustStore
from m2kt.wire.admission import AdmittedManifest, Expectations, admit, packet_id_of
from m2kt.wire.manifest import MANIFEST_TYPE, Manifest, manifest_to_bytes
from m2kt.wire.packets import EncodedPayload


@dataclass(frozen=True, slots=True, kw_only=True)
class SealHeader:
    """What a teacher adds to a payload for one student.

    Attributes:
        audience: Who may read, or `any`.
        nonce: What the student chose; empty at rest.
        sequence: Counts what the teacher signed.
        issued_at_s: Unix time, seconds, on the teacher's clock.
        ttl_s: Seconds from then for which the manifest is valid.
    """

    audience: AgentId
    nonce: bytes
    sequence: int
    issued_at_s: float
    ttl_s: float


@dataclass(frozen=True, slots=True)
class SealedPacket:
    """A packet as it travels to one student.

    Attributes:
        envelope: The signed manifest.
        encoded: The payload, shared by all students.
    """

    envelope: Envelope
    encoded: EncodedPayload = field(repr=False)

    @property
    def packet_id(self) -> PacketId:
        """Digest of the manifest's exact bytes."""
        return packet_id_of(self.envelope.payload)

    def chunks(self, first: int = 0) -> Iterator[tuple[int, memoryview]]:
        """Index and bytes of every chunk from `first` on; no copies."""
        view, size = memoryview(self.encoded.payload), self.encoded.chunk_bytes
        for index in range(first, len(self.encoded.chunk_digests)):
            yield index, view[index * size : (index + 1) * size]


def seal(
    encoded: EncodedPayload, signer: Signer, header: SealHeader, *more: Signer
) -> SealedPacket:
    """Signs a manifest for one student. The payload is neither touched nor hashed again.

    Args:
        encoded: The payload.
        signer: The teacher's key.
        header: For whom, and for how long.
        more: Further keys of the teacher, for students who ask for several signatures.
    """
    manifest = Manifest(
        teacher=encoded.teacher,
        audience=header.audience,
        domain=encoded.domain,
        nonce=header.nonce,
        sequence=header.sequence,
        issued_at_s=header.issued_at_s,
        expires_at_s=header.issued_at_s + header.ttl_s,
        description_bytes=encoded.description_bytes,
        payload_bytes=len(encoded.payload),
        tensors=encoded.tensors,
        chunk_bytes=encoded.chunk_bytes,
        chunk_digests=encoded.chunk_digests,
        content_digest=encoded.content_digest,
    )
    envelope = sign_envelope(MANIFEST_TYPE, manifest_to_bytes(manifest), signer, *more)
    return SealedPacket(envelope, encoded)


@final
class Assembly:
    """Chunks that have come, in memory or in a file; it can be left and taken up again."""

    def __init__(
        self,
        admitted: AdmittedManifest,
        spool: Path | None = None,
        *,
        into: memoryview | None = None,
    ) -> None:
        """Begins, or goes on with what lies in `spool`.

        Whatever in `spool` is not what the manifest promises is cut off.

        Args:
            admitted: The manifest that chunks are held against.
            spool: A file for them; without one they are kept in memory.
            into: Memory for them, at least as long as the payload; by default it is new.

        Raises:
            StoreError: the file cannot be read or written.
        """
        self._admitted, self._spool = admitted, spool
        self._into = into
        self._memory = self._room() if spool is None else memoryview(b"")
        self._next = 0
        if spool is not None:
            with disk_errors(f"open {spool}"):
                spool.touch(mode=0o600)
            self._recover()

    @property
    def admitted(self) -> AdmittedManifest:
        """The manifest that chunks are held against."""
        return self._admitted

    @property
    def next_index(self) -> int:
        """The first chunk that is missing."""
        return self._next

    @property
    def complete(self) -> bool:
        """Whether no chunk is missing."""
        return self._next == len(self._admitted.manifest.chunk_digests)

    def add(self, index: int, data: bytes | memoryview) -> None:
        """Takes the next chunk.

        Raises:
            ChunkError: it is not the next one, or its length or digest is not what the
                manifest says. Nothing was stored.
            StoreError: the file cannot be written.
        """
        self._require(index, data)
        start = self._held_bytes()
        if self._spool is None:
            self._memory[start : start + len(data)] = data
        else:
            with disk_errors(f"write {self._spool}"), self._spool.open("r+b") as file:
                file.seek(start)  # over what a disk that was full has left
                file.write(data)
        self._next += 1

    def resume(self, admitted: AdmittedManifest) -> None:
        """Goes on under a newer manifest; from the beginning if it is about other bytes.

        Raises:
            StoreError: the file cannot be written.
        """
        mine, its = self._admitted.manifest, admitted.manifest
        self._admitted = admitted
        if (mine.chunk_bytes, mine.chunk_digests) != (its.chunk_bytes, its.chunk_digests):
            self._cut(0)
            if self._spool is None:
                self._memory = self._room()

    def finish(self) -> AuthenticPayload:
        """The payload, whole.

        Raises:
            IncompleteError: chunks are missing.
            ChunkError: it is not what the manifest says of it as a whole.
            StoreError: the file cannot be read.
        """
        if not self.complete:
            raise IncompleteError(
                f"expected {len(self._admitted.manifest.chunk_digests)} chunks, found {self._next};"
                f" ask for the rest from chunk {self._next} on"
            )
        payload = self._memory.toreadonly() if self._spool is None else mapped(self._spool)
        its = self._admitted.manifest
        digest = content_digest_by(payload, its.chunk_bytes, its.chunk_digests)
        return authenticate(self._admitted, payload, digest)

    def _require(self, index: int, data: bytes | memoryview) -> None:
        manifest = self._admitted.manifest
        if index != self._next or self.complete:
            raise ChunkError(
                f"expected chunk {self._next} of {len(manifest.chunk_digests)}, found {index};"
                " send chunks in order, each once"
            )
        wanted = min(manifest.chunk_bytes, manifest.payload_bytes - index * manifest.chunk_bytes)
        if len(data) != wanted or digest_of(data) != manifest.chunk_digests[index]:
            raise ChunkError(
                f"expected chunk {index} to have {wanted} bytes and the digest"
                f" {manifest.chunk_digests[index]}, found {len(data)} bytes or another digest;"
                " the bytes were changed on the way, or belong to another packet"
            )

    def _recover(self) -> None:
        """Counts the chunks in the spool file that are right, and cuts off what follows."""
        assert self._spool is not None  # noqa: S101  # called with a spool only
        size = self._admitted.manifest.chunk_bytes
        with disk_errors(f"read {self._spool}"), self._spool.open("rb") as file:
            while not self.complete:
                data = file.read(size)
                try:
                    self._require(self._next, data)
                except ChunkError:
                    break
                self._next += 1
        self._cut(self._next)

    def _cut(self, count: int) -> None:
        """Keeps the first `count` chunks; none of a file that would change under another name."""
        length = min(count * self._admitted.manifest.chunk_bytes, self._held_bytes())
        self._next = count
        if self._spool is not None:
            with disk_errors(f"cut {self._spool}"):
                there = self._spool.stat()
                if there.st_nlink > 1 and there.st_size != length:  # it was sealed meanwhile
                    self._next = length = 0
                    self._spool.unlink()
                    self._spool.touch(mode=0o600)
                with self._spool.open("r+b") as file:
                    file.truncate(length)

    def _room(self) -> memoryview:
        """Memory for the payload: as long as a signed manifest says that is within limits."""
        length = self._admitted.manifest.payload_bytes
        if self._into is None:
            return memoryview(bytearray(length))
        return self._into[:length]

    def _held_bytes(self) -> int:
        manifest = self._admitted.manifest
        return min(manifest.payload_bytes, self._next * manifest.chunk_bytes)


def authenticate(
    admitted: AdmittedManifest, payload: bytes | memoryview, digest: Digest | None = None
) -> AuthenticPayload:
    """Holds a whole payload against an admitted manifest.

    Args:
        admitted: The manifest.
        payload: The bytes.
        digest: Of their content, if it is known; by default it is taken here.

    Raises:
        IncompleteError: bytes are missing.
        ChunkError: it is not the payload that was signed.
    """
    manifest = admitted.manifest
    if len(payload) < manifest.payload_bytes:
        raise IncompleteError(
            f"expected {manifest.payload_bytes} bytes, found {len(payload)}; ask for the rest"
        )
    found = digest or content_digest_of(payload)
    if len(payload) > manifest.payload_bytes or found != manifest.content_digest:
        raise ChunkError(
            f"expected {manifest.payload_bytes} bytes of digest {manifest.content_digest}, found"
            f" {len(payload)} bytes or another digest; the bytes were changed on the way"
        )
    return AuthenticPayload(
        packet_id=admitted.packet_id,
        content_digest=manifest.content_digest,
        teacher=manifest.teacher,
        signers=admitted.signers,
        organisation=admitted.organisation,
        root=admitted.root,
        manifest=admitted.raw,
        payload=payload,
    )


def authenticate_whole(
    envelope: Envelope,
    payload: bytes | memoryview,
    trust: TrustStore,
    expectations: Expectations,
    seen: Callable[[PacketId], bool],
) -> AuthenticPayload:
    """Verifies, admits and authenticates a packet whose bytes are all here.

    Raises:
        TrustError: who signed it, for whom, and when is not acceptable.
        PacketError: the manifest or the payload is malformed.
        ProtocolError: it is about another domain than the student asked for.
    """
    verified = verify_envelope(envelope, trust, MANIFEST_TYPE)
    return authenticate(admit(verified, expectations, seen), payload)
