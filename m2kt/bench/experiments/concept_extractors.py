"""Three ways to find concepts from unlabelled prompts, beside those that the domain names.

For each teacher: where each extractor reads (every hidden state and position is measured), how
many concepts it finds, whether linear probes read them, how they agree with the domain's own.
For each domain: what a student gains from a packet of them, a fifth of the facts in traces.

Owns: `measure`. Does not own: the extractors (m2kt.extractors), the lessons (cells).
"""

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from statistics import fmean
from typing import Any, Final

import torch
from sklearn.metrics import adjusted_mutual_info_score, homogeneity_completeness_v_measure

from m2kt.bench.cells import Cell
from m2kt.bench.comparison import FEW
from m2kt.bench.controls import SHUFFLED_MEMBERS
from m2kt.bench.experiments.experiment import Claim, Findings, Plot, Point, Scope, Table
from m2kt.bench.matrix import run_all
from m2kt.bench.spread import summary
from m2kt.bench.subjects import load_model, subject
from m2kt.extractors import CLUSTERING, EXTRACTORS, Found, find
from m2kt.linear_probe import Labelled, crossvalidated, lower_bound
from m2kt.progress import Progress, Report
from m2kt.survey import Survey, survey
from m2kt.tensors import mean_by

NAMED: Final = "named"
FINE: Final = "clustering, as many as named"
SHUFFLED: Final = "clustering, members shuffled"
NOTHING: Final = "no packet"
QUICK: Final = ("group.s3",)
FULL: Final = ("arith.mod7", "group.s3", "relation.chain", "arith.mod10")
PROMPTS: Final = 600
GAIN: Final = 0.8
"""Share of the gain of named concepts that clustering alone should give."""

Row = dict[str, Any]


def measure(scope: Scope, report: Report) -> Findings:
    """Runs it: lessons as cells, the rest here."""
    names = QUICK if scope.quick else FULL
    seeds = scope.seeds or ((0,) if scope.quick else (0, 1, 2))
    student = scope.student or "symbols-student"
    found = [row for name in names for row in _found(name, report)]
    lessons = {(name, row): _cells(name, row, student, seeds) for name in names for row in ROWS}
    if scope.quick:
        lessons = {key: [replace(c, per_level=60) for c in its] for key, its in lessons.items()}
    results = run_all(
        [cell for its in lessons.values() for cell in its],
        scope.cells,
        workers=scope.workers,
        threads=scope.threads,
        report=report,
    )
    gained = {
        key: summary([results[cell] for cell in its])
        | {"bytes": results[its[0]]["meter"].get("bytes", 0)}
        for key, its in lessons.items()
    }
    return _told(found, gained, names, student, seeds)


ROWS: Final[Mapping[str, Mapping[str, Any]]] = {
    NAMED: {},
    **{name: {"find": name} for name in EXTRACTORS},
    FINE: {"find": CLUSTERING, "groups": -1},
    SHUFFLED: {"find": CLUSTERING, "way": SHUFFLED_MEMBERS},
    NOTHING: {"way": "zero_shot"},
}
"""What a student is given: settings of a cell; -1 groups stand for as many as the domain names."""


def _cells(domain: str, row: str, student: str, seeds: Sequence[int]) -> list[Cell]:
    settings: dict[str, Any] = {"way": "with_c", **ROWS[row]}
    if settings.get("groups"):
        its = subject(domain)
        settings["groups"] = max(len(its.taught(name).concepts) for name in its.teachers)
    usual = Cell(student=student, domain=domain, reveal=FEW, **settings)
    return [replace(usual, seed=seed) for seed in (seeds if row != NOTHING else seeds[:1])]


def _found(domain: str, report: Report) -> Iterable[Row]:
    """A row for each teacher and extractor."""
    its = subject(domain)
    for teacher in its.teachers:
        grammar = its.taught(teacher)
        asked = survey(load_model(teacher), grammar, prompts=PROMPTS, rng=random.Random(0))
        for extractor in EXTRACTORS:
            found = find(asked, extractor)
            report(Progress(f"{teacher}: {extractor}", {"concepts": float(len(found.members))}))
            about = {"domain": domain, "teacher": teacher, "own": len(grammar.concepts)}
            yield {**about, **_row(asked, found)}


