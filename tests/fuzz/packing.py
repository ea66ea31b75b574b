"""A sealed packet taken apart and put together again, its digests and signature made right.

A fuzzer that changes signed bytes is stopped at the signature. Here it has the teacher's key:
whatever is wrong with a packet, it is authentic, or nearly so.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from m2kt.digest import block_digests, content_digest_of, raw_digest
from m2kt.wire.cards import envelope_from_bytes, envelope_to_bytes
from m2kt.wire.files import HEAD, MAGIC, VERSION
from m2kt.wire.manifest import aligned
from m2kt.wire.v1 import envelope_pb2 as pb
from m2kt.wire.v1 import packet_pb2
from tests.fuzz.mangling import LONGEST, mangled, message_in, tampered
from tests.sealing import signed

GOLDEN: Final = Path(__file__).parents[1] / "wire" / "golden"
WIDTHS: Final = {
    pb.DTYPE_F32: 4,
    pb.DTYPE_F16: 2,
    pb.DTYPE_BF16: 2,
    pb.DTYPE_I8: 1,
    pb.DTYPE_I32: 4,
}


@dataclass
class Parts:
    """What a packet file holds: the manifest, the description, the bytes of each tensor."""

    manifest: pb.Manifest
    description: bytes
    tensors: list[bytes]

    @classmethod
    def of(cls, raw: bytes) -> "Parts":
        """Those of a valid packet file."""
        length = HEAD.unpack_from(raw)[2]
        envelope = envelope_from_bytes(raw[HEAD.size : HEAD.size + length])
        manifest = pb.Manifest.FromString(envelope.payload)
        payload = raw[HEAD.size + length :]
        tensors = [payload[its.offset : its.offset + its.bytes] for its in manifest.tensors]
        return cls(manifest, payload[: manifest.description_bytes], tensors)

    def fit(self) -> None:
        """Makes the tensors as long as their shapes say, with a row for each concept and step."""
        said = message_in(self.description, packet_pb2.KnowledgePacket)
        steps = sum(len(trace.steps) for trace in said.traces)
        self.tensors += [b""] * (len(self.manifest.tensors) - len(self.tensors))
        for index, entry in enumerate(self.manifest.tensors):
            if entry.shape:
                entry.shape[0] = steps if entry.name.startswith("maps") else len(said.concepts)
            needed = WIDTHS.get(entry.dtype, 0)
            for extent in entry.shape:
                needed *= extent
            if needed <= LONGEST:
                self.tensors[index] = self.tensors[index][:needed].ljust(needed, b"\0")

    def payload(self) -> bytes:
        """The bytes, laid out as the manifest now says."""
        laid = bytearray(self.description)
        for entry, raw in zip(self.manifest.tensors, self.tensors, strict=False):
            laid += bytes(aligned(len(laid)) - len(laid))
            entry.offset, entry.bytes = len(laid), len(raw)
            laid += raw
        self.manifest.description_bytes = len(self.description)
        return bytes(laid)


def packed(
    manifest: pb.Manifest,
    payload: bytes,
    spoil: Callable[[pb.Manifest], pb.Manifest] = lambda same: same,
) -> bytes:
    """The file of a packet: digests of `payload`, then `spoil`, then the signature."""
    length = max(manifest.chunk_bytes, 1 + len(payload) // 64)
    manifest.payload_bytes, manifest.chunk_bytes = len(payload), min(length, 2**32 - 1)
    manifest.chunk_digests[:] = map(raw_digest, block_digests(payload, length))
    manifest.content_digest = raw_digest(content_digest_of(payload))
    envelope = envelope_to_bytes(signed(spoil(manifest)))
    return HEAD.pack(MAGIC, VERSION, len(envelope)) + envelope + payload


def described(description: bytes) -> bytes:
    """The file of an authentic packet of this description, with tensors of the right sizes."""
    its = Parts.of((GOLDEN / "packet-f32.m2kt").read_bytes())
    its.description = description
    its.fit()
    return packed(its.manifest, its.payload())


def resealed(raw: bytes, rng: random.Random) -> bytes:
    """Another packet file: one part of `raw` was changed, and the teacher signed it again."""
    try:
        its = Parts.of(raw)
    except Exception:  # whatever the fuzzer has made of it, it is no file to begin from
        its = Parts.of(rng.choice(sorted(GOLDEN.glob("*.m2kt"))).read_bytes())
    rng.choice((_words, _description, _table, _values, _nothing))(its, rng)
    if rng.random() < 0.8:
        its.fit()
    payload = its.payload()
    what = rng.choice(("as it is", "as it is", "payload", "manifest", "file"))
    if what == "manifest":
        return packed(its.manifest, payload, lambda message: tampered(message, rng))
    whole = packed(its.manifest, mangled(payload, rng) if what == "payload" else payload)
    return mangled(whole, rng) if what == "file" else whole


def _words(its: Parts, rng: random.Random) -> None:
    message = message_in(its.description, packet_pb2.KnowledgePacket)
    its.description = tampered(message, rng).SerializeToString()


def _description(its: Parts, rng: random.Random) -> None:
    its.description = mangled(its.description, rng)


def _table(its: Parts, rng: random.Random) -> None:
    tampered(rng.choice(its.manifest.tensors or [its.manifest.tensors.add()]), rng)


def _values(its: Parts, rng: random.Random) -> None:
    if its.tensors:
        at = rng.randrange(len(its.tensors))
        its.tensors[at] = mangled(its.tensors[at], rng)


def _nothing(its: Parts, rng: random.Random) -> None:
    """Leaves all parts as they are."""
