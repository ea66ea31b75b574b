"""Teachers whose skills do not overlap: what a student keeps of each, and what it makes of all.

Owns: `Skills`. Does not own: the subject (subjects), alignment (m2kt.align), merges (m2kt.merging).
"""

import random
from dataclasses import dataclass, field, replace
from typing import Any, Final, final

from m2kt import domains
from m2kt.align import align
from m2kt.align_config import AlignConfig
from m2kt.bench.delivery import STUDENT
from m2kt.bench.subjects import SUBJECTS, Subject, draw_lesson, load_model
from m2kt.domain import Domain
from m2kt.extract import ExtractConfig
from m2kt.merging import MergeRules, merged
from m2kt.packet import Lesson
from m2kt.probes import Probe, ProbeSet, draw_probes
from m2kt.progress import silent
from m2kt.student import Student
from m2kt.verify import examine

PROBE_SEED: Final = 20_261_128
MIXED: Final = "mixed"
"""Problems that need what several of the teachers know."""
REVEAL: Final = 0.5
POSED: Final = 50
"""Times as many problems are drawn as are wanted, to find those that mix skills."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Skills:
    """A student that learns from some teachers of a subject.

    Attributes:
        domain: Name of the domain; each of its teachers knows a part that no other one knows.
        teachers: Whose packets it gets.
        merge: Name of a merge: it learns from each teacher by itself, and the CALs are merged.
            Empty for one lesson from all packets.
        student: Name of its model.
        seed: Of packets and alignment.
        per_level: Held-out problems of each level, of each skill.
        align: How it learns.
    """

    domain: str
    teachers: tuple[str, ...]
    merge: str = ""
    student: str = "symbols-student"
    seed: int = 0
    per_level: int = 100
    align: AlignConfig = field(default_factory=AlignConfig)

    def __post_init__(self) -> None:
        if self.merge:
            MergeRules(how=self.merge)  # refuses a name that it does not know

    @property
    def title(self) -> str:
        """What is said of it when it is done."""
        how = f", {self.merge}" if self.merge else ""
        return f"{self.domain} from {' and '.join(self.teachers)}{how}"

    @property
    def kind(self) -> str:
        """How the file of its result begins."""
        return f"skills-{self.domain}"

    @property
    def models(self) -> tuple[str, ...]:
        """Models that its result depends on."""
        return (self.student, *self.teachers)

    @property
    def code(self) -> tuple[str, ...]:
        """Files that its result depends on, and others' do not."""
        return ("bench/skills.py",)

    def run(self) -> dict[str, Any]:
        """Accuracy on the skill of each teacher of the domain and on mixed problems."""
        domain, lessons = domains.get(self.domain), self.lessons()
        student = Student(STUDENT, load_model(self.student))
        config = replace(self.align, seed=self.seed)
        cals = [align(student, lesson, domain, config, silent).cal for lesson in lessons]
        cal = cals[0]
        if self.merge:
            names = [[concept.spec.id for concept in lesson.concepts] for lesson in lessons]
            cal = merged(cals, MergeRules(how=self.merge, seed=self.seed), names)
        asked = {trace.question for lesson in lessons for trace in lesson.traces}
        whole, accuracy = SUBJECTS[self.domain], {}
        for name in (*whole.teachers, MIXED):
            probes = probes_of(whole, name, self.per_level, asked)
            accuracy[name] = examine(student, domain, probes, cal).mean
        return {"accuracy": accuracy, "mean": sum(accuracy.values()) / len(accuracy)}

    def lessons(self) -> list[Lesson]:
        """One from all packets, or one from each."""
        taught = SUBJECTS[self.domain].teachers
        groups = [(name,) for name in self.teachers] if self.merge else [self.teachers]
        extract = ExtractConfig(reveal=REVEAL, seed=self.seed)
        subjects = (Subject(self.domain, {name: taught[name] for name in its}) for its in groups)
        return [draw_lesson(its, extract) for its in subjects]


def probes_of(its: Subject, skill: str, per_level: int, asked: set[str]) -> ProbeSet:
    """Held-out problems of one teacher's skill, or those that need several teachers'."""
    domain = domains.get(its.domain)
    known = {name: {spec.id for spec in its.taught(name).concepts} for name in its.teachers}
    if skill != MIXED:
        restricted = domain.restrict(frozenset(known[skill]))
        assert isinstance(restricted, Domain)  # noqa: S101  # what a domain is restricted to
        return draw_probes(restricted, seed=PROBE_SEED, per_level=per_level, exclude=asked)
    rng, items = random.Random(PROBE_SEED), list[Probe]()
    for level in domain.levels:
        found: dict[str, Probe] = {}
        for _ in range(POSED * per_level):
            text = domain.question(rng, level).text
            trace = domain.solve(text)
            facts = tuple(domain.recalled(step) for step in trace.steps)
            needed = [name for name, its_facts in known.items() if not its_facts.isdisjoint(facts)]
            if len(needed) > 1 and text not in asked and len(found) < per_level:
                found.setdefault(text, Probe(text, level, trace.answer, facts, facts))
        items += found.values()
    return ProbeSet(domain.name, tuple(items))
