"""Vectors of manifests that are signed: for whom, when, how much, and how tensors tile a payload.

Owns: `manifest_vectors`.
Does not own: who signed (vectors_signed), what the bytes say (vectors_content).
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

from m2kt.digest import digest_of
from m2kt.wire.v1 import envelope_pb2 as pb
from tests.packets import NOW_S, STUDENT
from tests.sealing import NONCE
from tests.wire.vectors import CHUNK_BYTES, HONEST, Draft, Vector, manifest_signed, packet

WEEK_S = 7 * 86400.0
MIB = 1 << 20
LARGEST = 2**64 - 1


def manifest_vectors() -> Iterator[Vector]:
    yield from _addressed()
    yield from _timely()
    yield from _versions_and_names()
    yield from _limits()
    yield from _entries()
    yield from _tables()
    yield from _chunks()
    yield from _digests()


def said(name: str, outcome: Draft | str, context: Any = None, /, **fields: Any) -> Vector:
    """A vector of a manifest that says something else in some fields."""
    envelope = manifest_signed(HONEST.manifest(**fields))
    return packet(name, outcome, envelope, **(context or {}))


def _addressed() -> Iterator[Vector]:
    yield said("audience-any", HONEST, audience="any")
    yield said("audience-another", "WRONG_AUDIENCE", audience="student-t")
    yield said("audience-longer", "WRONG_AUDIENCE", audience=STUDENT + "1")
    yield said("nonce-another", "WRONG_NONCE", nonce=b"another nonce 16")
    yield said("nonce-shorter", "WRONG_NONCE", nonce=NONCE[:-1])
    yield said("nonce-missing", "WRONG_NONCE", nonce=b"")
    yield said("nonce-of-an-exchange-at-rest", "WRONG_NONCE", {"nonce": ""})
    yield said("at-rest", HONEST, {"nonce": ""}, nonce=b"", audience="any")
    yield said("nonce-not-asked-for", HONEST, {"nonce": None})
    yield said("nonce-of-64-bytes", HONEST, {"nonce": "ab" * 64}, nonce=b"\xab" * 64)
    yield said("domain-another", "PROTOCOL", {"domain": "arith.mod11"})
    yield said("domain-not-asked-for", HONEST, {"domain": None})
    seen = digest_of(HONEST.manifest().SerializeToString(True))
    yield said("replayed", "REPLAYED", {"seen": ["b3:" + "0" * 64, seen]})
    yield said("seen-another", HONEST, {"seen": ["b3:" + "0" * 64]})
    yield said("sequence-of-64-bits", HONEST, sequence=LARGEST)
    late = {"issued_at_s": NOW_S - 900, "expires_at_s": NOW_S - 300}
    yield said("another-audience-and-expired", "WRONG_AUDIENCE", audience="student-t", **late)
    yield said("replayed-and-expired", "EXPIRED", {"now_s": NOW_S + 900, "seen": [seen]})


def _timely() -> Iterator[Vector]:
    def at(name: str, outcome: Draft | str, now_s: float) -> Vector:
        return said(name, outcome, {"now_s": NOW_S + now_s})

    def life(name: str, outcome: Draft | str, life_s: float) -> Vector:
        return said(name, outcome, expires_at_s=NOW_S + life_s)

    yield at("clock-5-s-behind", HONEST, -5.0)
    yield at("clock-more-than-5-s-behind", "NOT_YET_VALID", -5.25)
    yield at("clock-a-day-behind", "NOT_YET_VALID", -86400.0)
    yield at("clock-at-the-end", HONEST, 600.0)
    yield at("clock-almost-5-s-past-the-end", HONEST, 604.75)
    yield at("clock-5-s-past-the-end", "EXPIRED", 605.0)
    yield at("clock-a-day-ahead", "EXPIRED", 86400.0)
    yield life("valid-for-7-days", HONEST, WEEK_S)
    yield life("valid-for-more-than-7-days", "MALFORMED", WEEK_S + 1)
    yield life("valid-for-no-time", "MALFORMED", 0.0)
    yield life("valid-until-before-it-was-issued", "MALFORMED", -1.0)
    yield life("valid-for-ever", "MALFORMED", math.inf)
    yield life("valid-until-no-number", "MALFORMED", math.nan)
    yield said("issued-at-no-number", "MALFORMED", issued_at_s=math.nan)
    yield said("issued-at-minus-infinity", "MALFORMED", issued_at_s=-math.inf)


def _versions_and_names() -> Iterator[Vector]:
    yield said("protocol-of-version-2", "MALFORMED", protocol="m2kt.wire.v2")
    yield said("protocol-missing", "MALFORMED", protocol="")
    yield said("teacher-in-capitals", "MALFORMED", teacher="Teacher-A")
    yield said("teacher-missing", "MALFORMED", teacher="")
    yield said("teacher-another", "BAD_SIGNATURE", teacher="teacher-b")
    yield said("audience-of-65-characters", "MALFORMED", audience="s" * 65)
    yield said("audience-ends-with-a-dot", "MALFORMED", audience="student.")


def _limits() -> Iterator[Vector]:
    def own(what: str, limit: int, found: int) -> Iterator[Vector]:
        key = what.replace("-", "_")
        yield said(f"own-limit-of-{what}-met", HONEST, {"limits": {key: found}})
        yield said(f"own-limit-of-{what}-broken", "OVERSIZE", {"limits": {key: limit}})

    payload, entries = HONEST.laid_out()
    yield said("payload-over-64-MiB", "OVERSIZE", payload_bytes=64 * MIB + 1)
    yield said("payload-of-64-bits", "OVERSIZE", payload_bytes=LARGEST)
    yield said("description-over-1-MiB", "OVERSIZE", description_bytes=MIB + 1)
    yield said("chunks-over-1-MiB", "OVERSIZE", chunk_bytes=MIB + 1)
    yield said("nonce-of-65-bytes", "OVERSIZE", {"nonce": None}, nonce=bytes(65))
    yield said("domain-of-4097-bytes", "OVERSIZE", {"domain": None}, domain="d" * 4097)
    accents, short = "\u00e9" * 12, {"limits": {"string_bytes": 20}}  # two bytes each
    yield said("domain-of-few-letters", "OVERSIZE", {"domain": None, **short}, domain=accents)
    many = [pb.TensorEntry(name=f"t{n}", dtype=pb.DTYPE_F32, shape=[0]) for n in range(17)]
    yield said("17-tensors", "OVERSIZE", tensors=many)
    flat = pb.TensorEntry(name="means", dtype=pb.DTYPE_F32, shape=[1] * 5, bytes=4)
    yield said("5-dimensions", "OVERSIZE", tensors=[flat])
    named = pb.TensorEntry(name="m" * 21, dtype=pb.DTYPE_F32, shape=[0])
    yield said("tensor-name-over-own-limit", "OVERSIZE", short, tensors=[named])
    yield from own("payload-bytes", len(payload) - 1, len(payload))
    yield from own("description-bytes", len(HONEST.words) - 1, len(HONEST.words))
    yield from own("chunk-bytes", CHUNK_BYTES - 1, CHUNK_BYTES)
    yield from own("tensors", len(entries) - 1, len(entries))
    shorter = {"limits": {"lifetime_s": 599.0}}
    yield said("own-limit-of-lifetime-broken", "MALFORMED", shorter)


def table(name: str, change: Callable[[list[pb.TensorEntry]], object]) -> Vector:
    """A vector of a table that contradicts itself, or what it is about."""
    entries = HONEST.laid_out()[1]
    change(entries)
    return said(f"table-{name}", "BAD_SHAPE", tensors=entries)


def entry(name: str, which: int = 0, **fields: Any) -> Vector:
    """The same, for other values in one entry."""

    def change(entries: list[pb.TensorEntry]) -> None:
        for field, value in fields.items():
            entries[which].ClearField(field)  # type: ignore[arg-type]
            if field == "shape":
                entries[which].shape.extend(value)
            else:
                setattr(entries[which], field, value)

    return table(name, change)


def _entries() -> Iterator[Vector]:
    entries = HONEST.laid_out()[1]
    first, last = entries[0], entries[-1]
    yield entry("not-aligned", offset=first.offset + 4)
    yield entry("gap", 3, offset=last.offset + 64)
    yield entry("overlap", 1, offset=first.offset)
    yield entry("over-the-description", offset=0)
    yield entry("offset-of-64-bits", offset=LARGEST - 63)
    yield entry("bytes-too-few", bytes=first.bytes - 4)
    yield entry("bytes-too-many", bytes=first.bytes + 4)
    yield entry("bytes-of-64-bits", bytes=LARGEST)
    yield entry("shape-larger", shape=[2, 4])
    yield entry("shape-of-product-2^62", shape=[2**31, 2**31])
    yield entry("shape-of-product-2^64", shape=[2**32, 2**32], bytes=0)
    yield entry("shape-of-bytes-2^64", shape=[2**31, 2**31], bytes=0)
    yield entry("shape-of-product-6-modulo-2^64", shape=[2**63 + 3, 2])
    yield entry("type-unspecified", dtype=0)
    yield entry("type-unknown", dtype=6)
    yield entry("type-of-another-width", dtype=pb.DTYPE_F16)


def _tables() -> Iterator[Vector]:
    entries = HONEST.laid_out()[1]
    begin, end = entries[0].offset, _end(entries[-1])
    yield said("table-in-another-order", HONEST, tensors=entries[::-1])
    yield table("twice-one-name", lambda its: its[1].MergeFrom(pb.TensorEntry(name="means")))
    yield table("last-missing", lambda its: its.pop())
    yield table("empty", lambda its: its.clear())
    yield table("one-more-of-no-bytes", _one_more)
    yield said("table-shorter-than-the-payload", "BAD_SHAPE", payload_bytes=end + 1)
    yield said("table-longer-than-the-payload", "BAD_SHAPE", payload_bytes=end - 1)
    yield said("description-longer-than-said", "BAD_SHAPE", description_bytes=begin + 1)
    yield said("description-covers-all", "BAD_SHAPE", description_bytes=end)


def _one_more(entries: list[pb.TensorEntry]) -> None:
    """A tensor of no bytes, where the next one would begin."""
    offset = -(-_end(entries[-1]) // 64) * 64
    entries.append(pb.TensorEntry(name="more", dtype=pb.DTYPE_F32, shape=[0], offset=offset))


def _end(entry: pb.TensorEntry) -> int:
    return entry.offset + entry.bytes


def _chunks() -> Iterator[Vector]:
    payload, envelope = HONEST.payload, manifest_signed(HONEST.manifest())
    count = len(HONEST.manifest().chunk_digests)
    flipped = payload[:300] + bytes([payload[300] ^ 1]) + payload[301:]

    def come(name: str, outcome: str, raw: bytes = payload, order: Any = None) -> Vector:
        context = {} if order is None else {"chunks": order}
        return packet(f"chunk-{name}", outcome, envelope, raw, **context)

    for name, chunk_bytes in (("64-bytes", 64), ("all-bytes", len(payload)), ("1-MiB", MIB)):
        whole = manifest_signed(HONEST.manifest(cut=chunk_bytes))
        yield packet(f"chunks-of-{name}", HONEST, whole)
    yield come("flipped", "CHUNK_MISMATCH", flipped)
    yield come("last-cut", "CHUNK_MISMATCH", payload[:-1])
    yield come("last-longer", "CHUNK_MISMATCH", payload + b"\0")
    yield come("one-more", "CHUNK_MISMATCH", order=[*range(count), count])
    yield come("twice", "CHUNK_MISMATCH", order=[0, 0, *range(1, count)])
    yield come("left-out", "CHUNK_MISMATCH", order=[0, *range(2, count)])
    yield come("out-of-order", "CHUNK_MISMATCH", order=[1, 0, *range(2, count)])
    yield come("last-missing", "INCOMPLETE", order=list(range(count - 1)))
    yield come("all-missing", "INCOMPLETE", b"")


def _digests() -> Iterator[Vector]:
    payload, digests = HONEST.payload, list(HONEST.manifest().chunk_digests)
    swapped = [digests[1], digests[0], *digests[2:]]
    yield said("chunk-digests-swapped", "CHUNK_MISMATCH", chunk_digests=swapped)
    yield said("chunk-digest-too-few", "MALFORMED", chunk_digests=digests[:-1])
    yield said("chunk-digest-too-many", "MALFORMED", chunk_digests=[*digests, bytes(32)])
    yield said("chunk-digest-of-31-bytes", "MALFORMED", chunk_digests=[*digests[:-1], bytes(31)])
    yield said("chunks-of-no-bytes", "MALFORMED", chunk_bytes=0)
    yield said("payload-of-no-bytes", "MALFORMED", payload_bytes=0, chunk_digests=[])
    yield said("content-digest-wrong", "CHUNK_MISMATCH", content_digest=bytes(32))
    plain = bytes.fromhex(digest_of(payload).removeprefix("b3:"))
    yield said("content-digest-not-derived", "CHUNK_MISMATCH", content_digest=plain)
    yield said("content-digest-missing", "MALFORMED", content_digest=b"")
    mebibyte = manifest_signed(HONEST.manifest(cut=MIB, content_digest=bytes(32)))
    yield packet("content-digest-wrong-chunks-of-1-MiB", "CHUNK_MISMATCH", mebibyte)
