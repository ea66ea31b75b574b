"""One lesson out of several teachers: what is kept, what liars can do, what is refused.

Owns: `measure`. Does not own: which meetings are held (aggregate_plan), a meeting (meetings), how
what was found is shown (aggregate_views).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any, Final

from m2kt.bench.burden import exponent
from m2kt.bench.experiments.aggregate_plan import QUICK, Plan
from m2kt.bench.experiments.aggregate_views import plots_of, tables_of
from m2kt.bench.experiments.experiment import Claim, Findings, Scope
from m2kt.bench.gatherings import NONE
from m2kt.bench.matrix import Result, T, run_all
from m2kt.bench.meetings import ACCEPTED, Meeting
from m2kt.bench.skills import MIXED, Skills
from m2kt.progress import Report

ABOUT: Final = (
    "Small specialists of four families teach one student a group's table; traces of all show the"
    " same half of the facts, the rest is in C alone. Some are hostile and lie about that rest. An"
    " honest run is one of the same honest teachers without the liars. Every verdict is the"
    " student's own; every accuracy is of other problems than those of its exam."
)
LIMITS: Final = (
    "One domain of 36 facts and one small student: that one concept in twenty is two, and that a"
    " student which leaves two out is refused, lies in the size.",
    "All traces show one half of the facts. Where teachers show different facts, traces that check"
    " settle what c_k would have to be believed for.",
    "More than a quarter of liars who all say the same cannot be told from honest teachers if they"
    " are four in five: no f above 6 of 10 was tried. Without a root of trust nothing could tell.",
    "CALs are merged by the usual settings of each rule: no scale and no density was searched for.",
    "A root of trust that errs takes its errors with it, and is not heard at all if its concepts"
    " do not fit the student: `weakly` is such a one. Then nothing tells a majority of liars. The"
    " claim was about that root until a full run fell short of it; a sound one came then.",
    "That an accepted lesson holds a lie, and that it is merely worse than the honest run, were one"
    " claim until the same run.",
    "Where teachers lack concepts, three liars against two honest ones on one concept look as two"
    " liars against three do: no rule can refuse the one and take the other.",
    "Rules by themselves are compared by what their points say (`read`), by whole lessons only"
    " with one seed and three attacks.",
)
HARM: Final = 0.02
"""Points below the honest run from which on a student counts as worse than it."""
ROOTED: Final = 0.05
"""Points that may be lost where most teachers are hostile and one is a root of trust."""

Case = dict[str, Any]


def measure(scope: Scope, report: Report) -> Findings:
    """Every meeting, every skill, every size."""
    plan = QUICK if scope.quick else Plan()
    plan = replace(plan, models=scope.cells.parent / "models", seeds=scope.seeds or plan.seeds)
    plan = replace(plan, student=scope.student or plan.student).located(report)
    weak = plan.weak(report)

    def run(tasks: Sequence[T], workers: int = scope.workers) -> dict[T, Result]:
        return run_all(tasks, scope.cells, workers=workers, threads=scope.threads, report=report)

    groups = {
        "honest": plan.honest(),
        "within": plan.attacked(plan.within),
        "beyond": plan.attacked(plan.beyond),
        "rooted": plan.attacked(plan.rooted, root=plan.root(report)),
        "weakly": plan.attacked(plan.rooted, root=weak[-1]),
        "alone": list(plan.by_rule()),
        "unequal": plan.unequal(weak),
        "redundant": plan.redundant(),
    }
    met = run([meeting for group in groups.values() for meeting in group])
    cases = {name: cases_of(group, met) for name, group in groups.items()}
    disjoint = disjoint_of(run(plan.skills()))
    scaling = scaling_of(plan, run(plan.burdens(), 1))
    return findings_of(plan, cases, disjoint, scaling)


def cases_of(group: Iterable[Meeting], met: Mapping[Meeting, Result]) -> list[Case]:
    """What came of each meeting, beside the run of its honest teachers alone."""
    return [_case(meeting, met) for meeting in group]


def _case(meeting: Meeting, met: Mapping[Meeting, Result]) -> Case:
    its, found = meeting.gathering, met[meeting]
    alone = replace(
        its,
        teachers=its.teachers[: len(its.teachers) - its.hostile],
        hostile=0,
        attack=NONE,
        root="",
        silent=(),
    )
    honest = met.get(replace(meeting, gathering=alone, rules=type(meeting.rules)(), learns=True))
    return {
        "n": len(its.teachers) + len(its.silent),
        "f": its.hostile,
        "attack": its.attack,
        "coverage": its.coverage,
        "strategy": meeting.rules.strategy if not meeting.rules.guarded else "default",
        "seed": its.seed,
        "rooted": bool(its.root),
        "accuracy": found.get("accuracy"),
        "honest_accuracy": None if honest is None else honest["accuracy"],
        "decision": found.get("decision"),
        **{name: found[name] for name in ("read", "unsettled", "decisions", "fates")},
        "reasons": found.get("reasons", []),
    }


def drop(case: Case) -> float:
    """Points lost against the honest run."""
    return float(case["honest_accuracy"] - case["accuracy"])


def worse(case: Case) -> bool:
    """Whether a student accepted what makes it worse than the honest run would have."""
    return case["decision"] == ACCEPTED and drop(case) > HARM


def poisoned(case: Case) -> bool:
    """Whether a student accepted a lesson with a lie in it."""
    return bool(case["decision"] == ACCEPTED and case["read"]["wrong"] > 0)


def worst(cases: Iterable[Case], cost: Callable[[Case], float] = drop) -> float:
    """The largest mean over seeds."""
    groups: dict[tuple[Any, ...], list[float]] = {}
    for case in cases:
        key = tuple(case[name] for name in ("n", "f", "attack", "coverage", "strategy", "rooted"))
        groups.setdefault(key, []).append(cost(case))
    return max((fmean(its) for its in groups.values()), default=0.0)


def kept(cases: Iterable[Case]) -> float:
    """Share of honest teachers' appearances in which they are not kept out."""
    heard = [
        fate in {"used", "abstained"}
        for case in cases
        for voter, fate in case["fates"].items()
        if voter.startswith("teacher-") and int(voter.split("-")[1]) < case["n"] - case["f"]
    ]
    return fmean(heard) if heard else 1.0


