"""Vectors of payloads whose bytes are as they were signed, of packet files and of samples.

Owns: `content_vectors`.
Does not own: what comes before the bytes (vectors_signed, vectors_manifest).
"""

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from m2kt.digest import block_digests, content_digest_of, raw_digest
from m2kt.wire.cards import envelope_to_bytes
from m2kt.wire.files import HEAD, MAGIC, MAX_ENVELOPE_BYTES
from m2kt.wire.v1 import envelope_pb2 as pb
from m2kt.wire.v1 import packet_pb2, teacher_service_pb2
from tests.wire.vectors import (
    CHUNK_BYTES,
    EXEMPLARS,
    HONEST,
    INDICES,
    MEANS,
    WEIGHTS,
    Draft,
    Tensor,
    Vector,
    bf16,
    f16,
    f32,
    i8,
    i32,
    manifest_signed,
    packet,
    rejected,
    total,
    varint,
)

MIB = 1 << 20
Words = packet_pb2.KnowledgePacket
Sample = teacher_service_pb2.SampleConceptsResponse


def content_vectors() -> Iterator[Vector]:
    yield from _encodings()
    yield from _blocks()
    yield from _tensors()
    yield from _scales()
    yield from _words()
    yield from _limits()
    yield from _payloads()
    yield from _files()
    yield from _samples()


def holds(name: str, draft: Draft, outcome: str | None = None, /, **context: Any) -> Vector:
    """A vector of a draft that is sealed as it stands: accepted, or refused for `outcome`."""
    envelope = manifest_signed(draft.manifest())
    return packet(name, outcome or draft, envelope, draft.payload, **context)


def _encodings() -> Iterator[Vector]:
    yield holds("packet", HONEST)
    eighths = np.arange(12).reshape(2, 2, 3) / 8 - 0.5
    halves = f16("exemplars", [[[1.5, -65504.0, 2**-24 * 999], [0.5, 65504, 0]], eighths[1]])
    yield holds("packet-f16", HONEST.with_tensors(halves))
    shorts = bf16(
        "exemplars", [[[3.140625, -(2.0**100), 2.0**-30], [0.5, 2.0**100, 7]], eighths[1]]
    )
    yield holds("packet-bf16", HONEST.with_tensors(shorts))
    integers = [[[127, -128, 3], [1, 0, -1]], [[90, 80, 70], [-1, -2, -3]]]
    scales = [[0.5, 2.0**-7], [0.1, 1e-3]]
    yield holds("packet-i8", HONEST.with_tensors(*i8("exemplars", integers, scales)))
    whole = (
        *i8("means", [[1, 2, 3], [-4, -5, -6]], [0.25, 0.3]),
        *i8("exemplars", integers, scales),
        *i8("maps.weights", [[127, 0], [64, 63], [1, 126]], [1 / 127, 1 / 127, 2 / 127]),
    )
    yield holds("packet-i8-throughout", HONEST.with_tensors(*whole))
    brief = (bf16("means", MEANS.values), f16("maps.weights", [[0.75, 0.25], [0.5, 0.5], [1, 0]]))
    yield holds("packet-of-three-types", HONEST.with_tensors(*brief))
    yield holds("packet-in-another-order", replace(HONEST, tensors=HONEST.tensors[::-1]))
    scale_first = (*i8("exemplars", integers, scales)[::-1], MEANS, INDICES, WEIGHTS)
    yield holds("packet-scales-first", replace(HONEST, tensors=scale_first))
    no_steps = np.zeros((0, 2))
    empty = HONEST.worded(lambda its: its.ClearField("traces")).with_tensors(
        i32("maps.indices", no_steps), f32("maps.weights", no_steps)
    )
    yield holds("packet-without-traces", empty)
    bare = HONEST.with_tensors(f32("exemplars", np.zeros((2, 0, 3))))
    yield holds("packet-without-exemplars", bare)
    for what, value in (("nan", np.nan), ("infinity", np.inf)):
        values = EXEMPLARS.values.copy()
        values[0, 0, 0] = value
        # Reading does not judge numbers; screening does.
        yield holds(f"packet-with-{what}", HONEST.with_tensors(f32("exemplars", values)))
    far = i32("maps.indices", [[0, 9], [-1, 0], [2**31 - 1, 0]])
    yield holds("packet-with-indices-out-of-range", HONEST.with_tensors(far))


