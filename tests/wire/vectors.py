"""What vectors of the wire format are made of: a small honest packet, and ways to spoil it.

Its tensors are laid out and its facts are told here, from the numbers that went in: a reader
that is wrong about them cannot make them so.

Owns: `Vector`, `Draft`, the files that a list of vectors is frozen in.
Does not own: which vectors there are (the other files of that name).
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from google.protobuf.message import Message

from m2kt.digest import content_digest_of, digest_of, raw_digest
from m2kt.signing import Envelope, Signer, sign_envelope
from m2kt.wire.cards import envelope_to_bytes
from m2kt.wire.manifest import MANIFEST_TYPE
from m2kt.wire.v1 import envelope_pb2, packet_pb2
from tests.packets import NOW_S, STUDENT, TEACHER, signer
from tests.sealing import NONCE

DOMAIN, CHUNK_BYTES = "arith.mod7", 256
DEFAULTS: dict[str, Any] = {
    "agent": STUDENT,
    "now_s": NOW_S,
    "nonce": NONCE.hex(),
    "domain": DOMAIN,
    "threshold": 1,
    "keys": [{"key_id": signer().key_id, "agent": TEACHER}],
    "revoked": [],
    "limits": {},
    "seen": [],
    "chunks": None,
}
"""What a receiver holds a vector against, where the vector does not say otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """Bytes, who reads them, and what that must come to.

    Attributes:
        name: What it shows.
        kind: packet, file, receipt, card, rotation or sample.
        parts: The bytes, by what they are.
        expected: The reader's answer.
        context: What differs from `DEFAULTS`.
        zeros: How many zero bytes follow a part that would be too long to keep.
    """

    name: str
    kind: str
    parts: Mapping[str, bytes]
    expected: Mapping[str, Any]
    context: Mapping[str, Any] = field(default_factory=dict)
    zeros: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor as it travels, and the numbers that it stands for."""

    name: str
    dtype: int
    values: np.ndarray
    raw: bytes = field(repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape


def f32(name: str, values: Any) -> Tensor:
    numbers = np.asarray(values, dtype="<f4")
    return Tensor(name, envelope_pb2.DTYPE_F32, numbers, numbers.tobytes())


def f16(name: str, values: Any) -> Tensor:
    numbers = np.asarray(values, dtype="<f2")
    return Tensor(name, envelope_pb2.DTYPE_F16, numbers, numbers.tobytes())


def bf16(name: str, values: Any) -> Tensor:
    """`values` must be exact in bfloat16: the upper half of their float32."""
    numbers = np.asarray(values, dtype="<f4")
    halves = np.ascontiguousarray(numbers).view("<u2").reshape(*numbers.shape, 2)
    assert not halves[..., 0].any(), f"{name} is not exact in bfloat16"
    return Tensor(name, envelope_pb2.DTYPE_BF16, numbers, halves[..., 1].tobytes())


def i32(name: str, values: Any) -> Tensor:
    numbers = np.asarray(values, dtype="<i4")
    return Tensor(name, envelope_pb2.DTYPE_I32, numbers, numbers.tobytes())


def i8(name: str, integers: Any, scales: Any) -> tuple[Tensor, Tensor]:
    """A tensor of integers, and that of its scales."""
    scale = f32(f"{name}.scale", scales)
    whole = np.asarray(integers, dtype="i1")
    values = whole * scale.values.astype("f8")[..., None]
    return Tensor(name, envelope_pb2.DTYPE_I8, values, whole.tobytes()), scale


MEANS = f32("means", [[1.0, -2.0, 0.5], [0.25, 8.0, -0.125]])
EXEMPLARS = f32(
    "exemplars",
    [[[1.5, -2.5, 0.5], [0.5, -1.5, 0.5]], [[0.5, 8.5, -0.25], [0.0, 7.5, 0.1]]],
)
INDICES = i32("maps.indices", [[0, 1], [1, 0], [1, 0]])
WEIGHTS = f32("maps.weights", [[0.75, 0.25], [0.5, 0.5], [0.9, 0.1]])


def described() -> packet_pb2.KnowledgePacket:
    """The words of the honest packet: two concepts, two traces of three steps."""

    def step(rule: str, one: str, other: str, result: str) -> packet_pb2.Step:
        stem, concept = f"{one}{rule}{other}=", f"{DOMAIN}/{one}{rule}{other}"
        return packet_pb2.Step(
            rule=rule, operands=(one, other), result=result, stem=stem, concept=concept
        )

    plus, times = step("+", "3", "5", "1"), step("*", "1", "4", "4")
    return packet_pb2.KnowledgePacket(
        concepts=[
            packet_pb2.Concept(id=its.concept, gloss=its.stem, prompt=its.stem)
            for its in (plus, times)
        ],
        traces=[
            packet_pb2.Trace(question="(3+5)*4", steps=[plus, times], answer="4"),
            packet_pb2.Trace(question="1*4", steps=[times], answer="4"),
        ],
        symbols="0123456",
        provenance=packet_pb2.Provenance(
            teacher=TEACHER, domain=DOMAIN, family="gpt2", layer=4, created_at_s=NOW_S - 60
        ),
        heads=[packet_pb2.TestedHead(layer=1, head=2, effect=0.5, p=0.001, weight=1.0)],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A packet before it is sealed.

    Attributes:
        description: Its words.
        tensors: Its numbers, as they lie in the payload.
        unknown: Bytes after the description: fields that nobody knows.
    """

    description: packet_pb2.KnowledgePacket = field(default_factory=described)
    tensors: tuple[Tensor, ...] = (MEANS, EXEMPLARS, INDICES, WEIGHTS)
    unknown: bytes = b""

    def worded(self, change: Callable[[packet_pb2.KnowledgePacket], object]) -> "Draft":
        """With other words."""
        changed = packet_pb2.KnowledgePacket()
        changed.CopyFrom(self.description)
        change(changed)
        return replace(self, description=changed)

    def with_tensors(self, *tensors: Tensor) -> "Draft":
        """With these in the place of those of their names, and after them."""
        new = {its.name: its for its in tensors}
        old = {its.name: its for its in self.tensors}
        return replace(self, tensors=tuple({**old, **new}.values()))

    def without(self, name: str) -> "Draft":
        """Without a tensor."""
        return replace(self, tensors=tuple(its for its in self.tensors if its.name != name))

    @property
    def words(self) -> bytes:
        """The description as it travels."""
        return self.description.SerializeToString(deterministic=True) + self.unknown

    def laid_out(self) -> tuple[bytes, list[envelope_pb2.TensorEntry]]:
        """The payload and its table: each tensor at the next multiple of 64."""
        payload, entries = bytearray(self.words), []
        for its in self.tensors:
            payload += bytes(-len(payload) % 64)
            entries.append(
                envelope_pb2.TensorEntry(
                    name=its.name,
                    dtype=its.dtype,  # type: ignore[arg-type]
                    shape=its.shape,
                    offset=len(payload),
                    bytes=len(its.raw),
                )
            )
            payload += its.raw
        return bytes(payload), entries

    @property
    def payload(self) -> bytes:
        """The bytes."""
        return self.laid_out()[0]

    def manifest(self, *, cut: int = CHUNK_BYTES, **fields: Any) -> envelope_pb2.Manifest:
        """An honest manifest of chunks of `cut` bytes; then `fields` as they are given."""
        payload, entries = self.laid_out()
        pieces = (payload[at : at + cut] for at in range(0, len(payload), cut))
        message = envelope_pb2.Manifest(
            protocol="m2kt.wire.v1",
            teacher=TEACHER,
            audience=STUDENT,
            domain=DOMAIN,
            nonce=NONCE,
            sequence=1,
            issued_at_s=NOW_S,
            expires_at_s=NOW_S + 600,
            description_bytes=len(self.words),
            payload_bytes=len(payload),
            tensors=entries,
            chunk_bytes=cut,
            chunk_digests=[raw_digest(digest_of(piece)) for piece in pieces],
            content_digest=raw_digest(content_digest_of(payload)),
        )
        return changed(message, **fields)

    def facts(self, manifest: bytes) -> dict[str, Any]:
        """What a reader finds in it."""
        words = self.description
        return {
            "result": "accepted",
            "packet_id": digest_of(manifest),
            "content_digest": content_digest_of(self.payload),
            "teacher": words.provenance.teacher,
            "domain": words.provenance.domain,
            "concepts": [its.id for its in words.concepts],
            "traces": len(words.traces),
            "answer": words.traces[0].answer if words.traces else "",
            "tensors": {
                its.name: {"shape": list(its.shape), "sum": total(its.values)}
                for its in self.tensors
                if not its.name.endswith(".scale")
            },
        }


