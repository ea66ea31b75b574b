"""A knowledge packet as bytes: its description, then its tensors, and back.

Owns: `encode_packet`, which hashes once for all students, and `parse_packet`.
Does not own: signing for one student and receiving chunks (chunks), whether the
content is harmless (screen).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import torch
from google.protobuf.message import DecodeError
from torch import Tensor

from m2kt.digest import BLOCK_BYTES, Digest, block_digests, content_digest_by
from m2kt.disk import LocalDisk, mapped, put_whole
from m2kt.errors import PacketError, RequestError, ShapeError
from m2kt.identity import AgentId
from m2kt.packet import ActivationMaps, AuthenticPacket, AuthenticPayload, KnowledgePacket
from m2kt.tensors import Dtype, byte_count, bytes_of, tensor_from_bytes
from m2kt.wire.description import description_from, description_of, require_modest
from m2kt.wire.manifest import (
    Manifest,
    TensorEntry,
    WireLimits,
    aligned,
    read_manifest,
)
from m2kt.wire.v1 import packet_pb2 as pb

SCALE: Final = ".scale"
INTEGERS: Final = "maps.indices"
RANKS: Final = {"means": 2, "exemplars": 3, INTEGERS: 2, "maps.weights": 2}
FLOATS: Final = {Dtype.F32: torch.float32, Dtype.F16: torch.float16, Dtype.BF16: torch.bfloat16}


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPayload:
    """A packet's bytes and their digests: made once, sealed for every student.

    Attributes:
        teacher: Who extracted the packet.
        domain: Name of its domain.
        payload: The bytes.
        description_bytes: Length of the first part, which is no tensor.
        tensors: Where each tensor lies.
        chunk_bytes: Length of every chunk but the last.
        chunk_digests: One for each chunk.
        content_digest: Digest of the payload.
    """

    teacher: AgentId
    domain: str
    payload: bytes | memoryview = field(repr=False)
    description_bytes: int
    tensors: tuple[TensorEntry, ...]
    chunk_bytes: int
    chunk_digests: tuple[Digest, ...] = field(repr=False)
    content_digest: Digest


def encode_packet(
    packet: KnowledgePacket,
    *,
    exemplars_as: Dtype = Dtype.F32,
    chunk_bytes: int = BLOCK_BYTES,
    into: Path | None = None,
) -> EncodedPayload:
    """The bytes of `packet` and their digests.

    Exemplars alone, by far the largest part, may travel in a shorter type; means and maps stay.

    Args:
        packet: What to encode.
        exemplars_as: Type in which exemplars travel.
        chunk_bytes: Length of every chunk but the last.
        into: A file for the bytes, which are then not held in memory.

    Raises:
        RequestError: `exemplars_as` is i32, or a chunk has no bytes.
        StoreError: the file cannot be written.
    """
    if exemplars_as is Dtype.I32 or chunk_bytes < 1:
        raise RequestError(
            "expected exemplars as f32, f16, bf16 or i8, and chunks of at least a byte,"
            f" found {exemplars_as} and {chunk_bytes}"
        )
    description = description_of(packet).SerializeToString(deterministic=True)
    entries, parts = _laid_out(_tensors_of(packet, exemplars_as), len(description))
    payload = _written([description, *parts], into)
    chunks = block_digests(payload, chunk_bytes)
    return EncodedPayload(
        teacher=packet.provenance.teacher,
        domain=packet.provenance.domain,
        payload=payload,
        description_bytes=len(description),
        tensors=entries,
        chunk_bytes=chunk_bytes,
        chunk_digests=chunks,
        content_digest=content_digest_by(payload, chunk_bytes, chunks),
    )


def _written(parts: Sequence[bytes | memoryview], into: Path | None) -> bytes | memoryview:
    if into is None:
        return b"".join(parts)
    put_whole(LocalDisk(), into, parts)
    return mapped(into)


def _laid_out(
    tensors: Mapping[str, Tensor], begin: int
) -> tuple[tuple[TensorEntry, ...], list[bytes | memoryview]]:
    """Where each tensor lies after `begin` bytes; and the bytes: padding, tensor, and so on."""
    parts: list[bytes | memoryview] = []
    entries, end = [], begin
    for name, tensor in tensors.items():
        offset = aligned(end)
        dtype, raw = _dtype_named(tensor), bytes_of(tensor)
        entries.append(TensorEntry(name, dtype, tuple(tensor.shape), offset, len(raw)))
        parts += [bytes(offset - end), raw]
        end = offset + len(raw)
    return tuple(entries), parts


def _tensors_of(packet: KnowledgePacket, exemplars_as: Dtype) -> dict[str, Tensor]:
    exemplars = packet.exemplars.detach().float()
    found = {"means": packet.means.detach().float()}
    if exemplars_as is Dtype.I8:
        peaks = torch.zeros(exemplars.shape[:-1])
        if exemplars.numel():
            peaks = exemplars.abs().amax(dim=-1)
        scales = (peaks / 127.0).clamp_min(torch.finfo(torch.float32).tiny)
        found["exemplars"] = (exemplars / scales[..., None]).round().to(torch.int8)
        found["exemplars" + SCALE] = scales
    else:
        found["exemplars"] = exemplars.to(FLOATS[exemplars_as])
    found[INTEGERS] = packet.maps.indices.to(torch.int32)
    found["maps.weights"] = packet.maps.weights.detach().float()
    return found


def _dtype_named(tensor: Tensor) -> Dtype:
    return {**{v: k for k, v in FLOATS.items()}, torch.int8: Dtype.I8, torch.int32: Dtype.I32}[
        tensor.dtype
    ]


def parse_packet(payload: AuthenticPayload, limits: WireLimits | None = None) -> AuthenticPacket:
    """Reads the content of an authentic payload. All tensors come out as f32 or i32.

    Values are not judged: NaN and infinity are read as such and left to `screen`.

    Raises:
        PacketError: the content cannot be read, breaks a limit, or contradicts the
            manifest or itself.
    """
    limits = limits or WireLimits()
    manifest = read_manifest(payload.manifest, limits)
    view = memoryview(payload.payload)
    try:
        message = pb.KnowledgePacket.FromString(bytes(view[: manifest.description_bytes]))
    except DecodeError as error:
        raise PacketError(f"expected a packet's description, found {error}") from error
    require_modest(message, limits)
    _require_rows(message, manifest)
    _require_blank(view, manifest)
    tensors = _read_tensors(view, manifest)
    packet = description_from(
        message,
        means=tensors["means"],
        exemplars=tensors["exemplars"],
        maps=ActivationMaps(tensors[INTEGERS], tensors["maps.weights"]),
    )
    _require_consistent(packet, manifest)
    return AuthenticPacket(
        packet_id=payload.packet_id,
        content_digest=payload.content_digest,
        teacher=payload.teacher,
        signers=payload.signers,
        organisation=payload.organisation,
        root=payload.root,
        bytes_on_wire=len(payload.manifest) + len(payload.payload),
        packet=packet,
    )


def _require_consistent(packet: KnowledgePacket, manifest: Manifest) -> None:
    """A packet says the same as its manifest."""
    about = packet.provenance
    if (about.teacher, about.domain) != (manifest.teacher, manifest.domain):
        raise PacketError(
            f"expected a packet by {manifest.teacher} about {manifest.domain}, found one by"
            f" {about.teacher} about {about.domain[:80]!r}; the manifest contradicts the packet"
        )


def _require_rows(message: pb.KnowledgePacket, manifest: Manifest) -> None:
    """The tensors' names, ranks and rows are those that the description needs."""
    shapes = {entry.name: entry.shape for entry in manifest.tensors}
    steps = sum(len(trace.steps) for trace in message.traces)
    rows = {"means": len(message.concepts), "exemplars": len(message.concepts)}
    names = {name for name in shapes if not name.endswith(SCALE)}
    found = {name: (len(shape), shape[:1]) for name, shape in shapes.items() if name in RANKS}
    wanted = {name: (rank, (rows.get(name, steps),)) for name, rank in RANKS.items()}
    if (
        names != set(RANKS)
        or found != wanted
        or shapes["means"][1] != shapes["exemplars"][2]
        or shapes[INTEGERS] != shapes["maps.weights"]
    ):
        raise ShapeError(
            f"expected tensors of ranks and rows {wanted}, of one width and with maps of one shape,"
            f" found {[shapes.get(name) for name in RANKS]} of {len(names)} tensors; the tensor"
            " table contradicts the description"
        )


