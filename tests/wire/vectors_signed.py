"""Vectors of envelopes, keys and encodings: who signed, which bytes, in which form.

Owns: `signed_vectors`.
Does not own: what a manifest says (vectors_manifest), what a packet holds (vectors_content).
"""

from collections.abc import Iterator
from dataclasses import replace

from m2kt.identity import KeyId
from m2kt.signing import Envelope, Signature, pae, sign_envelope
from m2kt.trust import D, P, key_id_of
from m2kt.wire.cards import RECEIPT_TYPE, envelope_to_bytes
from m2kt.wire.manifest import MANIFEST_TYPE
from m2kt.wire.v1 import envelope_pb2 as pb
from tests.packets import NOW_S, TEACHER, signer
from tests.wire.vectors import (
    HONEST,
    Vector,
    changed,
    manifest_signed,
    packet,
    tagged,
    varint,
)

FIRST, SECOND, OTHERS, STRANGER = signer(1), signer(3), signer(4), signer(5)
KEY = {"key_id": FIRST.key_id, "agent": TEACHER}
TWO = [KEY, {"key_id": SECOND.key_id, "agent": TEACHER}]
ENVELOPE = manifest_signed(HONEST.manifest())
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493  # of Ed25519, RFC 8032
DEEP = 11_000
"""Groups in groups: more than any parser follows."""


def signed_vectors() -> Iterator[Vector]:
    yield from _keys()
    yield from _signatures()
    yield from _weak_keys()
    yield from _several_signers()
    yield from _replaced_keys()
    yield from _types()
    yield from _unknown_fields()
    yield from _encodings()
    yield from _no_messages()


def _keys() -> Iterator[Vector]:
    name = FIRST.key_id
    unknown = manifest_signed(HONEST.manifest(), STRANGER)
    yield packet("key-unknown", "UNKNOWN_KEY", unknown)
    yield packet("key-none", "UNKNOWN_KEY", replace(ENVELOPE, signatures=()))
    yield packet("key-revoked", "REVOKED_KEY", ENVELOPE, keys=[], revoked=[name])
    yield packet("key-revoked-and-enrolled", "REVOKED_KEY", ENVELOPE, revoked=[name])
    for what, wrong in (
        ("upper-case", name[:8] + name[8:].upper()),
        ("short", name[:-2]),
        ("of-another-kind", "rsa" + name[7:]),
        ("empty", ""),
        ("with-a-line-break", name + "\n"),
    ):
        named = Signature(KeyId(wrong), ENVELOPE.signatures[0].signature)
        yield packet(f"key-id-{what}", "UNKNOWN_KEY", replace(ENVELOPE, signatures=(named,)))
    beside = replace(ENVELOPE, signatures=(*ENVELOPE.signatures, Signature(KeyId("no key"), b"")))
    yield packet("key-id-wrong-beside-a-good-signature", "UNKNOWN_KEY", beside)
    another = manifest_signed(HONEST.manifest(), OTHERS)
    keys = [KEY, {"key_id": OTHERS.key_id, "agent": "teacher-b"}]
    yield packet("key-of-another-agent", "BAD_SIGNATURE", another, keys=keys)


def _forged(signature: bytes, key_id: KeyId = FIRST.key_id) -> Envelope:
    return replace(ENVELOPE, signatures=(Signature(key_id, signature),))


