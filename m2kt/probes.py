"""Probes: items that a student is examined on and never trained on.

Owns: `Probe`, `ProbeSet`, its rounds, and how a set is drawn apart from what was trained on.
Does not own: grading by a model (verify).
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from m2kt.domain import Domain
from m2kt.errors import RequestError


@dataclass(frozen=True, slots=True)
class Probe:
    """A question, its level, and the answer that the examiner expects.

    Attributes:
        question: As it is posed.
        level: Its difficulty.
        answer: What is right.
        concepts: Ids of those that the right steps recall.
        facts: Ids of the facts that they recall: the same, but in a relational domain.
    """

    question: str
    level: int
    answer: str
    concepts: tuple[str, ...]
    facts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProbeSet:
    """Held-out items of one domain, in a fixed order."""

    domain: str
    items: tuple[Probe, ...]

    def __post_init__(self) -> None:
        if not self.items:
            raise RequestError("expected at least one probe, found none; ask for more per level")

    def at(self, level: int) -> tuple[Probe, ...]:
        """The items of one level."""
        return tuple(item for item in self.items if item.level == level)

    def rounds(self, size: int) -> Iterator["ProbeSet"]:
        """The same items in rounds of at most `size` of each level; levels take turns.

        Raises:
            RequestError: `size` is not positive.
        """
        if size < 1:
            raise RequestError(f"expected rounds of at least one item of a level, found {size}")
        levels = [self.at(level) for level in sorted({item.level for item in self.items})]
        for start in range(0, max(map(len, levels)), size):
            drawn = [item for its in levels for item in its[start : start + size]]
            yield ProbeSet(self.domain, tuple(drawn))


def draw_probes(
    domain: Domain, *, seed: int, per_level: int, exclude: Iterable[str] = ()
) -> ProbeSet:
    """Draws up to `per_level` different questions of every level, none of them in `exclude`.

    A level with fewer different questions gives all that it has left.

    Args:
        domain: Where questions and expected answers come from.
        seed: Known to the examiner alone.
        per_level: Items wanted for each level.
        exclude: Texts of questions that were trained on.
    """
    rng, taken = random.Random(seed), set(exclude)
    items: list[Probe] = []
    for level in domain.levels:
        wanted, tries = per_level, 0
        while wanted and tries < 50 * per_level:
            tries += 1
            question = domain.question(rng, level)
            if question.text in taken:
                continue
            taken.add(question.text)
            trace = domain.solve(question.text)
            concepts = tuple(step.concept for step in trace.steps)
            facts = tuple(map(domain.recalled, trace.steps))
            items.append(Probe(question.text, level, trace.answer, concepts, facts))
            wanted -= 1
    return ProbeSet(domain.name, tuple(items))
