"""How far a student ended from its teacher's concepts, against what it retained of its answers.

Runs of every quality: packets as they are and with what they carry taken out, concepts read
inside the teacher or found by it, lessons cut short. Of each: KL of the memory's attention from
the teacher's maps, the mean surprise of what is read of each concept (geometry), and the share
of the teacher's accuracy that the student has. A bound is a falling step function (isotonic
regression) less the margin that keeps nine of ten held-out runs above it (split conformal
prediction: Papadopoulos et al., 2002; Lei et al., 2018).

Owns: `measure`. Does not own: the figures (m2kt.align), the lessons (cells).
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import numpy as np
from scipy.stats import spearmanr
from sklearn.isotonic import IsotonicRegression

from m2kt.align_config import AlignConfig
from m2kt.bench.cells import TEACHER, Cell
from m2kt.bench.comparison import FEW
from m2kt.bench.experiments.experiment import Claim, Findings, Plot, Point, Scope, Table
from m2kt.bench.matrix import run_all
from m2kt.extractors import CLUSTERING
from m2kt.progress import Report

COVERED: Final = 0.9
"""Share of held-out runs that should lie above the bound."""
SPLITS: Final = 200
ENOUGH: Final = 20
"""Runs that it takes at least."""
WAYS: Final = ("with_c", "without_c", "shuffled_c", "random_c", "untrained_c")
STEPS: Final = (5, 20)
QUICK: Final = ("group.s3",)
FULL: Final = ("arith.mod7", "group.s3", "relation.chain", "arith.mod10")
KL: Final = "KL of attention"
GEOMETRY: Final = "surprise of geometry"
BOTH: Final = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPoint:
    """A run.

    Attributes:
        domain: What was learnt.
        name: How.
        kl: KL(A^T || A^S), nats.
        geometry: Mean surprise, nats.
        retention: Accuracy, by the teachers'.
    """

    domain: str
    name: str
    kl: float
    geometry: float
    retention: float

    def divergence(self, kind: str) -> float:
        """One of the three; both is their sum."""
        return {KL: self.kl, GEOMETRY: self.geometry, BOTH: self.kl + self.geometry}[kind]


def measure(scope: Scope, report: Report) -> Findings:
    """Runs what it takes, and adds the runs of other experiments that are kept."""
    names = QUICK if scope.quick else FULL
    seeds = scope.seeds or ((0,) if scope.quick else (0, 1))
    student = scope.student or "symbols-student"
    cells = [cell for name in names for cell in _cells(name, student, seeds, quick=scope.quick)]
    results = run_all(
        cells, scope.cells, workers=scope.workers, threads=scope.threads, report=report
    )
    kept: dict[str, Mapping[str, Any]] = {
        json.dumps(its["cell"], sort_keys=True): its for its in results.values()
    }
    for its in _others(scope.cells) if not scope.quick else ():
        kept.setdefault(json.dumps(its["cell"], sort_keys=True), its)
    return _findings(list(_points(list(kept.values()))), student, seeds)


def _cells(domain: str, student: str, seeds: Sequence[int], *, quick: bool) -> Iterator[Cell]:
    """Lessons of every quality, and the teachers' exam."""
    usual = Cell(
        student=student,
        domain=domain,
        way="with_c",
        reveal=FEW,
        per_level=30 if quick else 100,
        align=AlignConfig(steps=60 if quick else 400),
    )
    yield replace(usual, way=TEACHER)
    for seed in seeds:
        its = replace(usual, seed=seed)
        yield from (replace(its, way=way) for way in WAYS)
        yield from (replace(its, layer=layer) for layer in (-2, -3))
        yield from (replace(its, reveal=share) for share in (0.1, 0.4))
        for steps in STEPS:
            yield replace(its, align=replace(its.align, steps=steps))
            yield replace(its, align=replace(its.align, readout_steps=steps // 5))
            yield replace(its, way="without_c", align=replace(its.align, steps=steps))
        yield from (replace(its, held=share) for share in (0.25, 0.5, 0.75))
        yield replace(its, find=CLUSTERING)
        yield replace(its, find=CLUSTERING, way="shuffled_members")


def _others(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Results of other experiments in the same folder, whatever they were run for."""
    for file in sorted(folder.glob("*.json")):
        found = json.loads(file.read_text())
        if isinstance(found, dict) and "cell" in found:
            yield found


def _points(results: Sequence[Mapping[str, Any]]) -> Iterator[RunPoint]:
    """Those of runs that learnt from a packet, in domains whose teachers were examined."""
    teachers = {
        its["cell"]["domain"]: its["mean"] for its in results if its["cell"]["way"] == TEACHER
    }
    for its in results:
        cell, figures = its["cell"], its["figures"]
        teacher = teachers.get(cell["domain"], 0.0)
        if {"divergence_structure", "divergence_geometry"} <= figures.keys() and teacher:
            yield RunPoint(
                domain=cell["domain"],
                name=cell["way"] + (f", {cell['find']}" if cell.get("find") else ""),
                kl=max(0.0, figures["divergence_structure"]),
                geometry=figures["divergence_geometry"],
                retention=its["mean"] / teacher,
            )


def _findings(points: Sequence[RunPoint], student: str, seeds: tuple[int, ...]) -> Findings:
    fits = {kind: _fit(points, kind) for kind in (KL, GEOMETRY, BOTH)}
    best = max(fits, key=lambda kind: -fits[kind]["margin"])
    return Findings(
        about=(
            f"{len(points)} runs of every quality: how far the student ended from its teacher's"
            " concepts, against the share of the teacher's accuracy that it has. The bound holds"
            " for nine of ten runs that it was not fitted on."
        ),
        claims=(
            Claim(what="runs", found=float(len(points)), bound=float(ENOUGH)),
            Claim(
                what=f"share of held-out runs above the bound by {best}",
                found=fits[best]["coverage"],
                bound=COVERED - 0.02,
            ),
            Claim(
                what=f"rank correlation of retention with {best}",
                found=fits[best]["spearman"],
                bound=-0.5,
                at_least=False,
            ),
        ),
        figures={
            "bound": {"best": best, **fits},
            "runs": [asdict(point) for point in points],
        },
        tables=(_table(fits),),
        plots=tuple(_plot(points, kind, fits[kind]) for kind in fits),
        limits=(
            "The bound is empirical: it holds for runs like these, of small teachers and students"
            " on symbolic domains, and says nothing of why.",
            "Where a teacher's maps cannot tell concepts with one result apart, a student that can"
            " has a large KL and loses nothing: KL alone bounds little there.",
        ),
        student=student,
        seeds=seeds,
    )


def _fit(points: Sequence[RunPoint], kind: str) -> dict[str, Any]:
    """The bound by one divergence, its margin, and its coverage of held-out runs."""
    x = np.array([point.divergence(kind) for point in points])
    y = np.array([point.retention for point in points])
    rng, covered, slack = np.random.default_rng(0), [], []
    for _ in range(SPLITS):
        order = rng.permutation(len(points))
        fitted, calibrated, held = np.array_split(order, 3)
        falling = _falling(x[fitted], y[fitted])
        margin = _margin(falling.predict(x[calibrated]) - y[calibrated])
        lower = np.clip(falling.predict(x[held]) - margin, 0, None)
        covered.append(float((y[held] >= lower).mean()))
        slack.append(float((y[held] - lower).mean()))
    fitted, calibrated = np.array_split(rng.permutation(len(points)), 2)
    falling = _falling(x[fitted], y[fitted])
    margin = _margin(falling.predict(x[calibrated]) - y[calibrated])
    grid = np.quantile(x, np.linspace(0, 1, 21))
    bound = np.clip(falling.predict(grid) - margin, 0, None)
    return {
        "spearman": float(spearmanr(x, y).statistic),
        "coverage": fmean(covered),
        "slack": fmean(slack),
        "margin": margin,
        "grid": [float(its) for its in grid],
        "bound_at": [float(its) for its in bound],
    }


def _falling(x: Any, y: Any) -> IsotonicRegression:  # noqa: ANN401 - arrays
    return IsotonicRegression(increasing=False, out_of_bounds="clip").fit(x, y)


def _margin(residuals: Any) -> float:  # noqa: ANN401 - an array
    """What is taken off, so that a new run is above with a chance of at least `COVERED`."""
    rank = math.ceil((len(residuals) + 1) * COVERED)
    ordered = np.sort(residuals)
    return float(max(0.0, ordered[min(rank, len(ordered)) - 1]))


def _table(fits: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = tuple(
        (kind, its["spearman"], its["margin"], its["coverage"], its["slack"])
        for kind, its in fits.items()
    )
    head = ("divergence", "rank correlation", "margin", "coverage", "mean slack")
    note = "Coverage and slack are of runs that neither the fit nor the margin has seen."
    return Table(title="Bounds", head=head, rows=rows, note=note)


def _plot(points: Sequence[RunPoint], kind: str, fit: Mapping[str, Any]) -> Plot:
    series = {
        domain: [Point(x=p.divergence(kind), y=p.retention) for p in points if p.domain == domain]
        for domain in dict.fromkeys(p.domain for p in points)
    }
    series["lower bound"] = [
        Point(x=x, y=y) for x, y in zip(fit["grid"], fit["bound_at"], strict=True)
    ]
    return Plot(
        title=f"Retention by {kind}",
        x=f"{kind}, nats",
        y="share of the teacher's accuracy",
        series=series,
        joined=False,
    )
