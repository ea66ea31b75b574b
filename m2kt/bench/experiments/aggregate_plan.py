"""Which meetings are held: honest, within the bound, beyond it, with a root; by every strategy.

Owns: `Plan`, `QUICK`. Does not own: what a meeting is (meetings), what they show (aggregate).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, Final, final

from m2kt.bench.attacks import ATTACKS
from m2kt.bench.burden import Burden
from m2kt.bench.faculty import DOMAIN, FACULTY, ROOT, WEAK, located
from m2kt.bench.gatherings import NONE, Gathering
from m2kt.bench.meetings import Meeting
from m2kt.bench.skills import Skills
from m2kt.combine_config import CombineRules
from m2kt.merging import MERGES
from m2kt.progress import Report
from m2kt.strategies import STRATEGIES

SKILLED: Final = "arith.mod7"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is run.

    Attributes:
        within: n and f up to (n - 1) / 4, rounded down.
        beyond: n and f above that.
        rooted: n and f of meetings with a root of trust.
        attacks: Names.
        coverage: Shares of the hidden facts that an honest teacher's C holds.
        strategies: Rules that are also tried without a guard.
        merges: Ways to make one CAL of those that were learnt from one teacher each.
        learnt: Attacks against which these are learnt by, not only looked at.
        teachers: Numbers of them, for what combining costs.
        concepts: Numbers of them.
        seeds: Of every draw.
        per_level: Held-out problems of each level.
        student: Its model.
        models: Folder of the teachers that are trained.
        names: Of the teachers, in the order in which they are asked.
    """

    within: tuple[tuple[int, int], ...] = ((7, 1), (10, 2))
    beyond: tuple[tuple[int, int], ...] = ((4, 1), (4, 2), (7, 3), (10, 3), (10, 6))
    rooted: tuple[tuple[int, int], ...] = ((10, 6),)
    attacks: tuple[str, ...] = tuple(ATTACKS)
    coverage: tuple[float, ...] = (1.0, 0.5, 0.3)
    strategies: tuple[str, ...] = tuple(STRATEGIES)
    merges: tuple[str, ...] = tuple(MERGES)
    learnt: tuple[str, ...] = (NONE, "label_flip", "alie")
    teachers: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    concepts: tuple[int, ...] = (100, 300, 1_000, 3_000, 10_000)
    seeds: tuple[int, ...] = (0, 1, 2)
    per_level: int = 100
    student: str = "symbols-student"
    models: Path = field(default_factory=Path)
    names: tuple[str, ...] = FACULTY

    def located(self, report: Report) -> "Plan":
        """The same with the folders of teachers for their names; trains those that are missing."""
        most = max(n for n, _ in (*self.within, *self.beyond, *self.rooted))
        return replace(
            self, names=tuple(located(name, self.models, report) for name in self.names[:most])
        )

    def weak(self, report: Report) -> tuple[str, ...]:
        """The folders of teachers that err."""
        return tuple(located(name, self.models, report) for name in WEAK)

    def root(self, report: Report) -> str:
        """The folder of a teacher that is a root of trust and sound."""
        return located(ROOT, self.models, report)

    def meeting(self, count: int, seed: int, **gathering: Any) -> Meeting:  # noqa: ANN401
        """A meeting of the first `count` teachers by the rules of a guarded student."""
        its = Gathering(domain=DOMAIN, teachers=self.names[:count], seed=seed, **gathering)
        return Meeting(gathering=its, student=self.student, per_level=self.per_level)

    def honest(self) -> list[Meeting]:
        """All honest: as many as there are, and those that are left without the liars."""
        counts = {n - f for n, f in (*self.within, *self.beyond, *self.rooted)}
        counts |= {n for n, _ in (*self.within, *self.beyond)}
        return [
            self.meeting(count, seed, coverage=share)
            for count, share, seed in product(sorted(counts), self.coverage, self.seeds)
        ]

    def attacked(self, sizes: Sequence[tuple[int, int]], root: str = "") -> list[Meeting]:
        """Every attack on every size, coverage and seed."""
        grid = product(sizes, self.attacks, self.coverage, self.seeds)
        return [
            self.meeting(n, seed, hostile=f, attack=attack, coverage=share, root=root)
            for (n, f), attack, share, seed in grid
        ]

    def by_rule(self) -> Iterator[Meeting]:
        """Every strategy by itself, at full coverage and the most liars within the bound."""
        n, f = max(self.within)
        for name, attack, seed in product(self.strategies, (NONE, *self.attacks), self.seeds):
            rules = CombineRules(strategy=name, before=(), guarded=False, hostile=f)
            its = self.meeting(n, seed, hostile=f if attack != NONE else 0, attack=attack)
            learns = attack in self.learnt and seed == self.seeds[0]
            yield replace(its, rules=rules, learns=learns)

    def unequal(self, weak: Sequence[str]) -> list[Meeting]:
        """Good teachers and weak ones: one and one, one and two, three and two."""
        return [
            self.meeting(good, seed, silent=tuple(weak[:bad]))
            for (good, bad), seed in product(((1, 1), (1, 2), (3, 2)), self.seeds)
        ]

    def redundant(self) -> list[Meeting]:
        """From one teacher to all of them, all honest."""
        most = max(n for n, _ in (*self.within, *self.beyond))
        return [self.meeting(n, seed) for n in (1, 2, most) for seed in self.seeds]

    def skills(self) -> list[Skills]:
        """Each of two teachers alone, both in one lesson, and what was learnt alone merged."""
        both = ("mod7-addsub", "mod7-mul")
        ways = [*(((name,), "") for name in both), *((both, its) for its in ("", *self.merges))]
        return [
            Skills(
                domain=SKILLED,
                teachers=teachers,
                merge=merge,
                student=self.student,
                seed=seed,
                per_level=self.per_level,
            )
            for teachers, merge in ways
            for seed in self.seeds
        ]

    def burdens(self) -> list[Burden]:
        """By the number of teachers, and by the number of concepts."""
        middle = self.concepts[len(self.concepts) // 2]
        by_teachers = [Burden(teachers=n, concepts=middle) for n in self.teachers]
        return [*by_teachers, *(Burden(teachers=8, concepts=n) for n in self.concepts)]


QUICK: Final = Plan(
    within=((5, 1),),
    beyond=((4, 1),),
    rooted=((5, 3),),
    attacks=("label_flip", "alie", "subtle"),
    coverage=(1.0,),
    learnt=(),
    teachers=(1, 4, 16),
    concepts=(100, 300, 1_000),
    seeds=(0,),
    per_level=40,
)
