"""When to learn how fast, and when to stop: warm-up, full speed, descent, and once more if need be.

Full speed lasts until practice goes mostly right; the descent after it takes the noise out of
the weights (warm-up, stable, decay: Hu et al., 2024, arXiv 2404.06395). If practice still
fails at its end, there is another round at half the speed, and so on (warm restarts: Loshchilov
and Hutter, 2017, arXiv 1608.03983).

Owns: `Schedule`. Does not own: what a step is (align), what goes right (curriculum).
"""

from typing import final

SLOWEST = 0.02
"""Share of the peak below which the learning rate does not fall."""

AGAIN = 0.5
"""Share of the peak with which every round but the first begins."""


@final
class Schedule:
    """The course of one rehearsal.

    Attributes:
        most: Steps at most.
        warmup: Steps until full speed.
        descent: Steps from full speed to a standstill.
        settled: Share of own problems that go right, from which on the descent begins.
        enough: Share at the end of a descent, from which on it is over.
    """

    def __init__(
        self, *, most: int, warmup: int, descent: int, settled: float, enough: float
    ) -> None:
        self.most = most
        self.warmup = min(warmup, most)
        self.descent = max(1, min(descent, most - self.warmup))
        self.settled = settled
        self.enough = enough
        self._peak = 1.0
        self._descending = False
        self._ends = most

    @property
    def ends(self) -> int:
        """The step before which it stops, as far as can be told now."""
        return self._ends

    def rate(self, step: int) -> float:
        """The learning rate at `step`, as a share of its peak."""
        left = self._peak * (self._ends - step) / self.descent
        return min(self._peak, (step + 1) / self.warmup, max(SLOWEST, left))

    def saw(self, step: int, right: float) -> None:
        """Takes note of the share of own problems that went right up to `step`."""
        rest = self.most - (step + 1)
        if not self._descending and right >= self.settled:
            self._descending = True
            self._ends = step + 1 + min(self.descent, rest)
        elif self._descending and step + 1 == self._ends and right < self.enough and rest:
            self._peak = AGAIN
            self._ends = step + 1 + min(self.descent, rest)
