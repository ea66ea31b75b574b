"""What students make of many faults: one run, its claims and its page.

Owns: `measure`. Does not own: what happens (soak), what has to hold (invariants).
"""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from m2kt.bench.experiments.experiment import Claim, Findings, Plot, Point, Scope, Table
from m2kt.progress import Report

from .invariants import KINDS
from .pupil import PUPIL
from .soak import soak
from .tally import Plan, Tally

FULL: Final = Plan(faults=10_000, lasts_s=1800.0)
QUICK: Final = Plan(faults=300, lasts_s=0.0)
WARM: Final = 0.2
"""Share of the time in which a process may still grow to its size."""
GROWN_MIB: Final = 16.0
SHOWN: Final = 20
"""Violations that are listed."""

ABOUT: Final = (
    "A student of 0.3 M parameters learns over gRPC from three honest teachers behind TCP proxies"
    " that delay, slice, cut, close and corrupt what passes. Two packets are worth learning, a"
    " third is not finite and has to be declined. One student is killed (SIGKILL) or finds its"
    " disk full at points that are drawn, and is started again until the transfer has ended; then"
    " its folder is read. Another lives through the whole run while its callers hang up."
)
LIMITS: Final = (
    "Faults of a network, a process and a disk that says so; what a power cut leaves of unsynced"
    " writes is shown by tests of the store, not here.",
    "Times are those of one machine with two students and three teachers on two cores, and of a"
    " small model; they include a student's start.",
    "Most transfers are of a packet that is declined after it came whole; two of 18 in each folder"
    " move HEAD.",
)


def measure(scope: Scope, report: Report) -> Findings:
    """Runs the soak."""
    plan = QUICK if scope.quick else FULL
    scope.cells.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=scope.cells)).resolve()
    try:
        tally = asyncio.run(soak(folder, plan, report))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return findings_of(tally)


def findings_of(tally: Tally) -> Findings:
    """Claims, figures, tables and plots."""
    figures = _figures(tally)
    tables = (_faults_table(tally), _ends_table(tally), _violations_table(tally))
    return Findings(
        about=ABOUT,
        claims=_claims(figures, tally.plan),
        figures=figures,
        tables=tables,
        plots=(_memory_plot(tally.memory), _recovery_plot(tally.recoveries_s())),
        limits=LIMITS,
        student=str(PUPIL["name"]),
        seeds=(tally.plan.seed,),
    )


def _figures(tally: Tally) -> dict[str, Any]:
    seconds = [its for kind in tally.recoveries_s().values() for its in kind]
    kinds = Counter(its.split(":")[0] for its in tally.violations)
    return {
        "faults": dict(tally.faults()),
        "injected": tally.faults().total(),
        "transfers": tally.ended.total(),
        "checks": tally.checks,
        "violations": {kind: kinds[kind] for kind in KINDS},
        "sent_again_chunks": max(tally.again(), default=0),
        "resumes": len(tally.again()),
        "resent_bytes": _percentiles(tally.resent_bytes()),
        "recovery_s": _percentiles(seconds),
        "memory": _growth(tally.memory),
        "lasted_s": tally.lasted_s(),
    }


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    found = values or [0.0]
    return {f"p{level}": float(np.percentile(found, level)) for level in (50, 99)}


def _growth(memory: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Slope of a line through what a process held once it was warm, and its ends' distance."""
    warm = [its for its in memory if its[0] >= WARM * memory[-1][0]]
    if len(warm) < 3:
        return {"mib_per_hour": 0.0, "grown_mib": 0.0}
    at_s, mib = np.array(warm).T
    slope = float(np.polyfit(at_s, mib, 1)[0])
    return {"mib_per_hour": slope * 3600, "grown_mib": slope * float(at_s[-1] - at_s[0])}


def _claims(figures: Mapping[str, Any], plan: Plan) -> tuple[Claim, ...]:
    wrong = figures["violations"]
    grown = Claim(
        what="MiB by which the student that lives through it grows, by a line through the rest"
        " after the first fifth",
        found=figures["memory"]["grown_mib"],
        bound=GROWN_MIB,
        at_least=False,
    )
    return (
        Claim(what="faults injected", found=float(figures["injected"]), bound=float(plan.faults)),
        *(
            Claim(what=what, found=float(wrong[kind]), bound=0.0, at_least=False)
            for kind, what in zip(KINDS, _MEANT, strict=True)
        ),
        Claim(
            what="chunks that a student held and asked for again when it came back, at most",
            found=float(figures["sent_again_chunks"]),
            bound=1.0,
            at_least=False,
        ),
        *([grown] if plan.lasts_s else []),
    )


_MEANT: Final = (
    "stores that are neither the old one nor the new one",
    "packets or lessons lost",
    "lessons applied twice",
    "states that rest on a packet which had to be declined, or exams that went worse",
    "transfers without an end",
    "events, receipts or reasons missing",
    "files left behind",
)
"""What the kinds of violations mean, in the order of `KINDS`."""


def _faults_table(tally: Tally) -> Table:
    recovered = tally.recoveries_s()
    rows = []
    for kind, count in tally.faults().most_common():
        its = _percentiles(recovered[kind]) if kind in recovered else {"p50": None, "p99": None}
        rows.append((kind, count, its["p50"], its["p99"]))
    return Table(
        title="Faults",
        head=("kind", "injected", "s until it went on, p50", "p99"),
        rows=tuple(rows),
        note="From a fault that broke a connection until bytes of a packet passed on another one;"
        " from a kill until the student had answered again. Without a time: nothing broke off.",
    )


def _ends_table(tally: Tally) -> Table:
    return Table(
        title="Ends of transfers",
        head=("teacher: state", "transfers"),
        rows=tuple(tally.ended.most_common()),
        note="A fault may end a transfer, by a reason of its own; it must not end it unsaid.",
    )


def _violations_table(tally: Tally) -> Table:
    shown = tally.violations[:SHOWN] or ["none"]
    return Table(
        title="What did not hold", head=("violation",), rows=tuple((its,) for its in shown)
    )


def _memory_plot(memory: Sequence[tuple[float, float]]) -> Plot:
    thinned = memory[:: max(1, len(memory) // 200)]
    return Plot(
        title="Memory of the student that lives through it",
        x="seconds",
        y="MiB resident",
        series={"student": [Point(x=at_s, y=mib) for at_s, mib in thinned]},
    )


def _recovery_plot(recovered: Mapping[str, Sequence[float]]) -> Plot:
    points = [
        Point(
            x=kind,
            y=float(np.median(seconds)),
            low=float(min(seconds)),
            high=float(np.percentile(seconds, 99)),
        )
        for kind, seconds in sorted(recovered.items())
    ]
    return Plot(
        title="Time until it went on",
        x="fault",
        y="seconds",
        series={"median, least and 99 %": points},
        joined=False,
        log_y=True,
    )
