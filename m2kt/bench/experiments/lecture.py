"""One lesson of an experiment, learnt and examined in this process: what cells do not tell.

A cell keeps what came of the exam; some experiments also need the candidate itself, or teachers
who teach a part of their domain.

Owns: `Lecture`, `lesson_of`, `lecture_of`. Does not own: the packets (subjects), controls
(controls), how a lesson is learnt (align).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, final

from m2kt import domains
from m2kt.align import align
from m2kt.align_config import AlignConfig
from m2kt.bench.cells import PROBE_SEED
from m2kt.bench.controls import CONTROLS
from m2kt.bench.delivery import STUDENT
from m2kt.bench.subjects import Subject, draw_lesson, load_model
from m2kt.domain import Domain
from m2kt.errors import RequestError
from m2kt.extract import ExtractConfig
from m2kt.language_model import LanguageModel
from m2kt.packet import Lesson
from m2kt.probes import draw_probes
from m2kt.progress import silent
from m2kt.student import Candidate, Student
from m2kt.verdict import Exam
from m2kt.verify import examine

FEW: Final = 0.2
"""Share of the facts that traces show: what the others say is in C alone."""


@cache
def known_model(name: str) -> LanguageModel:
    """A model that is read from disk once: it never changes."""
    return load_model(name)


def domain_of(its: Subject) -> Domain:
    """The part of the domain that somebody teaches.

    Raises:
        RequestError: it is no domain of its own.
    """
    whole = domains.get(its.domain)
    ids = {spec.id for teacher in its.teachers for spec in its.taught(teacher).concepts}
    if len(ids) == len(whole.concepts):
        return whole
    part = whole.restrict(frozenset(ids))
    if not isinstance(part, Domain):
        raise RequestError(f"expected a part of {its.domain} with facts, found {type(part)}")
    return part


@final
@dataclass(frozen=True, slots=True, eq=False)
class Lecture:
    """What a student is taught.

    Attributes:
        student: Who learns.
        domain: All that is taught, with its facts, for the exam.
        lesson: What it learns from.
    """

    student: Student
    domain: Domain
    lesson: Lesson

    def learn(self, config: AlignConfig) -> Candidate:
        """What the student makes of the lesson."""
        return align(self.student, self.lesson, self.domain, config, silent)

    def exam(self, candidate: Candidate | None, *, per_level: int) -> Exam:
        """Held-out problems, none of which a trace shows; None examines the student as it is."""
        exclude = {trace.question for trace in self.lesson.traces}
        probes = draw_probes(self.domain, seed=PROBE_SEED, per_level=per_level, exclude=exclude)
        return examine(self.student, self.domain, probes, candidate.cal if candidate else None)

    @property
    def shown(self) -> frozenset[str]:
        """Ids of the facts that some trace shows."""
        steps = (step for trace in self.lesson.traces for step in trace.steps)
        return frozenset(map(self.domain.recalled, steps))


def lesson_of(
    its: Subject, *, seed: int, way: str = "with_c", traces_per_level: int = 60
) -> Lesson:
    """What the teachers of `its` send, a fifth of the facts in traces; `way` is a control."""
    change, rules = CONTROLS[way]
    extract = ExtractConfig(reveal=FEW, seed=seed, traces_per_level=traces_per_level)
    return draw_lesson(its, extract, change=change, rules=rules)


def lecture_of(student: str, its: Subject, lesson: Lesson) -> Lecture:
    """A lesson of the teachers of `its`, for a student by name."""
    return Lecture(Student(STUDENT, known_model(student)), domain_of(its), lesson)


def result_of(exam: Exam) -> Mapping[str, Any]:
    """An exam in the form in which `spread` takes results."""
    return {
        "mean": exam.mean,
        "levels": list(exam.levels),
        "right": [int(mark) for mark in exam.right],
        "unseen": {},
    }
