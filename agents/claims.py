"""What the demo claims, checked against its own record.

Owns: the claims and their thresholds. Does not own: the measurements (demo).
"""

from collections.abc import Mapping
from typing import Any

from .contest import mean

AFTER_AT_LEAST = 0.95
BEFORE_AT_MOST = 0.35
TEACHER_BELOW = 0.5
PEAK_MIB = 8 * 1024.0


def claims(record: Mapping[str, Any]) -> dict[str, bool]:
    """Each claim of the demo, and whether its record bears it out."""
    student, teachers, meter = record["student"], record["teachers"], record["meter"]
    poisoned, tampered = record["poisoned"], record["tampered"]
    return {
        "the student answers at least 95 % after": mean(student["after"]) >= AFTER_AT_LEAST,
        "the student answers at most 35 % before": mean(student["before"]) <= BEFORE_AT_MOST,
        "the student answers at least 95 % of mixed chains": (
            mean(student["mixed"]) >= AFTER_AT_LEAST
        ),
        "each teacher alone answers less than half of mixed chains": all(
            share < TEACHER_BELOW for teacher in teachers for share in teacher["mixed"].values()
        ),
        "no label and no logit was used": meter["labels"] == 0 and meter["logits"] == 0,
        "the teacher of wrong answers was declined": poisoned["verdict"] == "rejected",
        "HEAD stayed where it was": not poisoned["head_moved"] and not tampered["head_moved"],
        "the answers stayed bit-identical": poisoned["answers_identical"],
        "the tampered stream was refused before it was parsed": tampered["refused_before_parse"],
        "memory stayed under 8 GiB": record["peak_rss_mib"] < PEAK_MIB,
    }