def _signatures() -> Iterator[Vector]:
    good, payload = ENVELOPE.signatures[0].signature, ENVELOPE.payload
    s = int.from_bytes(good[32:], "little") + GROUP_ORDER
    yield packet("signature-flipped", "BAD_SIGNATURE", _forged(bytes([good[0] ^ 1]) + good[1:]))
    yield packet("signature-of-zeros", "BAD_SIGNATURE", _forged(bytes(64)))
    unread = _forged(bytes(64))
    yield packet("signature-wrong-by-a-revoked-key", "REVOKED_KEY", unread, revoked=[FIRST.key_id])
    yield packet("signature-empty", "BAD_SIGNATURE", _forged(b""))
    yield packet("signature-of-63-bytes", "BAD_SIGNATURE", _forged(good[:63]))
    yield packet("signature-of-65-bytes", "BAD_SIGNATURE", _forged(good + b"\0"))
    second = good[:32] + s.to_bytes(32, "little")
    yield packet("signature-plus-the-order-of-the-group", "BAD_SIGNATURE", _forged(second))
    yield packet("signature-of-the-payload-alone", "BAD_SIGNATURE", _forged(FIRST.sign(payload)))
    typed = FIRST.sign(pae(RECEIPT_TYPE, payload))
    yield packet("signature-of-another-type", "BAD_SIGNATURE", _forged(typed))
    lengths = b"DSSEv1 %b %b" % (MANIFEST_TYPE.encode(), payload)
    yield packet("signature-without-lengths", "BAD_SIGNATURE", _forged(FIRST.sign(lengths)))
    theirs = STRANGER.sign(pae(MANIFEST_TYPE, payload))
    yield packet("signature-by-another-key", "BAD_SIGNATURE", _forged(theirs))
    middle = len(payload) // 2
    bent = payload[:middle] + bytes([payload[middle] ^ 1]) + payload[middle + 1 :]
    yield packet("manifest-flipped", "BAD_SIGNATURE", replace(ENVELOPE, payload=bent))
    later = HONEST.manifest(expires_at_s=NOW_S + 700).SerializeToString(True)
    yield packet("manifest-exchanged", "BAD_SIGNATURE", replace(ENVELOPE, payload=later))
    stale = HONEST.manifest(issued_at_s=NOW_S - 900, expires_at_s=NOW_S - 300)
    unsigned = replace(manifest_signed(stale), signatures=_forged(good).signatures)
    yield packet("signature-wrong-and-expired", "BAD_SIGNATURE", unsigned)


def _weak_keys() -> Iterator[Vector]:
    """Keys for which a signature can be made up, and encodings that are none."""
    eighth = int.from_bytes(
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
    )
    nowhere = next(y for y in range(2, 99) if not _on_curve(y))
    for what, y in (
        ("order-1", 1),
        ("order-1-signed", 1 | 1 << 255),
        ("order-2", P - 1),
        ("order-2-signed", P - 1 | 1 << 255),
        ("order-4", 0),
        ("order-4-signed", 1 << 255),
        ("order-8", eighth),
        ("order-8-signed", eighth | 1 << 255),
        ("order-8-mirrored", P - eighth),
        ("order-8-mirrored-signed", P - eighth | 1 << 255),
        ("order-4-not-canonical", P),
        ("order-1-not-canonical", P + 1),
        ("not-canonical", next(y for y in range(P + 2, 2**255) if _on_curve(y - P))),
        ("all-ones", 2**256 - 1),
        ("no-point", nowhere),
    ):
        weak = key_id_of(y.to_bytes(32, "little"))
        # R is the identity and S is 0: right for every message, were the key of order 1.
        made_up = _forged((1).to_bytes(32, "little") + bytes(32), weak)
        yield packet(f"weak-key-{what}", "WEAK_KEY", made_up)
    beside = (*ENVELOPE.signatures, Signature(key_id_of((1).to_bytes(32, "little")), bytes(64)))
    yield packet(
        "weak-key-beside-a-good-signature", "WEAK_KEY", replace(ENVELOPE, signatures=beside)
    )