HONEST = Draft()


def total(values: np.ndarray) -> float | None:
    """The sum, in float64; None if that is no finite number."""
    found = float(values.astype("f8").sum())
    return found if math.isfinite(found) else None


def changed(message: envelope_pb2.Manifest, **fields: Any) -> envelope_pb2.Manifest:
    """`message` with other values in some fields."""
    for name, value in fields.items():
        message.ClearField(name)  # type: ignore[arg-type]
        if isinstance(value, list):
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)
    return message


def tagged(number: int, value: int | bytes) -> bytes:
    """A field as protobuf writes it: a varint, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    digits = bytearray()
    while value >= 128:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes(digits) + bytes([value])


def manifest_signed(manifest: envelope_pb2.Manifest | bytes, *keys: Signer) -> Envelope:
    """A manifest in an envelope; by the teacher unless others are named."""
    raw = manifest if isinstance(manifest, bytes) else manifest.SerializeToString(True)
    return sign_envelope(MANIFEST_TYPE, raw, *(keys or (signer(),)))


def rejected(reason: str) -> dict[str, Any]:
    return {"result": "rejected", "reason": reason}


def packet(
    name: str,
    outcome: Draft | str,
    envelope: Envelope | bytes,
    payload: bytes | None = None,
    **context: Any,
) -> Vector:
    """A vector of a packet: of a draft that a reader finds in it, or the reason for which not.

    What is in the honest draft one vector tells; of the others it does to name it.
    """
    sealed = envelope if isinstance(envelope, bytes) else envelope_to_bytes(envelope)
    raw = envelope_pb2.Envelope.FromString(sealed).payload if isinstance(outcome, Draft) else b""
    honest = outcome.payload if isinstance(outcome, Draft) else HONEST.payload
    found = outcome.facts(raw) if isinstance(outcome, Draft) else rejected(outcome)
    if outcome is HONEST and name != "packet":
        found = {key: found[key] for key in ("result", "packet_id", "content_digest", "teacher")}
    return Vector(
        name=name,
        kind="packet",
        parts={"envelope": sealed, "payload": honest if payload is None else payload},
        expected=found,
        context={key: value for key, value in context.items() if value != {}},
    )


def stated(
    kind: str, name: str, outcome: Mapping[str, Any] | str, envelope: Envelope, **context: Any
) -> Vector:
    told = rejected(outcome) if isinstance(outcome, str) else {"result": "accepted", **outcome}
    name = f"{kind}-{name}" if name else kind
    parts = {"envelope": envelope_to_bytes(envelope)}
    return Vector(name=name, kind=kind, parts=parts, expected=told, context=context)


def signed(kind: str, message: Message | bytes, *keys: Signer) -> Envelope:
    raw = message if isinstance(message, bytes) else message.SerializeToString(deterministic=True)
    return sign_envelope(kind, raw, *keys)


SUFFIXES = {"envelope": "bin", "payload": "payload", "file": "m2kt", "sample": "sample"}


def frozen(vectors: Sequence[Vector]) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the files that hold `vectors`; what is equal is held once."""
    held: dict[tuple[str, bytes], str] = {}
    table = []
    for its in vectors:
        files = {}
        for part, raw in its.parts.items():
            files[part] = held.setdefault((part, raw), f"{its.name}.{SUFFIXES[part]}")
        line = {"name": its.name, "kind": its.kind, "files": files, "zeros": dict(its.zeros)}
        line |= {"context": dict(its.context), "expected": dict(its.expected)}
        table.append({key: value for key, value in line.items() if value})
    yield from ((name, raw) for (_, raw), name in held.items())
    lines = ",\n".join("  " + json.dumps(line, allow_nan=False) for line in table)
    defaults = json.dumps(DEFAULTS)
    yield "vectors.json", f'{{"defaults": {defaults},\n "vectors": [\n{lines}\n]}}\n'.encode()
