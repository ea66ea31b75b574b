"""The signed table of a packet's bytes, read before any of them is stored.

Everything here is computed with Python integers, which do not overflow, and nothing
is allocated by what a manifest claims: only by what has come.

Owns: `Manifest`, its limits, and its bytes.
Does not own: signatures (signing), whether it is meant for me and timely (admission),
the bytes that the table describes (chunks, packets).
"""

from dataclasses import dataclass, field
from typing import Final

from google.protobuf.message import DecodeError

from m2kt.digest import DIGEST_BYTES, Digest, digest_from_raw, raw_digest
from m2kt.errors import (
    BadSignatureError,
    OversizeError,
    PacketError,
    ShapeError,
)
from m2kt.identity import AgentId, agent_id
from m2kt.signing import VerifiedBytes
from m2kt.tensors import Dtype, byte_count
from m2kt.wire.v1 import envelope_pb2 as pb

PROTOCOL: Final = "m2kt.wire.v1"
MANIFEST_TYPE: Final = "application/vnd.m2kt.manifest.v1+protobuf"
ALIGNMENT_BYTES: Final = 64

_DTYPES: Final = {
    pb.DTYPE_F32: Dtype.F32,
    pb.DTYPE_F16: Dtype.F16,
    pb.DTYPE_BF16: Dtype.BF16,
    pb.DTYPE_I8: Dtype.I8,
    pb.DTYPE_I32: Dtype.I32,
}
_WIRE_DTYPES: Final = {dtype: value for value, dtype in _DTYPES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """How much a student agrees to receive.

    Attributes:
        payload_bytes: Length of a packet.
        chunk_bytes: Length of a chunk.
        description_bytes: Length of the part that is no tensor. Empty submessages of two
            bytes take 90 in memory (measured), so this bounds what parsing can cost.
        tensors: Entries of the table.
        dimensions: Dimensions of a tensor.
        concepts: Concepts of a packet.
        traces: Traces of a packet.
        steps: Steps of a trace, and operands of a step.
        all_steps: Steps of all traces: one that says anything takes 16 bytes of the description.
        symbols: Symbols of the state vocabulary.
        string_bytes: Length of any text, in UTF-8.
        nonce_bytes: Length of a nonce.
        lifetime_s: Seconds from issue to expiry.
    """

    payload_bytes: int = 64 * 1024 * 1024
    chunk_bytes: int = 1024 * 1024
    description_bytes: int = 1024 * 1024
    tensors: int = 16
    dimensions: int = 4
    concepts: int = 1 << 14
    traces: int = 16384
    steps: int = 64
    all_steps: int = 1 << 16
    symbols: int = 4096
    string_bytes: int = 4096
    nonce_bytes: int = 64
    lifetime_s: float = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """Where a tensor lies in the payload: raw, little-endian, row-major."""

    name: str
    dtype: Dtype
    shape: tuple[int, ...]
    offset: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a teacher signs; see `envelope.proto` for each field.

    Attributes:
        teacher: Who signed.
        audience: Who may read, or `any`.
        domain: Name of the domain.
        nonce: What the student chose; empty at rest.
        sequence: Counts what the teacher signed.
        issued_at_s: Unix time, seconds, on the teacher's clock.
        expires_at_s: Unix time from which it is no longer valid.
        description_bytes: Length of the first part of the payload.
        payload_bytes: Length of the payload.
        tensors: Where each tensor lies.
        chunk_bytes: Length of every chunk but the last.
        chunk_digests: One for each chunk.
        content_digest: Digest of the payload.
    """

    teacher: AgentId
    audience: AgentId
    domain: str
    nonce: bytes
    sequence: int
    issued_at_s: float
    expires_at_s: float
    description_bytes: int
    payload_bytes: int
    tensors: tuple[TensorEntry, ...]
    chunk_bytes: int
    chunk_digests: tuple[Digest, ...] = field(repr=False)
    content_digest: Digest


def parse_manifest(verified: VerifiedBytes, limits: WireLimits) -> Manifest:
    """Reads a manifest that was signed.

    Raises:
        BadSignatureError: it names another teacher than the owner of the keys.
        PacketError: it cannot be read, breaks a limit, or contradicts itself.
    """
    if verified.payload_type != MANIFEST_TYPE:
        raise BadSignatureError(
            f"expected signed bytes of type {MANIFEST_TYPE}, found {verified.payload_type}; what"
            " was signed as one thing is not accepted as another"
        )
    manifest = read_manifest(verified.payload, limits)
    if manifest.teacher != verified.agent:
        raise BadSignatureError(
            f"expected a manifest of {verified.agent}, whose key signed it, found one of"
            f" {manifest.teacher}; an agent signs in its own name alone"
        )
    return manifest


def read_manifest(raw: bytes, limits: WireLimits) -> Manifest:
    """The manifest in `raw`. Every number is checked before anything is made of it.

    Raises:
        PacketError: it cannot be read, breaks a limit, or contradicts itself.
    """
    manifest = _manifest_from(read_message(raw))
    _require_within(manifest, limits)
    _require_chunks(manifest)
    require_layout(manifest)
    return manifest


def read_message(raw: bytes) -> pb.Manifest:
    """The message in `raw`, not checked.

    Raises:
        PacketError: `raw` is no manifest of this protocol.
    """
    try:
        message = pb.Manifest.FromString(raw)
    except DecodeError as error:
        raise PacketError(f"expected a manifest, found {error}; send one of {PROTOCOL}") from error
    if message.protocol != PROTOCOL:
        raise PacketError(
            f"expected a manifest of {PROTOCOL}, found {message.protocol[:80]!r}; both sides need"
            " one version in common"
        )
    return message


def _manifest_from(message: pb.Manifest) -> Manifest:
    return Manifest(
        teacher=agent_id(message.teacher),
        audience=agent_id(message.audience),
        domain=message.domain,
        nonce=message.nonce,
        sequence=message.sequence,
        issued_at_s=message.issued_at_s,
        expires_at_s=message.expires_at_s,
        description_bytes=message.description_bytes,
        payload_bytes=message.payload_bytes,
        tensors=tuple(_entry_from(entry) for entry in message.tensors),
        chunk_bytes=message.chunk_bytes,
        chunk_digests=tuple(digest_from_raw(raw) for raw in message.chunk_digests),
        content_digest=digest_from_raw(message.content_digest),
    )


def _entry_from(entry: pb.TensorEntry) -> TensorEntry:
    if entry.dtype not in _DTYPES:
        allowed = ", ".join(_DTYPES.values())
        raise ShapeError(f"expected a tensor of type {allowed}, found number {entry.dtype}")
    return TensorEntry(
        entry.name, _DTYPES[entry.dtype], tuple(entry.shape), entry.offset, entry.bytes
    )


def manifest_to_bytes(manifest: Manifest) -> bytes:
    """The bytes to sign; `parse_manifest` of them, once verified, gives `manifest` again."""
    message = pb.Manifest(
        protocol=PROTOCOL,
        teacher=manifest.teacher,
        audience=manifest.audience,
        domain=manifest.domain,
        nonce=manifest.nonce,
        sequence=manifest.sequence,
        issued_at_s=manifest.issued_at_s,
        expires_at_s=manifest.expires_at_s,
        description_bytes=manifest.description_bytes,
        payload_bytes=manifest.payload_bytes,
        chunk_bytes=manifest.chunk_bytes,
        chunk_digests=[raw_digest(digest) for digest in manifest.chunk_digests],
        content_digest=raw_digest(manifest.content_digest),
    )
    for entry in manifest.tensors:
        message.tensors.add(
            name=entry.name,
            dtype=_WIRE_DTYPES[entry.dtype],
            shape=entry.shape,
            offset=entry.offset,
            bytes=entry.bytes,
        )
    return message.SerializeToString(deterministic=True)


def _require_within(manifest: Manifest, limits: WireLimits) -> None:
    dimensions = max((len(entry.shape) for entry in manifest.tensors), default=0)
    longest = max((len(entry.name.encode()) for entry in manifest.tensors), default=0)
    sizes = (
        ("payload bytes", manifest.payload_bytes, limits.payload_bytes),
        ("description bytes", manifest.description_bytes, limits.description_bytes),
        ("bytes a chunk", manifest.chunk_bytes, limits.chunk_bytes),
        ("tensors", len(manifest.tensors), limits.tensors),
        ("dimensions", dimensions, limits.dimensions),
        ("bytes of the nonce", len(manifest.nonce), limits.nonce_bytes),
        ("bytes of a tensor's name", longest, limits.string_bytes),
        ("bytes of the domain's name", len(manifest.domain.encode()), limits.string_bytes),
    )
    for what, found, most in sizes:
        if found > most:
            raise OversizeError(f"expected at most {most} {what}, found {found}; send less")
    life_s = manifest.expires_at_s - manifest.issued_at_s
    if not 0 < life_s <= limits.lifetime_s:
        raise PacketError(
            f"expected a validity of more than 0 and at most {limits.lifetime_s:.0f} s, found"
            f" {life_s} s; sign it for a shorter time"
        )


def _require_chunks(manifest: Manifest) -> None:
    if manifest.chunk_bytes < 1 or manifest.payload_bytes < 1:
        raise PacketError(
            "expected a payload and chunks of at least one byte, found"
            f" {manifest.payload_bytes} and {manifest.chunk_bytes}; correct the manifest"
        )
    needed, found = -(-manifest.payload_bytes // manifest.chunk_bytes), len(manifest.chunk_digests)
    if needed != found:
        raise PacketError(
            f"expected {needed} chunk digests of {DIGEST_BYTES} bytes for {manifest.payload_bytes}"
            f" bytes, found {found}; correct the manifest"
        )


def require_layout(manifest: Manifest) -> None:
    """Checks that description and tensors tile the payload: no overlap, no room to hide in.

    Raises:
        ShapeError: a tensor's shape does not fit its bytes or is longer than the payload,
            or tensors overlap, are not aligned, leave gaps, or reach beyond the payload.
    """
    end = manifest.description_bytes
    for entry in sorted(manifest.tensors, key=lambda entry: (entry.offset, entry.bytes)):
        if max(entry.shape, default=0) > manifest.payload_bytes:  # possible beside a 0
            raise ShapeError(
                f"expected no dimension above the payload's {manifest.payload_bytes} bytes, found"
                f" {entry.shape} of {entry.name[:80]!r}; send the shape that the tensor has"
            )
        needed, begin = byte_count(entry.dtype, entry.shape), aligned(end)
        if entry.bytes != needed or entry.offset != begin:
            raise ShapeError(
                f"expected tensor {entry.name[:80]!r} of {entry.dtype} {entry.shape} to have"
                f" {needed} bytes at {begin}, found {entry.bytes} at {entry.offset}; the tensor"
                " table contradicts itself"
            )
        end = entry.offset + entry.bytes
    names = {entry.name for entry in manifest.tensors}
    if end != manifest.payload_bytes or len(names) != len(manifest.tensors):
        raise ShapeError(
            f"expected tensors of different names that end with the payload at"
            f" {manifest.payload_bytes}, found {len(names)} names that end at {end}; the tensor"
            " table contradicts itself"
        )


def aligned(offset: int) -> int:
    """The first offset for a tensor that is not below `offset`."""
    return -(-offset // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
