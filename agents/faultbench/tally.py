"""What a soak has seen, and when it is over.

Owns: `Plan`, `Tally`.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import final

from m2kt.progress import Progress, Report

from .teaching import School


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much.

    Attributes:
        faults: To be injected at least.
        lasts_s: Seconds for which memory is watched at least.
        seed: Of all draws.
    """

    faults: int
    lasts_s: float
    seed: int = 0


@final
@dataclass(slots=True)
class Tally:
    """What has happened.

    Attributes:
        plan: How much there should be.
        schools: Whose proxies and teachers count too.
        injected: Faults by kind, but for those of proxies.
        ended: Transfers by their end.
        recovered_s: Seconds until a student answered again, by kind of fault.
        violations: What did not hold.
        checks: How often it was asked.
        memory: Seconds since it began, and MiB of the student that lives through all of it.
        begun_s: When it began, on the monotonic clock.
    """

    plan: Plan
    schools: list[School]
    injected: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    recovered_s: dict[str, list[float]] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    checks: int = 0
    memory: list[tuple[float, float]] = field(default_factory=list)
    begun_s: float = field(default_factory=time.monotonic)

    def over(self, report: Report) -> bool:
        """Whether there were enough faults and the time is up; tells how many there were."""
        injected = self.faults().total()
        figures = {"done": float(min(injected, self.plan.faults)), "of": float(self.plan.faults)}
        report(Progress(f"{self.ended.total()} transfers", figures))
        return injected >= self.plan.faults and self.lasted_s() >= self.plan.lasts_s

    def lasted_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.begun_s

    def faults(self) -> Counter[str]:
        """All faults by kind."""
        found = Counter(self.injected)
        for school in self.schools:
            for fault, count in school.struck().items():
                found[fault] += count
        return found

    def recoveries_s(self) -> dict[str, list[float]]:
        """Seconds until it went on, by kind of fault: of proxies and of students."""
        found = {kind: list(seconds) for kind, seconds in self.recovered_s.items()}
        for proxy in (its for school in self.schools for its in school.proxies.values()):
            for fault, seconds in proxy.recovered_s.items():
                found.setdefault(fault, []).extend(seconds)
        return {kind: seconds for kind, seconds in found.items() if seconds}

    def again(self) -> list[int]:
        """See `Teaching`; of all teachers."""
        return [n for its in self.schools for one in its.teachers.values() for n in one.again]

    def resent_bytes(self) -> list[int]:
        """See `Teaching`; of all teachers."""
        teachers = [one for its in self.schools for one in its.teachers.values()]
        return [count for teacher in teachers for count in teacher.resent_bytes]
