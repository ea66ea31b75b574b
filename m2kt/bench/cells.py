"""One cell of an experiment: a student, a domain, a way to teach it, a seed; and what came of it.

Owns: `Cell`, `run_cell`. Does not own: which cells there are (transfer), where and when they
run (matrix).
"""

import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any, Final, final

from m2kt import domains
from m2kt.align import align
from m2kt.align_config import AlignConfig
from m2kt.bench.baselines import BASELINES, TextConfig, learn
from m2kt.bench.controls import ALL, thinned
from m2kt.bench.delivery import STUDENT
from m2kt.bench.divergence import Learnt, divergence_of
from m2kt.bench.ridge import ridge
from m2kt.bench.subjects import Subject, draw_lesson, load_model, subject
from m2kt.cal import ConceptAlignmentLayer
from m2kt.domain import Grammar, Trace, answer_in
from m2kt.errors import RequestError
from m2kt.extract import ExtractConfig
from m2kt.interview import ask
from m2kt.language_model import LanguageModel
from m2kt.packet import KnowledgePacket, Lesson
from m2kt.probes import ProbeSet, draw_probes
from m2kt.progress import silent
from m2kt.student import Student
from m2kt.verdict import Exam
from m2kt.verify import examine

TEACHER: Final = "teacher"
PROMPTED: Final = ("zero_shot", "four_shot")
RIDGE: Final = "ridge"
"""Nothing is trained: a linear CAL in closed form, and traces in the prompt."""
PROBE_SEED: Final = 20_260_101
EXAMPLE_SEED: Final = 7
SHOTS: Final = 4


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What is run.

    Attributes:
        student: Name of its model.
        domain: Name of the domain.
        way: A control, a baseline, `ridge`, `zero_shot`, `four_shot`, or `teacher`, which
            examines the teachers themselves.
        reveal: Share of the facts that traces show.
        held: Share of the concepts that no trace shows which C holds all the same.
        exemplars: Contexts that each concept is read from.
        layer: Hidden state of the teacher that concepts are read from; None for the usual one.
        find: Extractor by which the teachers find concepts; empty for those that are named.
        groups: How many each finds; 0 to measure it.
        examples: For a baseline, N.
        seed: Of alignment and of the packets.
        per_level: Held-out problems of each level.
        traces_per_level: Of each packet.
        text: For a baseline, how examples are learnt.
        align: How a lesson is learnt.
        teacher: Model that teaches all of the domain; the usual ones if empty.
        diverged: Whether it is measured how far the student ended from its teachers.
    """

    student: str
    domain: str
    way: str
    reveal: float = 1.0
    held: float = 1.0
    exemplars: int = 16
    layer: int | None = None
    find: str = ""
    groups: int = 0
    examples: int = 0
    seed: int = 0
    per_level: int = 100
    traces_per_level: int = 60
    text: TextConfig = field(default_factory=TextConfig)
    align: AlignConfig = field(default_factory=AlignConfig)
    teacher: str = ""
    diverged: bool = False

    def __post_init__(self) -> None:
        known = {*ALL, *BASELINES, *PROMPTED, RIDGE, TEACHER}
        if self.way not in known:
            raise RequestError(f"expected a way of {', '.join(sorted(known))}, found {self.way!r}")

    @property
    def title(self) -> str:
        """What is said of it when it is done."""
        parts = (self.student, self.domain, self.way, self.find)
        return " ".join(filter(None, (*parts, self.teacher and f"of {self.teacher}")))

    @property
    def kind(self) -> str:
        """How the file of its result begins."""
        return f"{self.domain}-{self.way}"

    @property
    def models(self) -> tuple[str, ...]:
        """Models that its result depends on."""
        return (self.student, *subject(self.domain, self.teacher).teachers)

    def run(self) -> dict[str, Any]:
        """See `run_cell`."""
        return run_cell(self)


def run_cell(cell: Cell) -> dict[str, Any]:
    """Everything that came of a cell, as JSON has it.

    Raises:
        M2KTError: it could not be run.
    """
    watch = [time.perf_counter()]
    its, domain = subject(cell.domain, cell.teacher), domains.get(cell.domain)
    lesson = _lesson(cell, its)
    exclude = {trace.question for trace in lesson.traces}
    probes = draw_probes(domain, seed=PROBE_SEED, per_level=cell.per_level, exclude=exclude)
    watch.append(time.perf_counter())
    figures: dict[str, float] = {}
    meter: dict[str, int] = {}
    if cell.way == TEACHER:
        watch.append(watch[-1])
        exam = composed_exam(its, probes)
    else:
        student = Student(STUDENT, load_model(cell.student))
        cal, figures, meter = _taught(cell, its, lesson, student, probes)
        watch.append(time.perf_counter())
        examples = _examples(cell, lesson) if cell.way in {"four_shot", RIDGE} else ""
        exam = examine(student, domain, probes, cal, examples=examples)
    watch.append(time.perf_counter())
    laps = zip(("prepared_s", "learning_s", "exam_s"), pairwise(watch), strict=True)
    return {
        "cell": json.loads(json.dumps(asdict(cell))),
        "mean": exam.mean,
        "accuracy": {str(level): share for level, share in exam.accuracy.items()},
        "levels": list(exam.levels),
        "right": [int(mark) for mark in exam.right],
        "unseen": _unseen(lesson, probes, exam),
        "figures": figures | {name: end - start for name, (start, end) in laps},
        "meter": meter,
    }


def _lesson(cell: Cell, its: Subject) -> Lesson:
    """The lesson, changed as the cell wants it."""
    control, rules = ALL.get(cell.way, ALL["with_c"])
    extract = ExtractConfig(
        exemplars=cell.exemplars,
        reveal=cell.reveal,
        layer=cell.layer,
        find=cell.find,
        groups=cell.groups,
        traces_per_level=cell.traces_per_level,
        seed=cell.seed,
    )

    def change(packet: KnowledgePacket, model: LanguageModel, grammar: Grammar) -> KnowledgePacket:
        return thinned(control(packet, model, grammar), grammar, cell.held)

    least = 1 if cell.find else min(rules.min_exemplars, cell.exemplars)  # some are rare
    rules = replace(rules, min_exemplars=least)
    return draw_lesson(its, extract, change=change, rules=rules)


Outcome = tuple[ConceptAlignmentLayer | None, dict[str, float], dict[str, int]]


def _taught(
    cell: Cell, its: Subject, lesson: Lesson, student: Student, probes: ProbeSet
) -> Outcome:
    """What the student carries in the exam, figures of the lesson, and what it consumed."""
    config = replace(cell.align, seed=cell.seed)
    if cell.way in PROMPTED:
        return None, {}, {}
    if cell.way == RIDGE:
        cal, figures = ridge(student, lesson, config)
        return cal, figures, _spent(student, lesson.traces)
    if cell.way in ALL:
        candidate = align(student, lesson, domains.get(cell.domain), config, silent)
        far = divergence_of(Learnt(its, lesson, student, candidate)) if cell.diverged else {}
        return candidate.cal, {**candidate.figures, **far}, asdict(candidate.meter)
    asked = {item.question for item in probes.items}
    examples = BASELINES[cell.way](its, lesson, cell.examples, EXAMPLE_SEED + cell.seed, asked)
    cal = learn(student, lesson, examples, config, cell.text)
    soft = sum(example.belief is not None for example in examples)
    logits = soft * len(domains.get(cell.domain).symbols)
    spent = _spent(student, [example.trace for example in examples])
    return cal, {}, spent | {"labels": soft, "logits": logits}


def _spent(student: Student, traces: Sequence[Trace]) -> dict[str, int]:
    """What traces are, as examples: without labels, without logits."""
    tokens = sum(len(student.language_model.encode_trace(trace).ids) for trace in traces)
    return {"examples": len(traces), "labels": 0, "logits": 0, "trace_tokens": tokens}


def _examples(cell: Cell, lesson: Lesson) -> str:
    """Traces of the packets, drawn by the seed, the longest ones among them."""
    order = sorted(lesson.traces, key=lambda trace: (-len(trace.steps), trace.question))
    return "".join(
        trace.text for trace in random.Random(cell.seed).sample(order[: 8 * SHOTS], SHOTS)
    )


def composed_exam(its: Subject, probes: ProbeSet) -> Exam:
    """How the teachers do on `probes`: one by itself, several composed fact by fact.

    Several are asked for every fact alone, each for its own; the problems are worked out with
    what they said. That is the best that anyone could make of them.
    """
    domain = domains.get(its.domain)
    if len(its.teachers) == 1:
        model = load_model(next(iter(its.teachers)))
        return examine(Student(STUDENT, model), domain, probes, None)
    said: dict[str, str] = {}
    for name in its.teachers:
        model, grammar = load_model(name), its.taught(name)
        level, known = grammar.levels[0], frozenset(spec.id for spec in grammar.concepts)
        asked = [spec.prompt.rstrip("=") for spec in grammar.concepts]
        for trace in ask(model, grammar, asked, level=level, shown=known):
            said |= {step.concept: step.result for step in trace.steps}
    marks = []
    for item in probes.items:
        try:
            found = answer_in(domain.work(item.question, said.__getitem__).completion)
        except KeyError:
            found = None
        marks.append(found == item.answer)
    return Exam(tuple(item.level for item in probes.items), tuple(marks))


def _unseen(lesson: Lesson, probes: ProbeSet, exam: Exam) -> Mapping[str, float]:
    """How it did on problems that need a fact which no trace shows, and on all others."""
    recalled = domains.get(lesson.domain).recalled
    shown = {recalled(step) for trace in lesson.traces for step in trace.steps}
    needs = [not set(item.facts) <= shown for item in probes.items]
    found: dict[str, float] = {}
    for name, wanted in (("needed", True), ("not_needed", False)):
        marks = [right for right, its in zip(exam.right, needs, strict=True) if its is wanted]
        if marks:
            found |= {name: sum(marks) / len(marks), f"{name}_items": float(len(marks))}
    return found
