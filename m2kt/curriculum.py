"""Which levels of difficulty a student practises: those that go wrong.

What goes right is measured on problems that were composed for this very step, so it is a
held-out measure that costs nothing. Levels are drawn in proportion to what is still missing
(teacher-student curriculum learning: Matiisen et al., 2017, arXiv 1707.00183).

Owns: `Curriculum`. Does not own: the problems (lessonplan), the learning rate (schedule).
"""

import random
from collections import deque
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import final

WINDOW = 24
"""Problems of a level over which what went right is averaged."""

FLOOR = 0.15
"""Weight of a level in which nothing is missing; one in which all is missing has 1 more."""


@final
class Curriculum:
    """How well each level goes.

    Attributes:
        levels: Of the domain.
    """

    def __init__(self, levels: Sequence[int]) -> None:
        self.levels = tuple(levels)
        self._recent: dict[int, deque[bool]] = {n: deque(maxlen=WINDOW) for n in levels}

    def saw(self, marks: Iterable[tuple[int, bool]]) -> None:
        """Takes note of problems: the level of each, and whether it went right."""
        for level, right in marks:
            self._recent[level].append(right)

    def share(self, level: int) -> float:
        """Share of the last problems of `level` that went right; 0 before its window is full."""
        return sum(self._recent[level]) / WINDOW

    @property
    def mastery(self) -> float:
        """Mean over levels of what went right."""
        return fmean(self.share(level) for level in self.levels)

    def draw(self, rng: random.Random, count: int) -> list[int]:
        """Levels of the next `count` problems."""
        missing = [1 - self.share(level) + FLOOR for level in self.levels]
        return rng.choices(self.levels, missing, k=count)