def _blocks() -> Iterator[Vector]:
    """A payload longer than a block: its last tensor is all zeros, which are not kept."""
    rows = 44_000
    draft = replace(
        HONEST, tensors=(MEANS, INDICES, WEIGHTS, f32("exemplars", np.zeros((2, rows, 3))))
    )
    payload = draft.payload
    zeros = {"payload": 2 * rows * 3 * 4}
    kept = payload[: -zeros["payload"]]
    assert len(payload) > MIB, "expected more than a block"
    for name, chunk_bytes in (("700000-bytes", 700_000), ("1-MiB", MIB)):
        envelope = manifest_signed(draft.manifest(cut=chunk_bytes))
        its = packet(f"two-blocks-in-chunks-of-{name}", draft, envelope, kept)
        yield replace(its, zeros=zeros)


def _tensors() -> Iterator[Vector]:
    def shaped(name: str, *tensors: Tensor) -> Vector:
        return holds(f"tensors-{name}", HONEST.with_tensors(*tensors), "BAD_SHAPE")

    weights = WEIGHTS.values
    for its in HONEST.tensors:
        yield holds(f"tensors-without-{its.name}", HONEST.without(its.name), "BAD_SHAPE")
    yield shaped("of-a-name-more", f32("gradients", [1.0]))
    yield shaped("more-means-than-concepts", f32("means", np.ones((3, 3))))
    yield shaped("fewer-exemplars-than-concepts", f32("exemplars", np.ones((1, 2, 3))))
    yield shaped("of-two-widths", f32("exemplars", np.ones((2, 2, 4))))
    yield shaped("means-of-three-dimensions", f32("means", np.ones((2, 3, 1))))
    yield shaped("exemplars-of-two-dimensions", f32("exemplars", np.ones((2, 3))))
    yield shaped(
        "maps-of-fewer-steps", f32("maps.weights", weights[:2]), i32("maps.indices", [[0, 1]] * 2)
    )
    yield shaped("maps-of-two-shapes", f32("maps.weights", np.ones((3, 3))))
    yield shaped("indices-as-floats", f32("maps.indices", INDICES.values))
    yield shaped("means-as-integers", i32("means", MEANS.values))
    yield holds(
        "tensors-of-no-concept",
        HONEST.with_tensors(f32("means", np.zeros((0, 3))), f32("exemplars", np.zeros((0, 2, 3)))),
        "BAD_SHAPE",
    )
    endless = HONEST.worded(lambda its: its.ClearField("traces")).with_tensors(
        i32("maps.indices", np.zeros((0, 2))), f32("maps.weights", np.zeros((0, 2)))
    )
    for length in (2**64 - 1, 2**63 - 1):
        manifest = endless.manifest()
        for entry in manifest.tensors:
            if entry.name.startswith("maps."):
                entry.shape[1] = length
        envelope = manifest_signed(manifest)
        name = f"tensors-of-no-bytes-and-{length}-columns"
        yield packet(name, "BAD_SHAPE", envelope, endless.payload)


def _scales() -> Iterator[Vector]:
    def scaled(name: str, *tensors: Tensor) -> Vector:
        return holds(f"scales-{name}", HONEST.with_tensors(*tensors), "BAD_SHAPE")

    integers, scales = i8("exemplars", np.ones((2, 2, 3)), np.ones((2, 2)))
    yield scaled("missing", integers)
    yield scaled("of-floats", EXEMPLARS, scales)
    yield scaled("of-no-tensor", f32("more.scale", [1.0]))
    yield scaled("of-indices", INDICES, f32("maps.indices.scale", [1.0, 1.0, 1.0]))
    yield scaled("one-for-all", integers, f32("exemplars.scale", [1.0]))
    yield scaled("one-a-concept", integers, f32("exemplars.scale", [1.0, 1.0]))
    yield scaled("one-a-number", integers, f32("exemplars.scale", np.ones((2, 2, 3))))
    yield scaled("in-f16", integers, f16("exemplars.scale", np.ones((2, 2))))
    again = i8("exemplars.scale", np.ones((2, 2)), [1.0, 1.0])
    yield scaled("with-scales", integers, *again)


