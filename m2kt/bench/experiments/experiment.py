"""What an experiment is asked for and what it gives: claims with bounds, figures, tables, plots.

A record says by itself what it shows: tables and plots are in it as data, and one page draws
those of every experiment.

Owns: `Scope`, `Claim`, `Table`, `Plot`, `Findings`, `record_of`.
Does not own: any experiment (the other modules here), the page (agents' experiment_page).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, final

from m2kt.bench.machine import describe
from m2kt.progress import Report

FORMAT: Final = "m2kt.bench.experiment/1"
HOLDS: Final = "holds"
FALLS_SHORT: Final = "falls short"

Cell = str | float | int | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """How much is run, and where.

    Attributes:
        quick: As little as shows that it works, in minutes.
        student: Name of the student's model; the experiment's own choice if empty.
        seeds: Of every draw; the experiment's own choice if empty.
        workers: Processes side by side.
        threads: Of torch, in each.
        cells: Folder of results of single cells; a run goes on from there.
    """

    quick: bool = False
    student: str = ""
    seeds: tuple[int, ...] = ()
    workers: int = 2
    threads: int = 1
    cells: Path = Path("bench/cells")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Something that should be so, and what was found.

    Attributes:
        what: The claim in words.
        found: The figure.
        bound: What it is compared with.
        at_least: Whether the figure should be at least the bound; else at most.
    """

    what: str
    found: float
    bound: float
    at_least: bool = True

    @property
    def holds(self) -> bool:
        """Whether it is so."""
        return self.found >= self.bound if self.at_least else self.found <= self.bound


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Figures in rows; the first cell of each is its name."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A point of a plot, with its interval if it has one. `x` may be a name."""

    x: float | str
    y: float
    low: float | None = None
    high: float | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Series of points on two axes.

    Attributes:
        title: What is shown.
        x: Name of the axis.
        y: Name of the axis.
        series: Points by the name of their series.
        joined: Whether the points of a series are joined by a line.
        level: A height at which a dashed line is drawn, such as what guessing reaches.
        log_x: Whether the axis is logarithmic.
        log_y: Whether the axis is logarithmic.
        note: What a reader has to know.
    """

    title: str
    x: str
    y: str
    series: Mapping[str, Sequence[Point]]
    joined: bool = True
    level: float | None = None
    log_x: bool = False
    log_y: bool = False
    note: str = ""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What an experiment found.

    Attributes:
        about: What was measured, in a few sentences.
        claims: At least one; the verdict is `holds` if all of them hold.
        figures: By name, as JSON has them; they stand at the top of the record.
        tables: For the page.
        plots: For the page.
        limits: What was not measured, and what a reader might take for more than it is.
        student: Name of the student's model, or of whom it was about.
        seeds: Of every draw.
    """

    about: str
    claims: tuple[Claim, ...]
    figures: Mapping[str, Any]
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
    limits: tuple[str, ...] = ()
    student: str
    seeds: tuple[int, ...]

    @property
    def verdict(self) -> str:
        """`holds` or `falls short`."""
        return HOLDS if all(claim.holds for claim in self.claims) else FALLS_SHORT


Measure = Callable[[Scope, Report], Findings]
"""An experiment."""


def record_of(name: str, scope: Scope, found: Findings) -> dict[str, Any]:
    """The record, as JSON has it."""
    return {
        "format": FORMAT,
        "experiment": name,
        "verdict": found.verdict,
        "about": found.about,
        "quick": scope.quick,
        "student": found.student,
        "seeds": list(found.seeds),
        "claims": [asdict(claim) | {"holds": claim.holds} for claim in found.claims],
        **found.figures,
        "tables": [asdict(table) for table in found.tables],
        "plots": [asdict(plot) for plot in found.plots],
        "limits": list(found.limits),
        "machine": describe(),
    }
