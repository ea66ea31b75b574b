"""Made-up results of meetings, skills and sizes, for tests of what is concluded from them."""

from typing import Any

from m2kt.bench.experiments.aggregate import Case, disjoint_of
from m2kt.bench.gatherings import NONE
from m2kt.bench.meetings import ACCEPTED
from m2kt.bench.skills import MIXED, Skills
from m2kt.merging import MERGES

ADDSUB, MUL = "mod7-addsub", "mod7-mul"
BOTH = (ADDSUB, MUL)


def case(**changes: Any) -> Case:
    """A meeting of four, one of them hostile, as good as the honest ones alone."""
    return {
        "n": 4,
        "f": 1,
        "attack": "label_flip",
        "coverage": 1.0,
        "strategy": "default",
        "seed": 0,
        "rooted": False,
        "accuracy": 0.9,
        "honest_accuracy": 0.9,
        "decision": ACCEPTED,
        "read": {"right": 0.8, "wrong": 0.1},
        "unsettled": 0.1,
        "decisions": {"told": 18, "aggregate": 18},
        "fates": {"teacher-0": "used", "teacher-1": "used", "teacher-2": "used"},
        "reasons": [],
    } | changes


def cases() -> dict[str, list[Case]]:
    """One or more of every group."""
    two = [case(), case(attack="alie", accuracy=0.89), case(seed=1, accuracy=0.88)]
    return {
        "honest": [case(f=0, attack=NONE)],
        "within": [*two, case(coverage=0.5)],
        "beyond": [case(f=2, decision="rejected", accuracy=0.0)],
        "rooted": [case(f=3, rooted=True)],
        "weakly": [case(f=3, rooted=True, accuracy=0.5)],
        "alone": [
            case(strategy=name, attack=a) for name in ("mean", "krum") for a in (NONE, "ipm")
        ],
        "unequal": [case(f=0, attack=NONE, n=2)],
        "redundant": [case(f=0, attack=NONE, n=n) for n in (1, 4)],
    }


def skilled() -> dict[Skills, dict[str, Any]]:
    """Two seeds of each skill alone, of one lesson from both, and of every merge."""
    accuracies = {
        ((ADDSUB,), ""): (0.8, 0.2, 0.1),
        ((MUL,), ""): (0.2, 1.0, 0.3),
        (BOTH, ""): (0.8, 0.9, 0.7),
    } | {(BOTH, name): (0.4, 0.5, 0.1 * n) for n, name in enumerate(MERGES)}
    return {
        Skills(domain="arith.mod7", teachers=teachers, merge=merge, seed=seed): {
            "accuracy": dict(zip((*BOTH, MIXED), (its + 0.1 * seed for its in shares), strict=True))
        }
        for (teachers, merge), shares in accuracies.items()
        for seed in (0, 1)
    }


def disjoint() -> dict[str, Any]:
    """What is concluded from `skilled`."""
    return disjoint_of(skilled())


def scaling() -> dict[str, Any]:
    """Costs by four teachers' numbers at 300 concepts, and by concepts of eight teachers."""
    sizes = [(n, 300) for n in (1, 4, 16)] + [(8, k) for k in (100, 300, 1000)]
    rows = [
        {"teachers": n, "concepts": k, "seconds": 1e-4 * n * k, "mib": 0.1 * n, "packet_mib": 1.0}
        for n, k in sizes
    ]
    return {"teachers_exponent": 1.0, "concepts_exponent": 1.0, "peak_mib": 1.6, "sizes": rows}
