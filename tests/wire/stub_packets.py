"""Packets as a second reader reads them: a manifest, chunks, words and numbers.

Written from proto/README.md; shares no code with ours (reader_stubs says why).

Owns: `read_packet`, `read_file`.
Does not own: who signed (stub_envelopes).
"""

import base64
import math
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from blake3 import blake3

from m2kt.wire.v1 import envelope_pb2, packet_pb2
from tests.wire.stub_envelopes import (
    Asked,
    need,
    need_believed,
    need_names,
    opened,
    parsed,
    signers,
)

MIB = 1 << 20
CONTENT = "m2kt 2026-11-27 content digest over blocks of 1 MiB"
WIDTHS = {1: 4, 2: 2, 3: 2, 4: 1, 5: 4}
F32, BF16, I8, I32 = 1, 3, 4, 5
TYPES = {1: "<f4", 2: "<f2", 4: "i1", 5: "<i4"}
RANKS = {"means": 2, "exemplars": 3, "maps.indices": 2, "maps.weights": 2}
LIMITS = {
    "payload_bytes": 64 * MIB,
    "chunk_bytes": MIB,
    "description_bytes": MIB,
    "tensors": 16,
    "dimensions": 4,
    "concepts": 16384,
    "traces": 16384,
    "steps": 64,
    "all_steps": 1 << 16,
    "symbols": 4096,
    "string_bytes": 4096,
    "nonce_bytes": 64,
    "lifetime_s": 7 * 86400,
}