def _row(asked: Survey, found: Found) -> Row:
    """What can be said of concepts without a student."""
    held = found.groups >= 0
    facts = torch.tensor([sorted(set(asked.facts)).index(fact) for fact in asked.facts])
    says = _fidelity(found.states, asked.said, facts)
    kinds = _fidelity(found.states[held], found.groups[held], asked.places[held, 0])
    own, groups = facts[held].tolist(), found.groups[held].tolist()
    homogeneity, completeness, _ = homogeneity_completeness_v_measure(own, groups)
    return {
        "extractor": found.extractor,
        "site": {"layer": found.site.layer, "back": found.site.back},
        "layers": asked.teacher.depth,
        "concepts": len(found.members),
        "purity": found.purity,
        "fidelity": says,
        "told_apart": kinds,
        "agreement": {
            "ami": float(adjusted_mutual_info_score(own, groups)),
            "homogeneity": float(homogeneity),
            "completeness": float(completeness),
        },
        "measured": {f"{s.layer}:{s.back}": share for s, share in found.measured.items()},
        "told": {str(count): share for count, share in found.told.items()},
    }


def _fidelity(states: torch.Tensor, labels: torch.Tensor, groups: torch.Tensor) -> dict[str, float]:
    """Share of held-out states whose label a linear probe reads, and its lower bound over groups.

    What of a share is no whole group counts as wrong in the bound.
    """
    generator = torch.Generator().manual_seed(0)
    right = crossvalidated(Labelled(states, labels, groups), generator=generator).float()
    names, members = groups.unique(return_inverse=True)
    shares = mean_by(members, right[:, None], len(names))
    count = math.floor(float(shares.sum()) + 1e-6)
    return {"mean": float(right.mean()), "lower": lower_bound(count, len(names))}


def _told(
    found: Sequence[Row],
    gained: Mapping[tuple[str, str], Mapping[str, Any]],
    names: Sequence[str],
    student: str,
    seeds: tuple[int, ...],
) -> Findings:
    shares = {
        (name, row): _share(gained, name, row)
        for name, row in product(names, ROWS)
        if row not in {NAMED, NOTHING}
    }
    return Findings(
        about=(
            "Teachers found concepts in their own texts under unlabelled prompts, by three"
            " extractors. A frozen student learnt from packets of them, whose traces show a fifth"
            " of the facts, beside a packet of the concepts that the domain names."
        ),
        claims=_claims(found, gained, shares, names),
        figures=_figures(found, gained, shares, names),
        tables=(_table_found(found), _table_gained(gained, shares, names)),
        plots=(_plot_gained(gained, names), *_plots_measured(found)),
        limits=LIMITS,
        student=student,
        seeds=seeds,
    )


LIMITS: Final = (
    "Agreement with the domain's own concepts is low where few are found: a concept is"
    " then made of all facts with one result. Completeness says that no fact is torn.",
    "Places are those where a result is due in the public form of a text; of texts without"
    " such a form nothing is shown.",
    "Sites and numbers of groups are measured by the teacher's own next symbol. By gradient"
    " attribution the last state at the place has all of its layer's share by construction:"
    " its layer is no finding. That a probe reads the next symbol from the last state is no"
    " surprise either; fidelity is of the site that was chosen, on the same places.",
    "Prompts have no labels, but facts do have names: what a step recalls is read off the"
    " teacher's text, and concepts are made of such facts by majority. Bottleneck probing"
    " fits its probe on all places, so its count of groups is an in-sample one; told apart"
    " is of groups that were made of the same states.",
    "Of found concepts it is the membership that carries: facts of one concept have one"
    " vector, of which one fact at least is shown.",
    "As many as named: each teacher finds as many as the one with most of them has.",
)


def _figures(
    found: Sequence[Row],
    gained: Mapping[tuple[str, str], Mapping[str, Any]],
    shares: Mapping[tuple[str, str], float],
    names: Sequence[str],
) -> Row:
    by_extractor = {
        extractor: {
            "rows": [row for row in found if row["extractor"] == extractor],
            "gain": {
                name: {**gained[name, extractor], "of_named": shares[name, extractor]}
                for name in names
            },
        }
        for extractor in EXTRACTORS
    }
    others = {
        row: {name: dict(gained[name, row]) for name in names}
        for row in (NAMED, FINE, SHUFFLED, NOTHING)
    }
    return {"extractors": by_extractor, "others": others}