def _on_curve(y: int) -> bool:
    x_squared = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    return pow(x_squared, (P - 1) // 2, P) in (0, 1)


def _several_signers() -> Iterator[Vector]:
    manifest = HONEST.manifest()
    both = manifest_signed(manifest, FIRST, SECOND)
    twice = manifest_signed(manifest, FIRST, FIRST)
    yield packet("two-signatures-of-one-agent", HONEST, both, keys=TWO)
    yield packet("threshold-met", HONEST, both, keys=TWO, threshold=2)
    yield packet("threshold-of-two-signed-by-one", "BAD_SIGNATURE", ENVELOPE, keys=TWO, threshold=2)
    yield packet("threshold-of-two-signed-twice-by-one", "BAD_SIGNATURE", twice, threshold=2)
    yield packet("threshold-of-two-with-a-stranger", "BAD_SIGNATURE", both, threshold=2)
    agents = [KEY, {"key_id": SECOND.key_id, "agent": "teacher-b"}]
    yield packet("two-signatures-of-two-agents", "BAD_SIGNATURE", both, keys=agents)
    yield packet("threshold-of-two-agents", "BAD_SIGNATURE", both, keys=agents, threshold=2)
    wrong = Signature(STRANGER.key_id, bytes(64))
    stranger = replace(ENVELOPE, signatures=(*ENVELOPE.signatures, wrong))
    yield packet("wrong-signature-of-a-stranger-counts-for-nothing", HONEST, stranger)
    own = replace(ENVELOPE, signatures=(*ENVELOPE.signatures, Signature(SECOND.key_id, bytes(64))))
    yield packet("wrong-signature-of-an-enrolled-key", "BAD_SIGNATURE", own, keys=TWO)
    yield packet("revoked-key-beside-a-good-one", "REVOKED_KEY", both, revoked=[SECOND.key_id])
    seven = [Signature(signer(9 + k).key_id, bytes(64)) for k in range(7)]
    eight = replace(ENVELOPE, signatures=(*ENVELOPE.signatures, *seven))
    nine = replace(eight, signatures=(*eight.signatures, wrong))
    yield packet("eight-signatures", HONEST, eight)
    yield packet("nine-signatures", "OVERSIZE", nine)


def _replaced_keys() -> Iterator[Vector]:
    def until(end_s: float) -> list[dict[str, object]]:
        return [{**KEY, "until_s": end_s}, TWO[1]]

    new = manifest_signed(HONEST.manifest(), SECOND)
    both = manifest_signed(HONEST.manifest(), FIRST, SECOND)
    yield packet("replaced-key-signed-at-its-end", HONEST, ENVELOPE, keys=until(NOW_S))
    yield packet("replaced-key-signed-later", "REVOKED_KEY", ENVELOPE, keys=until(NOW_S - 0.5))
    yield packet("new-key-beside-a-replaced-one-unused", HONEST, new, keys=until(NOW_S - 0.5))
    yield packet(
        "replaced-key-beside-the-new-one", "REVOKED_KEY", both, keys=until(NOW_S - 0.5), threshold=2
    )


def _types() -> Iterator[Vector]:
    manifest = ENVELOPE.payload
    relabelled = sign_envelope(RECEIPT_TYPE, manifest, FIRST)
    yield packet("type-of-a-receipt", "BAD_SIGNATURE", relabelled)
    disguised = replace(relabelled, payload_type=MANIFEST_TYPE)
    yield packet("type-changed-after-signing", "BAD_SIGNATURE", disguised)
    for what, kind in (
        ("empty", ""),
        ("in-capitals", MANIFEST_TYPE.upper()),
        ("with-a-parameter", MANIFEST_TYPE + "; v=1"),
        ("of-version-2", MANIFEST_TYPE.replace("v1", "v2")),
    ):
        yield packet(f"type-{what}", "BAD_SIGNATURE", sign_envelope(kind, manifest, FIRST))


def _unknown_fields() -> Iterator[Vector]:
    more = tagged(1000, b"of a later version") + tagged(1001, 2**64 - 1)
    raw = envelope_to_bytes(ENVELOPE)
    yield packet("unknown-fields-of-the-envelope", HONEST, more + raw + more)
    message = pb.Envelope.FromString(raw)
    message.signatures[0].MergeFromString(more)
    yield packet("unknown-fields-of-a-signature", HONEST, message.SerializeToString(True))
    manifest = HONEST.manifest()
    yield packet(
        "unknown-fields-of-the-manifest",
        HONEST,
        manifest_signed(more + manifest.SerializeToString(True) + more),
    )
    manifest.tensors[1].MergeFromString(more)
    yield packet("unknown-fields-of-a-tensor", HONEST, manifest_signed(manifest))
    worded = replace(HONEST, unknown=more)
    yield packet("unknown-fields-of-the-description", worded, manifest_signed(worded.manifest()))
    nested = b""
    for _ in range(300):  # bytes that might be messages are not entered
        nested = tagged(1000, nested)
    inside = manifest_signed(HONEST.manifest().SerializeToString(True) + nested)
    yield packet("unknown-field-of-nested-lengths", HONEST, inside)
    groups = b"\x7b" * DEEP + b"\x7c" * DEEP  # field 15, begin and end
    deep = manifest_signed(HONEST.manifest().SerializeToString(True) + groups)
    yield packet("unknown-groups-too-deep", "MALFORMED", deep)


def _encodings() -> Iterator[Vector]:
    """One value, other bytes: what was signed is read as it is, and named by its own digest."""
    manifest = HONEST.manifest()
    fields = [
        type(manifest)(**{field.name: value})  # type: ignore[arg-type]
        for field, value in manifest.ListFields()
    ]
    backwards = b"".join(its.SerializeToString(True) for its in reversed(fields))
    yield packet("fields-in-reverse-order", HONEST, manifest_signed(backwards))
    raw = manifest.SerializeToString(True)
    early = tagged(4, b"another domain") + tagged(12, 7) + raw
    yield packet("a-field-twice-the-last-counts", HONEST, manifest_signed(early))
    long = changed(HONEST.manifest(), sequence=0).SerializeToString(True) + b"\x30\x81\x80\x80\x00"
    yield packet("a-number-in-more-bytes-than-it-needs", HONEST, manifest_signed(long))
    zero = changed(HONEST.manifest(), sequence=0).SerializeToString(True) + tagged(6, 0)
    yield packet("a-zero-spelt-out", HONEST, manifest_signed(zero))
    bare, entries = changed(HONEST.manifest(), tensors=[]), HONEST.laid_out()[1]
    unpacked = b"".join(tagged(11, _unpacked(entry)) for entry in entries)
    yield packet(
        "shapes-not-packed", HONEST, manifest_signed(bare.SerializeToString(True) + unpacked)
    )


def _unpacked(entry: pb.TensorEntry) -> bytes:
    """An entry whose shape is written as one field a dimension."""
    shape = b"".join(tagged(3, length) for length in entry.shape)
    name = tagged(1, entry.name.encode()) + tagged(2, entry.dtype)
    return shape + name + tagged(4, entry.offset) + tagged(5, entry.bytes)


def _no_messages() -> Iterator[Vector]:
    raw = envelope_to_bytes(ENVELOPE)
    yield packet("envelope-empty", "BAD_SIGNATURE", b"")
    yield packet("envelope-cut", "MALFORMED", raw[:-1])
    yield packet("envelope-of-noise", "MALFORMED", b"\xff" * 40)
    yield packet("envelope-type-not-utf8", "MALFORMED", tagged(1, b"\xff\xfe") + raw)
    yield packet("manifest-empty", "MALFORMED", manifest_signed(b""))
    yield packet("manifest-cut", "MALFORMED", manifest_signed(ENVELOPE.payload[:-1]))
    yield packet("manifest-of-noise", "MALFORMED", manifest_signed(b"\xff" * 40))
    domain = tagged(4, b"\xc3\x28")
    yield packet("manifest-not-utf8", "MALFORMED", manifest_signed(ENVELOPE.payload + domain))
    length = 256 * 1024 + 1
    endless = Vector(
        name="envelope-too-long",
        kind="packet",
        parts={
            "envelope": tagged(1, MANIFEST_TYPE.encode()) + b"\x12" + varint(length),
            "payload": HONEST.payload,
        },
        expected={"result": "rejected", "reason": "OVERSIZE"},
        zeros={"envelope": length},
    )
    yield endless