def _words() -> Iterator[Vector]:
    def worded(name: str, change: Callable[[Words], object]) -> Vector:
        return holds(f"words-{name}", HONEST.worded(change), "MALFORMED")

    def twice_one_id(its: Words) -> None:
        its.concepts[1].id = its.concepts[0].id

    def no_text(its: Words) -> None:
        its.provenance.ClearField("created_at_s")

    yield worded("two-concepts-of-one-id", twice_one_id)
    yield worded("of-another-teacher", lambda its: setattr(its.provenance, "teacher", "teacher-b"))
    yield worded("of-another-domain", lambda its: setattr(its.provenance, "domain", "arith.mod11"))
    yield worded("without-a-time", no_text)
    yield worded("at-no-number", lambda its: setattr(its.provenance, "created_at_s", math.nan))
    yield worded("without-provenance", lambda its: its.ClearField("provenance"))
    none = HONEST.worded(lambda its: its.ClearField("concepts")).with_tensors(
        f32("means", np.zeros((0, 3))), f32("exemplars", np.zeros((0, 2, 3)))
    )
    yield holds("words-of-no-concept", none, "MALFORMED")
    noise = replace(HONEST, unknown=b"\xff" * 7)
    yield holds("words-of-noise", noise, "MALFORMED")
    broken = replace(HONEST, unknown=b"\x1a\x02\xc3\x28")
    yield holds("words-not-utf8", broken, "MALFORMED")
    groups = replace(HONEST, unknown=b"\x7b")
    yield holds("words-of-a-group-without-end", groups, "MALFORMED")
    yield holds("words-more-than-they-need", HONEST.worded(_more_words))


def _more_words(its: Words) -> None:
    """Texts of every kind of letter; a concept with members; a step of no operands."""
    its.concepts[0].gloss = "\u0663 + \u0665 \U0001f9ee"
    its.concepts[1].members.extend(["a", "b"])
    its.traces[0].steps[0].ClearField("operands")
    its.symbols.append("")


def _limits() -> Iterator[Vector]:
    def many(name: str, change: Callable[[Words], object], **limits: int) -> Vector:
        return holds(f"words-{name}", HONEST.worded(change), "OVERSIZE", limits=limits)

    def nothing(its: Words) -> None:
        pass

    def first_step(its: Words) -> packet_pb2.Step:
        return its.traces[0].steps[0]

    yield many("concepts-over-own-limit", nothing, concepts=1)
    yield many(
        "members-over-own-limit", lambda its: its.concepts[0].members.extend("abc"), concepts=2
    )
    yield many("heads-over-own-limit", lambda its: its.heads.extend([its.heads[0]] * 2), concepts=2)
    yield many("traces-over-own-limit", nothing, traces=1)
    yield many("symbols-over-own-limit", nothing, symbols=6)
    yield many("all-steps-over-own-limit", nothing, all_steps=2)
    yield many("steps-over-own-limit", nothing, steps=1)
    yield many("operands-65", lambda its: first_step(its).operands.extend(["1"] * 63))
    yield many("ancestors-65", lambda its: its.provenance.base_lineage.extend(["b"] * 65))
    yield many("texts-over-own-limit", nothing, string_bytes=13)
    yield many("text-of-4097-bytes", lambda its: setattr(its.concepts[0], "gloss", "g" * 4097))
    accents = "\u00e9" * 2049
    accents, least = "\u00e9" * 20, {"string_bytes": 39}  # two bytes each
    yield many(
        "text-of-few-letters", lambda its: setattr(its.traces[0], "answer", accents), **least
    )
    yield many(
        "rule-over-own-limit", lambda its: setattr(first_step(its), "rule", accents), **least
    )
    at_most = HONEST.worded(lambda its: setattr(its.concepts[0], "gloss", "g" * 4096))
    yield holds("words-text-of-4096-bytes", at_most)


def _payloads() -> Iterator[Vector]:
    """Bytes between the tensors, and a description that ends too soon."""
    payload, entries = HONEST.laid_out()
    gap = next(e.offset + e.bytes for e in entries if (e.offset + e.bytes) % 64)
    dirty = payload[:gap] + b"\x01" + payload[gap + 1 :]
    hidden = _manifest_of(dirty)
    yield packet("padding-not-zero", "MALFORMED", manifest_signed(hidden), dirty)
    words = len(HONEST.words)
    cut = HONEST.manifest(description_bytes=words - 1)
    yield packet("description-cut", "MALFORMED", manifest_signed(cut))


def _manifest_of(payload: bytes) -> pb.Manifest:
    """The honest manifest, with the digests of another payload of the same length."""
    return HONEST.manifest(
        chunk_digests=[raw_digest(its) for its in block_digests(payload, CHUNK_BYTES)],
        content_digest=raw_digest(content_digest_of(payload)),
    )


