"""What the contenders of a benchmark learn: one lesson, as a packet and as texts.

Its traces show every fact, so that a contender that cannot read concepts can learn all.

Owns: `Course`, its texts and its probes. Does not own: where lessons come from (subjects), how
they are learnt (contenders).
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, final

from m2kt import domains
from m2kt.align_config import AlignConfig
from m2kt.bench.delivery import STUDENT
from m2kt.bench.subjects import load_model
from m2kt.domain import Grammar, Trace
from m2kt.lessonplan import known_results
from m2kt.packet import Lesson
from m2kt.probes import ProbeSet, draw_probes
from m2kt.student import Student

DOMAIN: Final = "arith.mod7"
PROBE_SEED: Final = 20_260_101

Batch = tuple[Trace, ...]


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Course:
    """One lesson, and all that is needed to learn it in different ways.

    Attributes:
        student: Name of the student's model.
        lesson: What alignment is given.
        batches: Texts for contenders that train on texts alone, one batch a step.
        probes: Held-out problems.
        align: How alignment learns it; the others take what they have in common from here.
        text_learning_rate: Peak for contenders that train on texts alone.
        examine_every: Steps of rehearsal between two exams.
        threads: Of torch.
    """

    student: str
    lesson: Lesson
    batches: tuple[Batch, ...]
    probes: ProbeSet
    align: AlignConfig
    text_learning_rate: float
    examine_every: int
    threads: int

    def brief(self, steps: int) -> "Course":
        """The same course, broken off after `steps` steps of each phase, without an exam."""
        fewer = min(steps, self.align.readout_steps), min(steps, self.align.steps)
        align = replace(self.align, readout_steps=fewer[0], steps=fewer[1])
        batches = self.batches[: fewer[1]]
        return replace(self, align=align, batches=batches, examine_every=steps + 1)


def load_student(name: str) -> Student:
    """The student as it stands before every run."""
    return Student(STUDENT, load_model(name))


def draw_probes_for(lesson: Lesson, *, per_level: int) -> ProbeSet:
    """Problems that no trace of `lesson` shows."""
    shown = [trace.question for trace in lesson.traces]
    return draw_probes(domains.get(DOMAIN), seed=PROBE_SEED, per_level=per_level, exclude=shown)


def draw_batches(
    lesson: Lesson, grammar: Grammar, config: AlignConfig, *, steps: int
) -> tuple[Batch, ...]:
    """Batches drawn by the rules of `align`'s rehearsal: the same kinds of text, as many of each.

    Each holds `config.traces` of the teachers' traces, every one once before any comes again, and
    `config.own` problems of the public grammar, worked out with the facts that traces show. The
    order is another than that of an alignment of the same seed, and levels are drawn alike.
    """
    rng, results = random.Random(config.seed), known_results(lesson, grammar)
    order: list[Trace] = []
    found = []
    for _ in range(steps):
        if len(order) < config.traces:
            order = rng.sample(lesson.traces, len(lesson.traces)) + order
        shown = [order.pop() for _ in range(min(config.traces, len(order)))]
        composed = [_composed(grammar, rng, results.__getitem__) for _ in range(config.own)]
        found.append((*shown, *composed))
    return tuple(found)


def _composed(grammar: Grammar, rng: random.Random, recall: Callable[[str], str]) -> Trace:
    while True:
        question = grammar.question(rng, rng.choice(grammar.levels))
        try:
            return grammar.work(question.text, recall)
        except KeyError:
            continue  # no trace shows one of its facts: pose another
