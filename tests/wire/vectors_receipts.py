"""Vectors of receipts: verdicts of every kind, and who may sign them.

Owns: `receipt_vectors`.
Does not own: cards and rotations (vectors_agents), packets (the other files of that name).
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from m2kt.wire.cards import RECEIPT_TYPE
from m2kt.wire.manifest import MANIFEST_TYPE
from m2kt.wire.v1 import verdict_pb2
from tests.packets import NOW_S, STUDENT, TEACHER, signer
from tests.wire.vectors import DOMAIN, Vector, signed, stated, tagged

KEY, PUPIL = signer(1), signer(2)
PUPILS = {"keys": [{"key_id": PUPIL.key_id, "agent": STUDENT}]}
PACKET_ID, HEADS = "b3:" + "2" * 64, ("b3:" + "3" * 64, "b3:" + "4" * 64)
REASONS = [number for name, number in verdict_pb2.Reason.items() if number]


def receipt_vectors() -> Iterator[Vector]:
    yield from _receipts()
    yield from _no_receipts()
    yield from _receipt_keys()


def evidence(**more: Any) -> verdict_pb2.Evidence:
    level = verdict_pb2.LevelAccuracy
    return verdict_pb2.Evidence(
        before=[level(level=1, accuracy=0.25)],
        after=[level(level=1, accuracy=0.75)],
        gain=0.5,
        p_gain=0.001,
        p_loss=1.0,
        items=200,
        figures=[verdict_pb2.Figure(name="loss", value=0.25)],
        **more,
    )


def accepted(consensus: verdict_pb2.Consensus | None = None, **more: Any) -> verdict_pb2.Verdict:
    told = verdict_pb2.Accepted(evidence=evidence(**more), consensus=consensus)
    return verdict_pb2.Verdict(accepted=told)


def refused(*reasons: int, **more: Any) -> verdict_pb2.Verdict:
    return verdict_pb2.Verdict(rejected=verdict_pb2.Rejected(reasons=reasons, **more))  # type: ignore[arg-type]


def agreed(**more: Any) -> verdict_pb2.Consensus:
    pb = verdict_pb2
    told = {"decision": 1, "fate": 1, "reasons": [2], **more}
    voice = pb.Voice(voter="school", says="4", share=1.0, fate=told["fate"])
    return pb.Consensus(
        rule="geometric_median",
        hostile=1,
        standings=[
            pb.Standing(voter="school", fate=told["fate"], used=2),
            pb.Standing(voter="b", fate=pb.FATE_REFUSED, reasons=told["reasons"]),
        ],
        decisions=[pb.DecisionCount(decision=told["decision"], count=2)],
        opinions=[pb.Opinion(concept="c", decision=told["decision"], p=0.5, voices=[voice])],
    )


def receipt(verdict: verdict_pb2.Verdict | None, **more: Any) -> verdict_pb2.Receipt:
    return verdict_pb2.Receipt(
        **{
            "transfer_id": "t-1",
            "student": STUDENT,
            "domain": DOMAIN,
            "packet_ids": [PACKET_ID],
            "teachers": [TEACHER],
            "verdict": verdict,
            "head_before": HEADS[0],
            "head_after": HEADS[1],
            "probe_items": 200,
            "issued_at_s": NOW_S,
            **more,
        }
    )


def facts(its: verdict_pb2.Receipt) -> dict[str, Any]:
    outcome = "rejected" if its.verdict.HasField("rejected") else "accepted"
    told = its.verdict.rejected if outcome == "rejected" else its.verdict.accepted
    reasons = its.verdict.rejected.reasons if outcome == "rejected" else []
    return {
        "transfer": its.transfer_id,
        "student": its.student,
        "domain": its.domain,
        "packets": list(its.packet_ids),
        "verdict": outcome,
        "reasons": [verdict_pb2.Reason.Name(number)[len("REASON_") :] for number in reasons],
        "gain": told.evidence.gain if told.HasField("evidence") else None,
        "head_after": its.head_after,
        "issued_at_s": its.issued_at_s,
        "unlearnt": list(its.unlearnt),
        "audit_entries": its.audit_entries,
    }


def _receipts() -> Iterator[Vector]:
    told = {
        "accepted": receipt(accepted()),
        "rejected": receipt(
            refused(25, 27, evidence=evidence(), details=["expected, found"]), head_after=HEADS[0]
        ),
        "refused": receipt(refused(4), packet_ids=[], teachers=[]),
        "of-every-reason": receipt(refused(*REASONS)),
        "diagnosed": receipt(
            accepted(
                diagnosis=[
                    verdict_pb2.Diagnosis(symptom=symptom, cause=cause, sentence="found")  # type: ignore[arg-type]
                    for symptom, cause in ((1, 1), (2, 4), (3, 6), (4, 8))
                ]
            )
        ),
        "agreed": receipt(accepted(agreed())),
        "disputed": receipt(refused(39, consensus=agreed(decision=5, fate=7))),
        "realigned": receipt(accepted(), unlearnt=["b3:" + "5" * 64, KEY.key_id]),
        "audited": receipt(accepted(), audit_entries=2**40, audit_head="b3:" + "6" * 64),
    }
    for name, its in told.items():
        yield stated("receipt", name, facts(its), signed(RECEIPT_TYPE, its, PUPIL), **PUPILS)
    both = receipt(accepted()).SerializeToString(deterministic=True)
    last = tagged(6, refused(25).SerializeToString(deterministic=True))
    expected = facts(receipt(refused(25)))
    envelope = signed(RECEIPT_TYPE, both + last, PUPIL)
    yield stated("receipt", "of-two-outcomes-the-last-counts", expected, envelope, **PUPILS)
    unknown = signed(RECEIPT_TYPE, both + tagged(1000, b"more"), PUPIL)
    yield stated("receipt", "with-unknown-fields", facts(told["accepted"]), unknown, **PUPILS)


def _no_receipts() -> Iterator[Vector]:
    diagnosis = verdict_pb2.Diagnosis
    for name, its in {
        "without-a-verdict": receipt(None),
        "of-an-empty-verdict": receipt(verdict_pb2.Verdict()),
        "rejected-without-a-reason": receipt(refused()),
        "of-reason-0": receipt(refused(0)),
        "of-an-unknown-reason": receipt(refused(25, 99)),
        "of-an-unknown-symptom": receipt(accepted(diagnosis=[diagnosis(symptom=9, cause=1)])),  # type: ignore[arg-type]
        "of-an-unknown-cause": receipt(accepted(diagnosis=[diagnosis(symptom=1, cause=9)])),  # type: ignore[arg-type]
        "of-an-unknown-decision": receipt(accepted(agreed(decision=7))),
        "of-an-unknown-fate": receipt(accepted(agreed(fate=10))),
        "of-an-unknown-reason-in-a-standing": receipt(accepted(agreed(reasons=[99]))),
        "of-a-student-in-capitals": receipt(accepted(), student="Student-S"),
    }.items():
        yield stated("receipt", name, "MALFORMED", signed(RECEIPT_TYPE, its, PUPIL), **PUPILS)
    for name, raw in (("empty", b""), ("of-noise", b"\xff" * 9)):
        yield stated("receipt", name, "MALFORMED", signed(RECEIPT_TYPE, raw, PUPIL), **PUPILS)


def _receipt_keys() -> Iterator[Vector]:
    its = receipt(accepted())
    good = signed(RECEIPT_TYPE, its, PUPIL)
    other = signed(RECEIPT_TYPE, receipt(accepted(), student="student-t"), PUPIL)
    bent = replace(good, payload=good.payload[:-1] + b"\x42")
    yield stated("receipt", "of-another-student", "BAD_SIGNATURE", other, **PUPILS)
    yield stated("receipt", "changed", "BAD_SIGNATURE", bent, **PUPILS)
    typed = signed(MANIFEST_TYPE, its, PUPIL)
    yield stated("receipt", "signed-as-a-manifest", "BAD_SIGNATURE", typed, **PUPILS)
    yield stated("receipt", "by-an-unknown-key", "UNKNOWN_KEY", good)
    yield stated("receipt", "by-a-revoked-key", "REVOKED_KEY", good, revoked=[PUPIL.key_id])
    yield stated("receipt", "too-few-signatures", "BAD_SIGNATURE", good, threshold=2, **PUPILS)

    def until(end_s: float) -> dict[str, Any]:
        return {"keys": [{**PUPILS["keys"][0], "until_s": end_s}]}

    yield stated("receipt", "by-a-key-replaced-then", facts(its), good, **until(NOW_S))
    yield stated("receipt", "by-a-key-replaced-before", "REVOKED_KEY", good, **until(NOW_S - 1))
    timeless = signed(RECEIPT_TYPE, receipt(accepted(), issued_at_s=math.nan), PUPIL)
    yield stated("receipt", "by-a-replaced-key-at-no-time", "REVOKED_KEY", timeless, **until(NOW_S))
