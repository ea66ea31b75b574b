"""How long cells take at most: a few steps of each kind of lesson tell, on this machine.

Owns: `forecast`. Does not own: running cells (matrix).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, final

from m2kt.bench.cells import PROMPTED, RIDGE, TEACHER, Cell
from m2kt.bench.controls import CONTROLS
from m2kt.bench.matrix import run_side_by_side

STEPS: Final = 4
"""Of rehearsal."""
PROBLEMS: Final = 10
"""Of each level."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds that parts of a cell take.

    Attributes:
        prepared: To make a lesson.
        studied: To learn, but for rehearsal.
        step: Of rehearsal.
        problem: In the exam, one of each level.
    """

    prepared: float
    studied: float
    step: float
    problem: float


def forecast(cells: Sequence[Cell], *, workers: int, threads: int) -> float:
    """Seconds that `cells` take at most, as many side by side as will be.

    A lesson of each student in each domain is begun; how long teachers take to write examples
    for baselines is left out.
    """
    kinds = {(cell.student, cell.domain): cell for cell in cells}
    briefs = {_brief(cell): kind for kind, cell in kinds.items()}
    found = run_side_by_side(list(briefs), workers=workers, threads=threads)
    paces = {briefs[cell]: pace_of(result) for cell, result in found}
    total = sum(seconds(cell, paces[cell.student, cell.domain]) for cell in cells)
    return total / min(workers, max(1, len(cells)))


def _brief(cell: Cell) -> Cell:
    steps = min(STEPS, cell.align.steps)
    align = replace(cell.align, steps=steps)
    return replace(cell, way="with_c", align=align, per_level=min(PROBLEMS, cell.per_level))


def pace_of(result: Mapping[str, Any]) -> Pace:
    """From what came of a brief cell."""
    figures, levels = result["figures"], result["levels"]
    problems = len(levels) / len(set(levels))
    return Pace(
        prepared=figures["prepared_s"],
        studied=figures["learning_s"] - figures["rehearsal_s"],
        step=figures["rehearsal_s"] / max(1.0, figures["steps"]),
        problem=figures["exam_s"] / problems,
    )


def seconds(cell: Cell, pace: Pace) -> float:
    """That `cell` takes at most, at that pace."""
    fixed = pace.prepared + pace.problem * cell.per_level
    if cell.way in {TEACHER, *PROMPTED}:
        return fixed
    if cell.way == RIDGE:
        return fixed + 2 * pace.studied
    if cell.way in CONTROLS:
        return fixed + pace.studied + pace.step * cell.align.steps
    batches = -(-cell.examples // (cell.align.traces + cell.align.own))
    return fixed + pace.studied + pace.step * max(cell.text.steps, batches)