def read_packet(asked: Asked) -> dict[str, Any]:
    envelope, payload = (base64.b64decode(asked[part]) for part in ("envelope", "payload"))
    manifest, name = admitted(opened(envelope, "manifest"), asked["context"])
    size, order = manifest.chunk_bytes, asked["context"]["chunks"]
    whole = b""
    for number, index in enumerate(range(-(-len(payload) // size)) if order is None else order):
        piece = payload[index * size : (index + 1) * size]
        need(index == number < len(manifest.chunk_digests), "CHUNK_MISMATCH")
        length = min(size, manifest.payload_bytes - len(whole))
        right = blake3(piece).digest() == manifest.chunk_digests[index]
        need(len(piece) == length and right, "CHUNK_MISMATCH")
        whole += piece
    return content(manifest, name, whole, asked["context"])


def read_file(asked: Asked) -> dict[str, Any]:
    raw, context = base64.b64decode(asked["file"]), asked["context"]
    need(len(raw) >= 12 and raw[:4] == b"M2KT", "MALFORMED")
    version, length = struct.unpack("<II", raw[4:12])
    need(version == 1, "MALFORMED")
    need(length <= 256 * 1024 + 4096, "OVERSIZE")
    payload = raw[12 + length :]
    need(len(payload) <= {**LIMITS, **context["limits"]}["payload_bytes"], "OVERSIZE")
    manifest, name = admitted(opened(raw[12 : 12 + length], "manifest"), context)
    return content(manifest, name, payload, context)


def admitted(envelope: Any, context: Asked) -> tuple[Any, str]:
    """The manifest, meant for me and timely; and the packet's id."""
    agent, _, until_s = signers(envelope, context)
    its = parsed(envelope_pb2.Manifest, envelope.payload)
    need(its.protocol == "m2kt.wire.v1", "MALFORMED")
    need_names(its.teacher, its.audience)
    need_sound(its, {**LIMITS, **context["limits"]})
    need_tiled(its)
    need(its.teacher == agent, "BAD_SIGNATURE")
    need_believed(its.issued_at_s, until_s)
    need(its.audience in (context["agent"], "any"), "WRONG_AUDIENCE")
    need(context["nonce"] in (None, its.nonce.hex()), "WRONG_NONCE")
    need(context["domain"] in (None, its.domain), "PROTOCOL")
    need(its.issued_at_s - context["now_s"] <= 5, "NOT_YET_VALID")
    need(context["now_s"] - its.expires_at_s < 5, "EXPIRED")
    name = "b3:" + blake3(envelope.payload).hexdigest()
    need(name not in context["seen"], "REPLAYED")
    return its, name


def need_sound(its: Any, limits: Asked) -> None:
    need(all(entry.dtype in WIDTHS for entry in its.tensors), "BAD_SHAPE")
    digests = (*its.chunk_digests, its.content_digest)
    need(all(len(digest) == 32 for digest in digests), "MALFORMED")
    for count, limit in (
        (its.payload_bytes, "payload_bytes"),
        (its.description_bytes, "description_bytes"),
        (its.chunk_bytes, "chunk_bytes"),
        (len(its.tensors), "tensors"),
        (max((len(entry.shape) for entry in its.tensors), default=0), "dimensions"),
        (len(its.nonce), "nonce_bytes"),
        (max((len(entry.name.encode()) for entry in its.tensors), default=0), "string_bytes"),
        (len(its.domain.encode()), "string_bytes"),
    ):
        need(count <= limits[limit], "OVERSIZE")
    need(0 < its.expires_at_s - its.issued_at_s <= limits["lifetime_s"], "MALFORMED")
    need(its.chunk_bytes > 0 and its.payload_bytes > 0, "MALFORMED")
    need(len(its.chunk_digests) == -(-its.payload_bytes // its.chunk_bytes), "MALFORMED")


def in_order(its: Any) -> Iterator[tuple[int, Any]]:
    """Each entry of the table, by offset, and where the one before it ends."""
    end = its.description_bytes
    for entry in sorted(its.tensors, key=lambda entry: (entry.offset, entry.bytes)):
        yield end, entry
        end = entry.offset + entry.bytes


def need_tiled(its: Any) -> None:
    last = its.description_bytes
    for end, entry in in_order(its):
        need(entry.bytes == math.prod(entry.shape) * WIDTHS[entry.dtype], "BAD_SHAPE")
        need(max(entry.shape, default=0) <= its.payload_bytes, "BAD_SHAPE")
        need(entry.offset == -(-end // 64) * 64, "BAD_SHAPE")
        last = entry.offset + entry.bytes
    names = {entry.name for entry in its.tensors}
    need(last == its.payload_bytes and len(names) == len(its.tensors), "BAD_SHAPE")


def content(its: Any, name: str, payload: bytes, context: Asked) -> dict[str, Any]:
    need(len(payload) >= its.payload_bytes, "INCOMPLETE")
    blocks = (payload[at : at + MIB] for at in range(0, len(payload), MIB))
    joined = b"".join(blake3(block).digest() for block in blocks)
    digest = blake3(joined, derive_key_context=CONTENT).digest()
    need(len(payload) == its.payload_bytes and digest == its.content_digest, "CHUNK_MISMATCH")
    words = parsed(packet_pb2.KnowledgePacket, payload[: its.description_bytes])
    need_modest(words, {**LIMITS, **context["limits"]})
    need_fitting(words, its)
    for end, entry in in_order(its):
        need(not any(payload[end : entry.offset]), "MALFORMED")
    tensors = numbers(its, payload)
    about, ids = words.provenance, [concept.id for concept in words.concepts]
    need_names(about.teacher)
    need(bool(ids) and len(set(ids)) == len(ids) and about.created_at_s > 0, "MALFORMED")
    need((about.teacher, about.domain) == (its.teacher, its.domain), "MALFORMED")
    return {
        "packet_id": name,
        "content_digest": "b3:" + digest.hex(),
        "teacher": about.teacher,
        "domain": about.domain,
        "concepts": ids,
        "traces": len(words.traces),
        "answer": words.traces[0].answer if words.traces else "",
        "tensors": tensors,
    }


def need_modest(words: Any, limits: Asked) -> None:
    about, steps = words.provenance, [step for its in words.traces for step in its.steps]
    for count, limit in (
        (len(words.concepts), "concepts"),
        (sum(len(its.members) for its in words.concepts), "concepts"),
        (len(words.heads), "concepts"),
        (len(words.traces), "traces"),
        (len(words.symbols), "symbols"),
        (len(about.base_lineage), "steps"),
        (max((len(its.steps) for its in words.traces), default=0), "steps"),
        (len(steps), "all_steps"),
        (max((len(its.operands) for its in steps), default=0), "steps"),
        (max((len(text.encode()) for text in texts(words)), default=0), "string_bytes"),
    ):
        need(count <= limits[limit], "OVERSIZE")


def texts(message: Any) -> Iterator[str]:
    """Every text in a message and in those inside it."""
    for field, value in message.ListFields():
        for item in value if field.is_repeated else [value]:
            if field.message_type:
                yield from texts(item)
            elif field.type == field.TYPE_STRING:
                yield item


def need_fitting(words: Any, its: Any) -> None:
    """Names, dimensions and rows are those that the words need."""
    shapes = {entry.name: tuple(entry.shape) for entry in its.tensors}
    dtypes = {entry.name: entry.dtype for entry in its.tensors}
    need({name for name in shapes if not name.endswith(".scale")} == set(RANKS), "BAD_SHAPE")
    steps, concepts = sum(len(trace.steps) for trace in words.traces), len(words.concepts)
    for name, rank in RANKS.items():
        rows = steps if name.startswith("maps.") else concepts
        need(len(shapes[name]) == rank and shapes[name][0] == rows, "BAD_SHAPE")
    need(shapes["means"][1] == shapes["exemplars"][2], "BAD_SHAPE")
    need(shapes["maps.indices"] == shapes["maps.weights"], "BAD_SHAPE")
    for name, dtype in dtypes.items():
        need((dtype == I32) == (name == "maps.indices"), "BAD_SHAPE")
        if name.endswith(".scale"):
            owner = name[: -len(".scale")]
            need(dtypes.get(owner) == I8 and dtype == F32, "BAD_SHAPE")
            need(shapes[name] == shapes[owner][:-1], "BAD_SHAPE")
        elif dtype == I8:
            need(name + ".scale" in shapes, "BAD_SHAPE")


def numbers(its: Any, payload: bytes) -> dict[str, Any]:
    """Shape and sum of every tensor, its scales applied."""
    flat = {entry.name: values(entry, payload) for entry in its.tensors}
    found = {}
    for entry in its.tensors:
        if not entry.name.endswith(".scale"):
            own = flat[entry.name]
            if entry.dtype == I8:
                scales = flat[entry.name + ".scale"]
                own = own.reshape(scales.size, entry.shape[-1]) * scales[:, None]
            found[entry.name] = {"shape": list(entry.shape), "sum": total(own)}
    return found


def values(entry: Any, payload: bytes) -> np.ndarray:
    """The numbers of a tensor, one after the other, in float64."""
    raw = payload[entry.offset : entry.offset + entry.bytes]
    if entry.dtype == BF16:
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4").astype("f8")
    return np.frombuffer(raw, TYPES[entry.dtype]).astype("f8")


def total(found: np.ndarray) -> float | None:
    """The sum; None if that is no finite number."""
    result = float(found.sum())
    return result if math.isfinite(result) else None
