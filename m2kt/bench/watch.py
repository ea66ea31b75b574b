"""A stopwatch that stands still during exams.

Owns: `Watch`: when each step ended, and what the student could do by then.
Does not own: the steps (contenders), the exam itself (m2kt.verify).
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from m2kt.bench.machine import peak_rss_mib

READOUT: Final = "readout"
REHEARSAL: Final = "rehearsal"
"""Phases of a run; contenders that train on texts alone have the second only."""


@dataclass(frozen=True, slots=True)
class Lap:
    """The end of one step.

    Attributes:
        phase: Which phase it belongs to.
        seconds: Since the start, exams not counted.
        flops: Operations since the start, if they are counted, else 0.
    """

    phase: str
    seconds: float
    flops: int


@dataclass(frozen=True, slots=True)
class Mark:
    """The result of one exam, after `steps` steps of rehearsal and `seconds` of training."""

    steps: int
    seconds: float
    accuracy: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """When a run need not go on.

    Attributes:
        accuracy: It is as good as that.
        seconds: It took so long, exams not counted.
    """

    accuracy: float
    seconds: float = math.inf


@final
class Watch:
    """Times one run. Call `start`, then `lap` after every step.

    Attributes:
        laps: The end of every step.
        marks: The result of every exam.
        peak_mib: Peak of resident memory before the first exam: exams are not training.
    """

    def __init__(
        self,
        examine: Callable[[], float],
        *,
        every: int,
        goal: Goal | None = None,
        flops: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Makes a watch that has not started.

        Args:
            examine: Gives the accuracy on held-out problems.
            every: Steps of rehearsal between two exams.
            goal: When a contender need not go on; none to go to the end.
            flops: Operations so far.
            clock: Seconds.
        """
        self._examine, self._every, self._goal = examine, every, goal
        self._flops, self._clock = flops, clock
        self._began = self._paused = 0.0
        self._counted = 0
        self.laps: list[Lap] = []
        self.marks: list[Mark] = []
        self.peak_mib = 0.0

    def start(self) -> None:
        """Begins to count."""
        self._counted, self._began = self._flops(), self._clock()

    def lap(self, phase: str = REHEARSAL) -> bool:
        """Notes the end of a step; whether the goal is reached, or its time is over."""
        seconds = self._clock() - self._began - self._paused
        self.laps.append(Lap(phase, seconds, self._flops() - self._counted))
        steps = self.steps(phase)
        if phase == REHEARSAL and steps % self._every == 0:
            self._mark(steps, seconds)
        return self._over(seconds)

    def finish(self) -> None:
        """Examines after the last step, if that has not been done."""
        steps = self.steps(REHEARSAL)
        if steps and (not self.marks or self.marks[-1].steps < steps):
            self._mark(steps, self.laps[-1].seconds)

    def steps(self, phase: str) -> int:
        """Steps of `phase` that have ended."""
        return sum(lap.phase == phase for lap in self.laps)

    def _over(self, seconds: float) -> bool:
        if self._goal is None:
            return False
        best = max((mark.accuracy for mark in self.marks), default=0.0)
        return best >= self._goal.accuracy or seconds >= self._goal.seconds

    def _mark(self, steps: int, seconds: float) -> None:
        stopped = self._clock()
        self.peak_mib = self.peak_mib or peak_rss_mib()
        self.marks.append(Mark(steps, seconds, self._examine()))
        self._paused += self._clock() - stopped
