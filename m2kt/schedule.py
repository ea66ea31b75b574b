"""When to learn how fast, and when to stop: warm-up, full speed, descent.

Full speed lasts until practice goes right or the steps run out; the descent after it takes
the noise out of the weights (warm-up, stable, decay: Hu et al., 2024, arXiv 2404.06395).
What goes right is measured on problems that were composed for this very step, so it is a
held-out measure that costs nothing.

Owns: `Schedule`. Does not own: what a step is (align).
"""

from collections import deque
from typing import final

WINDOW = 6
"""Steps over which practice is averaged."""


@final
class Schedule:
    """The course of one rehearsal.

    Attributes:
        most: Steps at most.
        warmup: Steps until full speed.
        descent: Steps from full speed to a standstill.
        enough: Share of own problems that go right, from which on the descent begins.
    """

    def __init__(self, *, most: int, warmup: int, descent: int, enough: float) -> None:
        self.most = most
        self.warmup = min(warmup, most)
        self.descent = max(1, min(descent, most - self.warmup))
        self.enough = enough
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._ends = most

    @property
    def ends(self) -> int:
        """The step before which it stops, as far as can be told now."""
        return self._ends

    def rate(self, step: int) -> float:
        """The learning rate at `step`, as a share of its peak."""
        return min(1.0, (step + 1) / self.warmup, max(0.02, (self._ends - step) / self.descent))

    def saw(self, step: int, right: float) -> None:
        """Takes note of the share of own problems that went right at `step`."""
        self._recent.append(right)
        full = len(self._recent) == WINDOW
        if full and sum(self._recent) >= self.enough * WINDOW:
            self._ends = min(self._ends, step + 1 + self.descent)
