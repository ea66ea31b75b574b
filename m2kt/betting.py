"""Tests that may end whenever there is enough evidence: betting against a hypothesis.

Whoever doubts that a mean is at most m bets on every observation x a part b of what he has, and
has 1 + b (x - m) times as much after it. If the mean is at most m, that is no more than before,
on average: so at no time, whenever he stops, does he have t times what he began with but with a
chance of 1 / t (Ville, 1939). He begins with equal sums for every b. One by what he has is a
p-value that needs no correction for having been looked at before.

Source: Waudby-Smith and Ramdas, *Estimating means of bounded random variables by betting*, 2024.

Owns: `capital`, `p_value`. Does not own: what is tested, and what follows (verdict).
"""

import math
from collections.abc import Iterable
from statistics import fmean
from typing import Final

BETS: Final = tuple((step + 0.5) / 16 for step in range(16))
"""Parts of the most that can be bet without debts."""


def capital(observed: Iterable[float], *, at_most: float) -> float:
    """What is left of 1 that was bet against "the mean is at most `at_most`".

    Args:
        observed: Each from -1 to 1. Observations of several means, in turn, count as of their
            mean, if that is looked at only when all have had as many turns.
        at_most: Above -1.
    """
    steps = [x - at_most for x in observed]
    parts = [part / (1 + at_most) for part in BETS]
    return fmean(math.prod(1 + part * step for step in steps) for part in parts)


def p_value(observed: Iterable[float], *, at_most: float) -> float:
    """Of the hypothesis that the mean is at most `at_most`; may be asked at any time."""
    return min(1.0, 1 / max(1.0, capital(observed, at_most=at_most)))