def _share(gained: Mapping[tuple[str, str], Mapping[str, Any]], name: str, row: str) -> float:
    """Gain over no packet, by that of named concepts."""
    nothing = gained[name, NOTHING]["accuracy"]
    own = gained[name, NAMED]["accuracy"] - nothing
    return float((gained[name, row]["accuracy"] - nothing) / own)


def _claims(
    found: Sequence[Row],
    gained: Mapping[tuple[str, str], Mapping[str, Any]],
    shares: Mapping[tuple[str, str], float],
    names: Sequence[str],
) -> tuple[Claim, ...]:
    best = max(shares[name, CLUSTERING] for name in names)
    control = max(gained[name, SHUFFLED]["accuracy"] for name in names)
    least = min(gained[name, CLUSTERING]["accuracy"] for name in names)
    return (
        Claim(
            what="clustering alone, share of the gain of named, best domain", found=best, bound=GAIN
        ),
        Claim(
            what="clustering above the same with members shuffled, worst against best domain",
            found=least - control,
            bound=0.3,
        ),
        Claim(
            what="lower bound of probe fidelity, worst teacher and extractor",
            found=min(row["fidelity"]["lower"] for row in found),
            bound=0.8,
        ),
    )


def _table_found(found: Sequence[Row]) -> Table:
    head = (
        *("teacher", "extractor", "layer", "back", "concepts", "named", "fidelity", "lower"),
        *("told apart", "agreement", "completeness", "purity"),
    )
    rows = [
        (
            *(row["teacher"], row["extractor"]),
            *(f"{row['site']['layer']} of {row['layers']}", row["site"]["back"]),
            *(row["concepts"], row["own"]),
            *(row["fidelity"]["mean"], row["fidelity"]["lower"], row["told_apart"]["mean"]),
            *(row["agreement"]["ami"], row["agreement"]["completeness"], row["purity"]),
        )
        for row in found
    ]
    note = (
        "Layer and tokens before the place where a result is due are measured. Fidelity: a linear"
        " probe says what the teacher says of facts that it has not seen; told apart: it says which"
        " concept, in texts that it has not seen. Agreement: adjusted mutual information with the"
        " domain's own concepts."
    )
    return Table(title="What is found", head=head, rows=tuple(rows), note=note)


def _table_gained(
    gained: Mapping[tuple[str, str], Mapping[str, Any]],
    shares: Mapping[tuple[str, str], float],
    names: Sequence[str],
) -> Table:
    rows = []
    for name, row in product(names, ROWS):
        its = gained[name, row]
        low, high = its["interval"]
        cells = (
            its["accuracy"],
            f"{low:.3f} to {high:.3f}",
            its["unseen"],
            shares.get((name, row)),
        )
        rows.append((name, row, *cells, its["bytes"] or None))
    head = ("domain", "concepts", "accuracy", "95 %", "on facts in no trace", "gain by named")
    return Table(title="What a student gains", head=(*head, "bytes"), rows=tuple(rows))


def _plot_gained(gained: Mapping[tuple[str, str], Mapping[str, Any]], names: Sequence[str]) -> Plot:
    series = {
        row: [
            Point(
                x=name,
                y=gained[name, row]["accuracy"],
                low=gained[name, row]["interval"][0],
                high=gained[name, row]["interval"][1],
            )
            for name in names
        ]
        for row in ROWS
    }
    title, y = "What a student gains from concepts that were found", "share of right answers"
    return Plot(title=title, x="domain", y=y, series=series, joined=False)


def _plots_measured(found: Sequence[Row]) -> Iterable[Plot]:
    """Of each extractor what it measures at the place itself, by depth."""
    for extractor in EXTRACTORS:
        rows = [row for row in found if row["extractor"] == extractor]
        series = {}
        for row in rows:
            points = []
            for site, share in row["measured"].items():
                layer, back = map(int, site.split(":"))
                if back == 0:
                    points.append(Point(x=layer / row["layers"], y=share))
            series[row["teacher"]] = points
        best = fmean(max(row["measured"].values()) for row in rows)
        yield Plot(
            title=f"Where {extractor} reads",
            x="layer, as a share of the depth",
            y="its measure, where a result is due",
            series=series,
            note=f"Mean of the highest: {best:.3f}.",
        )
