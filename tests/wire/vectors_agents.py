"""Vectors of what agents say of themselves: cards, and new keys in the place of old ones.

Owns: `agent_vectors`.
Does not own: receipts (vectors_receipts), packets (the other files of that name).
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from m2kt.signing import Signer
from m2kt.trust import key_id_of
from m2kt.wire.cards import CARD_TYPE, RECEIPT_TYPE
from m2kt.wire.rotations import ROTATION_TYPE
from m2kt.wire.v1 import agent_pb2
from tests.packets import NOW_S, STUDENT, TEACHER, signer
from tests.wire.vectors import DOMAIN, Vector, signed, stated

KEY, NEW, PUPIL, STRANGER = signer(1), signer(3), signer(2), signer(5)
PUPILS = {"keys": [{"key_id": PUPIL.key_id, "agent": STUDENT}]}
ENROLLED = {"key_id": KEY.key_id, "agent": TEACHER}


def agent_vectors() -> Iterator[Vector]:
    yield from _cards()
    yield from _no_cards()
    yield from _rotations()
    yield from _no_rotations()


def card(**more: Any) -> agent_pb2.AgentCard:
    model = agent_pb2.ModelCard(
        family="gpt2", hidden_size=128, layers=4, parameters=800_000, base_lineage=["scratch"]
    )
    fields = {
        "agent": TEACHER,
        "role": agent_pb2.ROLE_TEACHER,
        "address": "127.0.0.1:7000",
        "key_id": KEY.key_id,
        "public_key": KEY.public_key,
        "domains": [DOMAIN, "arith.mod11"],
        "model": model,
        "issued_at_s": NOW_S,
        **more,
    }
    return agent_pb2.AgentCard(**fields)


def told(its: agent_pb2.AgentCard) -> dict[str, Any]:
    return {
        "agent": its.agent,
        "role": agent_pb2.Role.Name(its.role)[len("ROLE_") :].lower(),
        "address": its.address,
        "key_id": its.key_id,
        "domains": list(its.domains),
        "layers": its.model.layers if its.HasField("model") else None,
        "issued_at_s": its.issued_at_s,
    }


def _cards() -> Iterator[Vector]:
    """With keys to trust, the card of somebody known; without, proof that it has the key."""
    student = card(agent=STUDENT, role=2, key_id=PUPIL.key_id, public_key=PUPIL.public_key)
    bare = card(address="", domains=[], issued_at_s=0.0, role=3)
    bare.ClearField("model")
    yield stated("card", "", told(card()), signed(CARD_TYPE, card(), KEY))
    yield stated("card", "of-a-student", told(student), signed(CARD_TYPE, student, PUPIL), **PUPILS)
    yield stated("card", "of-few-words", told(bare), signed(CARD_TYPE, bare, KEY))
    yield stated(
        "card", "of-nobody-known", told(student), signed(CARD_TYPE, student, PUPIL), keys=None
    )


def _no_cards() -> Iterator[Vector]:
    good = signed(CARD_TYPE, card(), KEY)
    two = {"keys": [{"key_id": key.key_id, "agent": TEACHER} for key in (KEY, NEW)]}
    yield stated("card", "not-by-its-key", "BAD_SIGNATURE", signed(CARD_TYPE, card(), NEW), **two)
    foreign = signed(CARD_TYPE, card(agent="teacher-b"), KEY)
    yield stated("card", "of-another-agent", "BAD_SIGNATURE", foreign)
    yield stated("card", "by-an-unknown-key", "UNKNOWN_KEY", good, **PUPILS)
    yield stated("card", "by-a-revoked-key", "REVOKED_KEY", good, revoked=[KEY.key_id])
    stranger = signed(CARD_TYPE, card(), STRANGER)
    unsigned = replace(good, signatures=())
    bent = replace(good, payload=good.payload[:-1] + b"\x42")
    typed = signed(RECEIPT_TYPE, card(), KEY)
    yield stated("card", "unknown-not-by-its-key", "BAD_SIGNATURE", stranger, keys=None)
    yield stated("card", "unknown-unsigned", "UNKNOWN_KEY", unsigned, keys=None)
    yield stated("card", "unknown-changed", "BAD_SIGNATURE", bent, keys=None)
    yield stated("card", "unknown-signed-as-a-receipt", "BAD_SIGNATURE", typed, keys=None)
    short = KEY.public_key[:31]
    for name, its in {
        "of-role-0": card(role=0),
        "of-an-unknown-role": card(role=4),
        "of-another-keys-id": card(public_key=NEW.public_key),
        "of-a-short-key": card(public_key=short, key_id=key_id_of(short)),
        "of-an-agent-in-capitals": card(agent="Teacher-A"),
        "of-no-layers": card(model=agent_pb2.ModelCard(family="gpt2", hidden_size=1, parameters=1)),
        "of-a-negative-time": card(issued_at_s=-1.0),
        "of-an-infinite-time": card(issued_at_s=math.inf),
        "of-no-number-for-time": card(issued_at_s=math.nan),
    }.items():
        yield stated("card", name, "MALFORMED", signed(CARD_TYPE, its, KEY))
    yield stated("card", "of-noise", "MALFORMED", signed(CARD_TYPE, b"\xff" * 9, KEY))


def rotation(**more: Any) -> agent_pb2.KeyRotation:
    fields = {"agent": TEACHER, "old_key_id": KEY.key_id, "new_key_id": NEW.key_id}
    return agent_pb2.KeyRotation(**{**fields, "issued_at_s": NOW_S, **more})


def by(name: str, outcome: Any, *keys: Signer, context: Any = None, **fields: Any) -> Vector:
    envelope = signed(ROTATION_TYPE, rotation(**fields), *(keys or (KEY, NEW)))
    return stated("rotation", name, outcome, envelope, **(context or {}))


def _rotations() -> Iterator[Vector]:
    good = {"agent": TEACHER, "old": KEY.key_id, "new": NEW.key_id, "until_s": NOW_S}
    yield by("", good)
    yield by("signed-in-another-order", good, NEW, KEY)
    yield by("300-s-ahead", {**good, "until_s": NOW_S + 300}, issued_at_s=NOW_S + 300)
    yield by("more-than-300-s-ahead", "NOT_YET_VALID", issued_at_s=NOW_S + 301)
    yield by("at-no-number", "MALFORMED", issued_at_s=math.nan)
    yield by("at-minus-infinity", "MALFORMED", issued_at_s=-math.inf)
    yield by("of-a-revoked-key", "REVOKED_KEY", context={"revoked": [KEY.key_id]})
    yield by("to-a-revoked-key", "INVALID_ARGUMENT", context={"revoked": [NEW.key_id]})
    known = [ENROLLED, {"key_id": NEW.key_id, "agent": "teacher-b"}]
    yield by("to-a-known-key", "INVALID_ARGUMENT", context={"keys": known})
    replaced = {"keys": [{**ENROLLED, "until_s": NOW_S - 9}]}
    yield by("of-a-replaced-key", "INVALID_ARGUMENT", context=replaced)


def _no_rotations() -> Iterator[Vector]:
    yield by("by-the-old-key-alone", "BAD_SIGNATURE", KEY)
    yield by("by-the-new-key-alone", "BAD_SIGNATURE", NEW)
    yield by("by-the-old-key-and-a-stranger", "BAD_SIGNATURE", KEY, STRANGER)
    yield by("by-three-keys", "BAD_SIGNATURE", KEY, NEW, STRANGER)
    yield by("of-another-agent", "BAD_SIGNATURE", agent="teacher-b")
    yield by("of-one-key", "BAD_SIGNATURE", KEY, KEY, new_key_id=KEY.key_id)
    yield by("backwards", "UNKNOWN_KEY", old_key_id=NEW.key_id, new_key_id=KEY.key_id)
    whole = signed(ROTATION_TYPE, rotation(), KEY, NEW)
    forged = replace(whole.signatures[1], signature=whole.signatures[0].signature)
    bent = replace(whole, signatures=(whole.signatures[0], forged))
    yield stated("rotation", "with-a-wrong-signature", "BAD_SIGNATURE", bent)
    typed = signed(CARD_TYPE, rotation(), KEY, NEW)
    yield stated("rotation", "signed-as-a-card", "BAD_SIGNATURE", typed)
    yield stated("rotation", "of-noise", "MALFORMED", signed(ROTATION_TYPE, b"\xff", KEY, NEW))
