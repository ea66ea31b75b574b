"""How what came of meetings is shown: tables and plots.

Owns: `tables_of`, `plots_of`. Does not own: what they show (aggregate).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from m2kt.bench.experiments.experiment import Plot, Point, Table
from m2kt.bench.meetings import ACCEPTED

Cases = Mapping[str, Sequence[Mapping[str, Any]]]


def tables_of(
    cases: Cases, disjoint: Mapping[str, Any], scaling: Mapping[str, Any]
) -> tuple[Table, ...]:
    """Attacks by size and coverage; rules by attack; skills; merges; what combining costs."""
    return (
        *(
            _attacks(title, cases[name])
            for name, title in (
                ("within", "Liars within the bound"),
                ("beyond", "Liars beyond the bound, no root of trust"),
                ("rooted", "Most teachers are hostile; one more is a sound root of trust"),
                ("weakly", "Most teachers are hostile; the root of trust errs itself"),
            )
        ),
        _rules(cases["alone"]),
        _others(cases),
        _skills(disjoint),
        _merges(disjoint),
        Table(
            title="What combining costs",
            head=("teachers", "concepts", "seconds", "MiB beyond packets", "MiB of one packet"),
            rows=tuple(
                (
                    str(row["teachers"]),
                    row["concepts"],
                    row["seconds"],
                    row["mib"],
                    row["packet_mib"],
                )
                for row in scaling["sizes"]
            ),
        ),
    )


def _grouped(
    cases: Iterable[Mapping[str, Any]], *names: str
) -> dict[tuple[Any, ...], list[Mapping[str, Any]]]:
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for case in cases:
        groups.setdefault(tuple(case[name] for name in names), []).append(case)
    return groups


def _mean(group: Sequence[Mapping[str, Any]], value: Callable[[Mapping[str, Any]], float]) -> float:
    return fmean(map(value, group))


def _attacks(title: str, cases: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            f"{f} of {n}, {attack}, coverage {share:g}",
            _mean(group, lambda c: c["accuracy"]),
            _mean(group, lambda c: c["honest_accuracy"]),
            _mean(group, lambda c: c["decision"] == ACCEPTED),
            _mean(group, lambda c: c["read"]["right"]),
            _mean(group, lambda c: c["read"]["wrong"]),
            _mean(group, lambda c: c["unsettled"]),
        )
        for (n, f, attack, share), group in _grouped(cases, "n", "f", "attack", "coverage").items()
    ]
    return Table(
        title=title,
        head=("", "accuracy", "honest", "accepted", "read right", "read wrong", "unsettled"),
        rows=tuple(rows),
        note="Read: of the hidden facts. A student that declines answers as before: 0.",
    )


def _rules(cases: Sequence[Mapping[str, Any]]) -> Table:
    attacks = list(dict.fromkeys(case["attack"] for case in cases))
    groups = _grouped(cases, "strategy", "attack")
    names = list(dict.fromkeys(case["strategy"] for case in cases))
    return Table(
        title="Rules by themselves: share of hidden facts that are read right",
        head=("", *attacks),
        rows=tuple(
            (name, *(_mean(groups[name, a], lambda c: c["read"]["right"]) for a in attacks))
            for name in names
        ),
        note="No guard, nothing before the rule, all have all concepts, liars up to the bound.",
    )


def _others(cases: Cases) -> Table:
    rows = []
    for name in ("honest", "redundant", "unequal"):
        for (n, share), group in _grouped(cases[name], "n", "coverage").items():
            accuracy = _mean(group, lambda c: c["accuracy"])
            accepted = _mean(group, lambda c: c["decision"] == ACCEPTED)
            title = f"{name}: {n} teachers, coverage {share:g}"
            rows.append((title, accuracy, accepted, _mean(group, lambda c: c["read"]["right"])))
    return Table(
        title="Honest teachers: redundant ones, and some that err",
        head=("", "accuracy", "accepted", "read right"),
        rows=tuple(rows),
    )


def _skills(disjoint: Mapping[str, Any]) -> Table:
    return Table(
        title="Disjoint skills",
        head=("skill", "learnt alone", "learnt with the others", "kept"),
        rows=tuple(
            (name, alone, disjoint["both"][name], disjoint["retention"][name])
            for name, alone in disjoint["single"].items()
        ),
        note="Mixed problems: "
        + ", ".join(
            [
                f"{disjoint['mixed_accuracy']:.3f} after all",
                *(f"{its:.3f} after {name}" for name, its in disjoint["mixed_alone"].items()),
            ]
        ),
    )


def _merges(disjoint: Mapping[str, Any]) -> Table:
    ways = {"one lesson from all packets": disjoint, **disjoint["merges"]}
    return Table(
        title="Disjoint skills: one lesson, or CALs learnt apart and merged without training",
        head=("", *(f"kept of {name}" for name in disjoint["single"]), "mixed problems"),
        rows=tuple(
            (
                name,
                *(its["retention"][skill] for skill in disjoint["single"]),
                its["mixed_accuracy"],
            )
            for name, its in ways.items()
        ),
        note="Kept: share of what a student gets right that learnt that skill alone.",
    )


def plots_of(cases: Cases, scaling: Mapping[str, Any]) -> tuple[Plot, ...]:
    """Accuracy by attack, beside the honest run; time by size."""
    plots = [
        _accuracies(title, cases[name])
        for name, title in (
            ("within", "Liars within the bound"),
            ("rooted", "Six of ten are hostile, with a sound root of trust"),
        )
    ]
    sizes = scaling["sizes"]
    middle = max(row["teachers"] for row in sizes)
    concepts = next(row["concepts"] for row in sizes if row["teachers"] == middle)
    teachers = next(row["teachers"] for row in sizes if row["concepts"] != concepts)
    return (
        *plots,
        _costs("teachers", [row for row in sizes if row["concepts"] == concepts]),
        _costs("concepts", [row for row in sizes if row["teachers"] == teachers]),
    )


def _accuracies(title: str, cases: Sequence[Mapping[str, Any]]) -> Plot:
    series: dict[str, list[Point]] = {}
    for (n, f, share, attack), group in _grouped(cases, "n", "f", "coverage", "attack").items():
        found = [case["accuracy"] for case in group]
        point = Point(x=attack, y=fmean(found), low=min(found), high=max(found))
        series.setdefault(f"{f} of {n}, coverage {share:g}", []).append(point)
    honest = {case["coverage"]: case["honest_accuracy"] for case in cases}
    return Plot(
        title=title,
        x="attack",
        y="accuracy of the student",
        series=series,
        joined=False,
        level=honest.get(1.0),
        note="Dashed: the honest teachers alone, all concepts. Bars: the seeds' least and most.",
    )


def _costs(by: str, rows: Sequence[Mapping[str, Any]]) -> Plot:
    ordered = sorted(rows, key=lambda row: row[by])
    return Plot(
        title=f"Time of combining by the number of {by}",
        x=by,
        y="seconds",
        series={"seconds": [Point(x=float(row[by]), y=row["seconds"]) for row in ordered]},
        log_x=True,
        log_y=True,
    )
