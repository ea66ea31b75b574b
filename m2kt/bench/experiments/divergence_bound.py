"""How far a student ended from its teachers, concept by concept, against what it retained.

Runs of every quality: packets as they are and with what they carry taken out, concepts read
inside the teacher or found by it, lessons cut short. Of each: how far the student is from all that
its teachers hold (m2kt.bench.divergence), and its share of the teachers' accuracy. A bound is a
falling step function (isotonic regression) less the margin that keeps nine of ten held-out runs
above it (split conformal prediction: Papadopoulos et al., 2002; Lei et al., 2018). What is held out
are settings, with all their seeds, and whole domains.

Owns: `measure`. Does not own: divergences (m2kt.bench.divergence), the lessons (cells).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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
"""Share of new runs that should lie above the bound."""
FOUND_COVERED: Final = 0.85
"""The same of those that are held out, of which there are few."""
ELSEWHERE: Final = 0.8
"""The same in a domain that had no part in the bound."""
TIGHT: Final = 0.5
"""Mean height of held-out runs over the bound, by that over one which knows no divergence."""
SPLITS: Final = 200
ENOUGH: Final = 20
"""Runs that it takes at least."""
WAYS: Final = ("with_c", "without_c", "shuffled_c", "random_c", "untrained_c")
STEPS: Final = (5, 20)
QUICK: Final = ("group.s3",)
FULL: Final = ("arith.mod7", "group.s3", "relation.chain", "arith.mod10")
ATTENTION: Final = "KL of attention"
SAID: Final = "KL of what phi says"
BOTH: Final = "both"
KINDS: Final = (ATTENTION, SAID, BOTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPoint:
    """A run.

    Attributes:
        domain: What was learnt.
        setting: How; runs that differ by their seed alone have the same.
        attention: KL of attention, nats.
        said: KL of what phi says, nats.
        retention: Accuracy, by the teachers'.
    """

    domain: str
    setting: str
    attention: float
    said: float
    retention: float

    def divergence(self, kind: str) -> float:
        """One of the three; both is their sum."""
        return {ATTENTION: self.attention, SAID: self.said, BOTH: self.attention + self.said}[kind]


def measure(scope: Scope, report: Report) -> Findings:
    """Lessons of every quality, and how far from the teachers each ended."""
    names = QUICK if scope.quick else FULL
    seeds = scope.seeds or ((0,) if scope.quick else (0, 1))
    student = scope.student or "symbols-student"
    cells = [cell for name in names for cell in _cells(name, student, seeds, quick=scope.quick)]
    results = run_all(
        cells, scope.cells, workers=scope.workers, threads=scope.threads, report=report
    )
    return _findings(list(_points(results)), student, seeds)


def _cells(domain: str, student: str, seeds: Sequence[int], *, quick: bool) -> Iterator[Cell]:
    """Lessons of every quality, and the teachers' exam."""
    usual = Cell(
        student=student,
        domain=domain,
        way="with_c",
        reveal=FEW,
        per_level=30 if quick else 100,
        align=AlignConfig(steps=60 if quick else 150),
        diverged=True,
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


def _points(results: Mapping[Cell, Mapping[str, Any]]) -> Iterator[RunPoint]:
    """Those of lessons, in domains whose teachers know something."""
    known = {cell.domain: its["mean"] for cell, its in results.items() if cell.way == TEACHER}
    for cell, its in results.items():
        if cell.way != TEACHER and known[cell.domain]:
            yield RunPoint(
                domain=cell.domain,
                setting=_setting(cell),
                attention=max(0.0, its["figures"]["divergence_attention"]),
                said=max(0.0, its["figures"]["divergence_said"]),
                retention=its["mean"] / known[cell.domain],
            )


def _setting(cell: Cell) -> str:
    """What is done in a cell, in words, without its seed."""
    align = cell.align
    parts = [
        cell.way,
        cell.find,
        f"shown {cell.reveal:g}",
        f"held {cell.held:g}" if cell.held < 1 else "",
        f"layer {cell.layer}" if cell.layer is not None else "",
        f"phase A {align.readout_steps}, rehearsal {align.steps}",
    ]
    return ", ".join(filter(None, parts))


def _findings(points: Sequence[RunPoint], student: str, seeds: tuple[int, ...]) -> Findings:
    fits = {kind: _fit(points, kind) for kind in KINDS}
    best = min(fits, key=lambda kind: fits[kind]["slack"])
    return Findings(
        about=(
            f"{len(points)} runs of every quality: how far the student ended from all that its"
            " teachers hold, against the share of the teachers' accuracy that it has. The bound"
            " is made so that nine of ten new runs lie above it."
        ),
        claims=_claims(points, best, fits[best]),
        figures={
            "bound": {"best": best, **fits},
            "runs": [asdict(point) for point in points],
        },
        tables=(_table(fits), *_elsewhere_table(fits)),
        plots=tuple(_plot(points, kind, fits[kind]) for kind in fits),
        limits=LIMITS,
        student=student,
        seeds=seeds,
    )


LIMITS: Final = (
    "The bound is empirical: it holds for runs like these, of small teachers and one student on"
    " symbolic domains, and says nothing of why. By construction nine of ten exchangeable runs lie"
    " above a conformal bound, whatever it is made of; how tight it is says whether a divergence"
    " tells anything. Settings of one domain are not independent of one another.",
    "Divergences are measured with the teachers at hand: a student alone could not. What alignment"
    " itself reports is of the concepts and maps that were sent; in a first quick run its rank"
    " correlation with retention was -0.16, since a student that was sent half of the concepts is"
    " close to these. Divergences from all that the teachers hold were taken after that.",
    "phi is read in the frozen student, without the adapters that were trained with it.",
    "The divergence whose bound is tightest is chosen on the same splits that it is claimed on. The"
    " bound in the plots is one of them, from half of the settings, with a margin from the others.",
)


def _claims(points: Sequence[RunPoint], best: str, fit: Mapping[str, Any]) -> tuple[Claim, ...]:
    elsewhere = fit["elsewhere"]
    return (
        Claim(what="runs", found=float(len(points)), bound=float(ENOUGH)),
        Claim(
            what=f"rank correlation of retention with {best}",
            found=fit["spearman"],
            bound=-0.5,
            at_least=False,
        ),
        Claim(
            what=f"share of runs in held-out settings above the bound by {best}",
            found=fit["coverage"],
            bound=FOUND_COVERED,
        ),
        Claim(
            what="their mean height over it, by that over a bound that knows no divergence",
            found=fit["slack"] / fit["slack_knowing_nothing"],
            bound=TIGHT,
            at_least=False,
        ),
        *(
            Claim(
                what=f"share of runs above it in {name}, which had no part in it",
                found=its["coverage"],
                bound=ELSEWHERE,
            )
            for name, its in elsewhere.items()
        ),
    )


def _fit(points: Sequence[RunPoint], kind: str) -> dict[str, Any]:
    """The bound by one divergence, its margin, and how it does on runs that are held out."""
    x = np.array([point.divergence(kind) for point in points])
    y = np.array([point.retention for point in points])
    names = sorted({(point.domain, point.setting) for point in points})
    groups = np.array([names.index((point.domain, point.setting)) for point in points])
    rng = np.random.default_rng(0)
    held_out = [_held_out(x, y, _split(groups, 3, rng)) for _ in range(SPLITS)]
    fitted, calibrated = _split(groups, 2, rng)
    falling, margin = _bound(x, y, fitted, calibrated)
    grid = np.quantile(x, np.linspace(0, 1, 21))
    return {
        "spearman": float(spearmanr(x, y).statistic),
        **{name: fmean(its[name] for its in held_out) for name in held_out[0]},
        "elsewhere": _elsewhere(points, x, y, rng),
        "margin": margin,
        "grid": [float(its) for its in grid],
        "bound_at": [float(its) for its in _lower(falling, margin, grid)],
    }


def _split(groups: Any, count: int, rng: np.random.Generator) -> list[Any]:  # noqa: ANN401
    """Rows in `count` parts, no group in two of them."""
    order = rng.permutation(groups.max() + 1)
    return [np.flatnonzero(np.isin(groups, part)) for part in np.array_split(order, count)]


def _held_out(x: Any, y: Any, parts: Sequence[Any]) -> dict[str, float]:  # noqa: ANN401
    """How the last part lies over a bound from the others; and over a constant one."""
    fitted, calibrated, held = parts
    falling, margin = _bound(x, y, fitted, calibrated)
    lower = _lower(falling, margin, x[held])
    nothing, spread = _bound(np.zeros_like(x), y, fitted, calibrated)
    flat = _lower(nothing, spread, np.zeros(len(held)))
    return {
        "coverage": float((y[held] >= lower).mean()),
        "slack": float((y[held] - lower).mean()),
        "slack_knowing_nothing": float((y[held] - flat).mean()),
    }


def _elsewhere(
    points: Sequence[RunPoint],
    x: Any,  # noqa: ANN401 - an array
    y: Any,  # noqa: ANN401 - an array
    rng: np.random.Generator,
) -> dict[str, dict[str, float]]:
    """By domain how its runs lie over a bound that is made of all others; none if it is alone."""
    domains = np.array([point.domain for point in points])
    found = {}
    for name in dict.fromkeys(domains.tolist()) if len(set(domains.tolist())) > 1 else ():
        others = rng.permutation(np.flatnonzero(domains != name))
        held = np.flatnonzero(domains == name)
        found[name] = _held_out(x, y, [*np.array_split(others, 2), held])
    return found


def _bound(x: Any, y: Any, fitted: Any, calibrated: Any) -> tuple[IsotonicRegression, float]:  # noqa: ANN401
    """A falling step function, and what is taken off it.

    The margin is such that a new run is above with a chance of at least `COVERED`.
    """
    falling = IsotonicRegression(increasing=False, out_of_bounds="clip").fit(x[fitted], y[fitted])
    residuals = np.sort(falling.predict(x[calibrated]) - y[calibrated])
    rank = math.ceil((len(residuals) + 1) * COVERED)
    return falling, float(max(0.0, residuals[min(rank, len(residuals)) - 1]))


def _lower(falling: IsotonicRegression, margin: float, x: Any) -> Any:  # noqa: ANN401 - arrays
    return np.clip(falling.predict(x) - margin, 0, None)


def _table(fits: Mapping[str, Mapping[str, Any]]) -> Table:
    names = ("spearman", "margin", "coverage", "slack", "slack_knowing_nothing")
    return Table(
        title="Bounds",
        head=(
            *("divergence", "rank correlation", "margin", "coverage", "mean height"),
            "over a constant",
        ),
        rows=tuple((kind, *(its[name] for name in names)) for kind, its in fits.items()),
        note="Coverage and heights are of settings that neither the fit nor the margin has seen.",
    )


def _elsewhere_table(fits: Mapping[str, Mapping[str, Any]]) -> Iterator[Table]:
    """Of domains that had no part in the bound; no table if there is one domain only."""
    rows = tuple(
        (f"{domain}, {kind}", *its.values())
        for kind, fit in fits.items()
        for domain, its in fit["elsewhere"].items()
    )
    if rows:
        head = ("domain, divergence", "coverage", "mean height", "over a constant")
        yield Table(title="In a domain that had no part in the bound", head=head, rows=rows)


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