def _require_blank(view: memoryview, manifest: Manifest) -> None:
    """Padding is zero: nothing travels beside what is described."""
    end = manifest.description_bytes
    for entry in sorted(manifest.tensors, key=lambda entry: (entry.offset, entry.bytes)):
        if any(view[end : entry.offset]):
            raise PacketError(
                f"expected zeros between byte {end} and {entry.offset}, found others;"
                " pad with zeros"
            )
        end = entry.offset + entry.bytes


def _read_tensors(view: memoryview, manifest: Manifest) -> dict[str, Tensor]:
    entries = {entry.name: entry for entry in manifest.tensors}
    for name, entry in entries.items():
        owner = entries.get(name.removesuffix(SCALE))
        if name.endswith(SCALE) and (owner is None or owner.dtype is not Dtype.I8):
            raise ShapeError(
                f"expected scales of a tensor of type i8, found {name[:80]!r} without; drop it"
            )
        if (entry.dtype is Dtype.I32) != (name == INTEGERS):
            raise ShapeError(
                f"expected {INTEGERS} alone to be of type i32, found {name[:80]!r} of {entry.dtype}"
            )
    return {
        name: _read(view, entry, entries.get(name + SCALE))
        for name, entry in entries.items()
        if not name.endswith(SCALE)
    }


def _read(view: memoryview, entry: TensorEntry, scale: TensorEntry | None) -> Tensor:
    raw = view[entry.offset : entry.offset + byte_count(entry.dtype, entry.shape)]
    tensor = tensor_from_bytes(raw, entry.dtype, entry.shape)
    if entry.dtype is Dtype.I32:
        return tensor
    if entry.dtype is not Dtype.I8:
        return tensor.float()
    if scale is None or scale.dtype is not Dtype.F32 or scale.shape != entry.shape[:-1]:
        raise ShapeError(
            f"expected f32 scales of shape {entry.shape[:-1]} for {entry.name}, found"
            f" {scale and (scale.dtype, scale.shape)}; send one for each row"
        )
    return tensor.float() * _read(view, scale, None)[..., None]
