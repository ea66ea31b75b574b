"""Mean and interval of what came of several seeds.

Owns: `summary`, `bootstrap`. Does not own: which results belong together (transfer).
"""

import random
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Final

RESAMPLES: Final = 2_000
"""Draws of a bootstrap."""


def summary(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean, interval and what was needed of facts that no trace shows."""
    unseen = [its["unseen"]["needed"] for its in found if "needed" in its["unseen"]]
    return {
        "accuracy": fmean(its["mean"] for its in found),
        "interval": bootstrap(found),
        "by_seed": [its["mean"] for its in found],
        "unseen": fmean(unseen) if unseen else None,
    }


def bootstrap(found: Sequence[Mapping[str, Any]]) -> list[float]:
    """95 % of the means of draws of seeds, then of problems within each level."""
    rng = random.Random(0)
    levels = [_by_level(its) for its in found]
    means = sorted(
        fmean(
            fmean(fmean(rng.choices(marks, k=len(marks))) for marks in its)
            for its in rng.choices(levels, k=len(levels))
        )
        for _ in range(RESAMPLES)
    )
    return [means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES) - 1]]


def _by_level(result: Mapping[str, Any]) -> list[list[int]]:
    marks: dict[int, list[int]] = {}
    for level, right in zip(result["levels"], result["right"], strict=True):
        marks.setdefault(level, []).append(right)
    return list(marks.values())