def disjoint_of(found: Mapping[Skills, Result]) -> dict[str, Any]:
    """Of each skill what a student keeps that learns all, and how it does on mixed problems.

    Beside one lesson from all packets the same of CALs that were merged afterwards.
    """
    skills = sorted({name for task in found for name in task.teachers})
    every = max((task.teachers for task in found), key=len)

    def mean(teachers: tuple[str, ...], skill: str, merge: str = "") -> float:
        tasks = (its for its in found if (its.teachers, its.merge) == (teachers, merge))
        return fmean(found[its]["accuracy"][skill] for its in tasks)

    alone = {name: mean((name,), name) for name in skills}

    def kept_of(merge: str) -> dict[str, Any]:
        retention = {name: mean(every, name, merge) / alone[name] for name in skills}
        return {"retention": retention, "mixed_accuracy": mean(every, MIXED, merge)}

    return {
        **kept_of(""),
        "mixed_alone": {name: mean((name,), MIXED) for name in skills},
        "single": alone,
        "both": {name: mean(every, name) for name in (*skills, MIXED)},
        "merges": {its: kept_of(its) for its in dict.fromkeys(t.merge for t in found) if its},
    }


def scaling_of(plan: Plan, found: Mapping[Any, Result]) -> dict[str, Any]:
    """Time and memory by size, and the exponents of time."""
    rows = [
        {"teachers": t.teachers, "concepts": t.concepts, **{k: r[k] for k in _COSTS}}
        for t, r in found.items()
    ]
    middle = plan.concepts[len(plan.concepts) // 2]
    by_teachers = [row for row in rows if row["concepts"] == middle]
    by_concepts = [row for row in rows if row["teachers"] == 8]  # see the plan
    return {
        "teachers_exponent": _exponent(by_teachers, "teachers"),
        "concepts_exponent": _exponent(by_concepts, "concepts"),
        "peak_mib": max(row["mib"] for row in rows),
        "sizes": rows,
    }


_COSTS: Final = ("seconds", "mib", "packet_mib")


def _exponent(rows: Sequence[Mapping[str, Any]], by: str) -> float:
    return exponent([float(row[by]) for row in rows], [row["seconds"] for row in rows])


def findings_of(
    plan: Plan,
    cases: Mapping[str, list[Case]],
    disjoint: Mapping[str, Any],
    scaling: Mapping[str, Any],
) -> Findings:
    """Claims, figures, tables and plots."""
    every = [case for group in cases.values() for case in group]
    return Findings(
        about=ABOUT,
        claims=claims_of(cases, disjoint),
        figures={"cases": every, "disjoint": disjoint, "scaling": scaling},
        tables=tables_of(cases, disjoint, scaling),
        plots=plots_of(cases, scaling),
        limits=LIMITS,
        student=plan.student,
        seeds=plan.seeds,
    )


def claims_of(cases: Mapping[str, list[Case]], disjoint: Mapping[str, Any]) -> tuple[Claim, ...]:
    """What should be so."""
    full = [case for case in cases["within"] if case["coverage"] == 1]
    partly = [case for case in cases["within"] if case["coverage"] < 1]
    guarded = [
        c for name in ("honest", "within", "beyond", "rooted", "weakly") for c in cases[name]
    ]
    kept_of = min(disjoint["retention"].values())
    most = [
        ("drop within the bound, all teachers have all concepts, worst attack", worst(full), HARM),
        ("drop within the bound, at less coverage, worst attack", worst(partly), HARM),
        (
            "lessons with a lie that were accepted, beyond the bound, without a root",
            float(sum(map(poisoned, cases["beyond"]))),
            0.0,
        ),
        (
            "lessons that were accepted and are more than 2 points below the honest run, the same",
            float(sum(map(worse, cases["beyond"]))),
            0.0,
        ),
        ("drop with a sound root of trust, most are hostile", worst(cases["rooted"]), ROOTED),
    ]
    return (
        Claim(
            what="least share of a single-teacher student's skill kept", found=kept_of, bound=0.97
        ),
        Claim(what="mixed problems solved", found=disjoint["mixed_accuracy"], bound=0.95),
        *(Claim(what=w, found=its, bound=b, at_least=False) for w, its, b in most),
        Claim(what="honest teachers that are heard", found=kept(guarded), bound=0.95),
    )
