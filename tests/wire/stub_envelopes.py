"""Envelopes as a second reader reads them: keys, signatures, who signed.

Written from proto/README.md; shares no code with ours (reader_stubs says why).

Owns: `opened`, `signers`, `need_own`, and how a reader refuses.
Does not own: what the signed bytes say (stub_packets, reader_stubs).
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf.message import DecodeError

from m2kt.wire.v1 import envelope_pb2

TYPE = "application/vnd.m2kt.%s.v1+protobuf"
NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?")
KEY_ID = re.compile(r"ed25519:[0-9a-f]{64}")
P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P

Asked = Mapping[str, Any]


class RefusedError(Exception):
    """Names the reason."""


def need(holds: bool, reason: str) -> None:
    if not holds:
        raise RefusedError(reason)


def parsed(kind: Any, raw: bytes) -> Any:
    try:
        return kind.FromString(raw)
    except DecodeError:
        raise RefusedError("MALFORMED") from None


def need_names(*names: str) -> None:
    need(all(NAME.fullmatch(name) for name in names), "MALFORMED")


def strong(key: bytes) -> bool:
    """Whether it is a point of the curve that eight times itself is not the neutral element."""
    y = int.from_bytes(key, "little") & (2**255 - 1)
    if len(key) != 32 or y >= P:
        return False
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P:
        return False
    for _ in range(3):
        x, y = doubled(x, y)
    return (x, y) != (0, 1)


def doubled(x: int, y: int) -> tuple[int, int]:
    product = D * x * x * y * y % P
    new_x = 2 * x * y * pow(1 + product, -1, P) % P
    return new_x, (y * y + x * x) * pow(1 - product, -1, P) % P


def need_valid(signature: Any, envelope: Any) -> None:
    kind = envelope.payload_type.encode()
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(envelope.payload), envelope.payload)
    try:
        key = Ed25519PublicKey.from_public_bytes(key_of(signature.key_id))
        key.verify(signature.signature, signed)
    except (InvalidSignature, ValueError):
        raise RefusedError("BAD_SIGNATURE") from None


def key_of(key_id: str) -> bytes:
    need(KEY_ID.fullmatch(key_id) is not None, "UNKNOWN_KEY")
    return bytes.fromhex(key_id[8:])


def opened(raw: bytes, kind: str) -> Any:
    """An envelope of this kind; its signatures are not checked."""
    envelope = parsed(envelope_pb2.Envelope, raw)
    need(len(envelope.payload) <= 256 * 1024 and len(envelope.signatures) <= 8, "OVERSIZE")
    need(envelope.payload_type == TYPE % kind, "BAD_SIGNATURE")
    return envelope


def signers(envelope: Any, context: Asked) -> tuple[str, list[str], float]:
    """Who signed it, with which keys, and until when those are believed."""
    enrolled = {its["key_id"]: its for its in context["keys"]}
    found: dict[str, Any] = {}
    for signature in envelope.signatures:
        name = signature.key_id
        need(strong(key_of(name)), "WEAK_KEY")
        need(name not in context["revoked"], "REVOKED_KEY")
        if name in enrolled:
            need_valid(signature, envelope)
            found[name] = enrolled[name]
    need(bool(found), "UNKNOWN_KEY")
    agents = {its["agent"] for its in found.values()}
    need(len(found) >= context["threshold"] and len(agents) == 1, "BAD_SIGNATURE")
    return agents.pop(), list(found), min(its.get("until_s", math.inf) for its in found.values())


def need_own(envelope: Any, key_id: str) -> None:
    """The key itself signed it: nothing is said of trust."""
    need(strong(key_of(key_id)), "WEAK_KEY")
    own = [its for its in envelope.signatures if its.key_id == key_id]
    need(bool(own), "BAD_SIGNATURE")
    for signature in own:
        need_valid(signature, envelope)


def need_believed(signed_at_s: float, until_s: float) -> None:
    need(until_s == math.inf or signed_at_s <= until_s, "REVOKED_KEY")