def _files() -> Iterator[Vector]:
    manifest = HONEST.manifest(nonce=b"", audience="any")
    sealed, payload = envelope_to_bytes(manifest_signed(manifest)), HONEST.payload
    head = HEAD.pack(MAGIC, 1, len(sealed))
    whole = head + sealed + payload
    facts = HONEST.facts(manifest.SerializeToString(True))

    def file(name: str, raw: bytes, expected: str | None, **limits: int) -> Vector:
        context = {"nonce": "", **({"limits": limits} if limits else {})}
        told = facts if expected is None else rejected(expected)
        return Vector(
            name=f"file{name}", kind="file", parts={"file": raw}, expected=told, context=context
        )

    yield file("", whole, None)
    yield file("-of-another-kind", b"PK\3\4" + whole[4:], "MALFORMED")
    yield file("-of-version-2", HEAD.pack(MAGIC, 2, len(sealed)) + whole[12:], "MALFORMED")
    yield file(
        "-in-big-endian", struct.pack(">4sII", MAGIC, 1, len(sealed)) + whole[12:], "MALFORMED"
    )
    yield file("-empty", b"", "MALFORMED")
    yield file("-of-a-cut-head", head[:11], "MALFORMED")
    yield file("-of-a-cut-envelope", whole[: len(head) + len(sealed) - 1], "MALFORMED")
    too_long = HEAD.pack(MAGIC, 1, MAX_ENVELOPE_BYTES + 1) + whole[12:]
    yield file("-of-too-long-an-envelope", too_long, "OVERSIZE")
    yield file("-cut", whole[:-1], "INCOMPLETE")
    yield file("-without-its-payload", head + sealed, "INCOMPLETE")
    yield file("-with-a-byte-more", whole + b"\0", "CHUNK_MISMATCH")
    yield file("-flipped", whole[:-1] + bytes([whole[-1] ^ 1]), "CHUNK_MISMATCH")
    yield file("-over-own-limit", whole, "OVERSIZE", payload_bytes=len(payload) - 1)


STATES = [[[1.0, 2.0, 3.0], [-1.0, -2.5, 0.1]], [[4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]]


def shown(name: str, outcome: str | None, values: Any = STATES, **more: Any) -> Vector:
    """A vector of a sample with other values, or other fields beside them."""
    its = f32("sample", values)
    fields = {"shape": its.shape, "states": its.raw, "of": 400, "layer": 2, "depth": 4, **more}
    raw = Sample(**fields).SerializeToString(deterministic=True)
    good = {"result": "accepted", "shape": list(its.shape), "sum": total(its.values)}
    told = rejected(outcome) if outcome else {**good, "of": fields["of"], "layer": 2, "depth": 4}
    name = f"sample-{name}" if name else "sample"
    return Vector(name=name, kind="sample", parts={"sample": raw}, expected=told)


def _samples() -> Iterator[Vector]:
    yield shown("", None)
    yield shown("of-two-concepts-of-few", None, of=4)
    yield shown("of-one-dimension", "BAD_SHAPE", shape=[12])
    yield shown("of-four-dimensions", "BAD_SHAPE", shape=[2, 2, 3, 1])
    yield shown("of-three-exemplars", "BAD_SHAPE", shape=[1, 3, 4])
    yield shown("of-no-concept", "BAD_SHAPE", shape=[0, 2, 3], states=b"")
    yield shown("of-too-few-bytes", "BAD_SHAPE", shape=[2, 2, 4])
    yield shown("of-product-0-modulo-2^64", "BAD_SHAPE", shape=[2**62, 2, 2**62], states=b"")
    yield shown("of-more-than-a-hundredth", "OVERSIZE", STATES * 2, of=799)
    yield shown("of-a-hundredth", None, STATES * 2, of=800)
    yield shown("with-nan", "MALFORMED", [[[math.nan] * 3] * 2])
    yield shown("with-infinity", "MALFORMED", [[[math.inf] * 3] * 2])
    yield shown("of-a-layer-beyond-the-last", "MALFORMED", layer=5)
    yield shown("of-a-model-without-layers", "MALFORMED", layer=0, depth=0)
    yield from _no_samples()


def _no_samples() -> Iterator[Vector]:
    length, width = (8 << 20) + 16, (8 << 20) // 16 + 1
    head = Sample(shape=[2, 2, width], of=2**40, layer=2, depth=4).SerializeToString(True)
    field = Sample.DESCRIPTOR.fields_by_name["states"].number
    yield Vector(
        name="sample-over-8-MiB",
        kind="sample",
        parts={"sample": head + varint(field << 3 | 2) + varint(length)},
        expected=rejected("OVERSIZE"),
        zeros={"sample": length},
    )
    yield Vector(
        name="sample-of-noise",
        kind="sample",
        parts={"sample": b"\xff" * 9},
        expected=rejected("MALFORMED"),
    )
