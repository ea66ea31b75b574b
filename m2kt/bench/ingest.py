"""How fast a lesson is ingested: alignment against `peft` + `Trainer`, and against a bare loop.

    vs_CONTENDER    its seconds to the target accuracy, divided by alignment's: above 1
                    alignment is faster
    tokens_per_s    tokens of texts that alignment rehearsed, by its seconds
    mfu             FLOP/s of alignment, by the measured bf16 matmul peak

The target is a share of the accuracy with which alignment ends, on held-out problems. If a
contender does not reach it, or is broken off because it took many times as long, the ratio is a
lower bound: all its seconds take the place of those that it would have needed. Clocks stand
still during exams.

FLOPs of a step: 2 * rows * parameters for every product of a matrix that is computed, once
forward, once backward for the gradient of its input, and once for its own. So a token costs
a frozen matrix 4 each, one below the lowest adapter 2, and one whose results were cached 0.
They are counted on a few steps of each phase, apart from the timed run. The products inside
the model's own attention are not counted, nor is what a phase does before its first step.

Owns: `measure_ingest` and its record. Does not own: the ways to learn (contenders).
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import torch

from m2kt import domains
from m2kt.align_config import AlignConfig
from m2kt.bench.contenders import CONTENDERS, OURS
from m2kt.bench.course import (
    DOMAIN,
    PROBE_SEED,
    Course,
    draw_batches,
    draw_probes_for,
    load_student,
)
from m2kt.bench.machine import describe, matmul_peak
from m2kt.bench.runs import Run, counted_run, planned, starting_s, timed_run
from m2kt.bench.subjects import draw_lesson, subject
from m2kt.bench.watch import REHEARSAL, Goal
from m2kt.errors import AlignmentError, RequestError
from m2kt.extract import ExtractConfig
from m2kt.progress import Progress, Report
from m2kt.verify import examine

FORMAT: Final = "m2kt.bench.ingest/1"
COUNTED_STEPS: Final = 5
"""Steps of each phase whose operations are counted."""
TYPES: Final = {"bf16": torch.bfloat16, "f32": torch.float32}


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestConfig:
    """What is measured.

    Attributes:
        student: Name of the student's model.
        threads: Of torch, the same for every contender, and for the peak in this process.
        align: How alignment learns; its seed is that of every draw but the probes'.
        extract: What the teachers put into their packets.
        text_learning_rate: Peak for contenders that train on texts alone.
        patience: Steps that they may take for each of alignment's rehearsal.
        most_times: They are broken off at so many times alignment's seconds to the target.
        target_share: Share of alignment's last accuracy that is to be reached.
        probes_per_level: Held-out problems.
        examine_every: Steps of rehearsal between two exams.
        peak_s: Seconds for which the matmul peak of each type is looked for.
    """

    student: str = "symbols-student"
    threads: int = 1
    align: AlignConfig = field(default_factory=AlignConfig)
    extract: ExtractConfig = field(default_factory=ExtractConfig)
    text_learning_rate: float = 4e-3
    patience: int = 3
    most_times: float = 6.0
    target_share: float = 0.9
    probes_per_level: int = 40
    examine_every: int = 5
    peak_s: float = 3.0

    def __post_init__(self) -> None:
        readout, rehearsal = self.align.readout_steps, self.align.steps
        if (
            min(readout, rehearsal, self.examine_every) < 2
            or min(self.patience, self.most_times) < 1
        ):
            raise RequestError(
                "expected at least two steps of each phase and before an exam, and a patience and"
                f" times of 1, found {readout}, {rehearsal}, {self.examine_every},"
                f" {self.patience} and {self.most_times}; what a step costs is a difference"
            )
        if rehearsal % self.examine_every:
            raise RequestError(
                f"expected steps that {self.examine_every} divides, found {rehearsal}; the last"
                " exam has to come after the last step"
            )


def measure_ingest(config: IngestConfig, report: Report) -> dict[str, Any]:
    """Runs all contenders, one after the other, each in a process of its own.

    Args:
        config: What is measured.
        report: Hears beforehand how long it will take, then of every exam.

    Returns:
        The record: ratios, figures, curves, versions, seeds, machine.

    Raises:
        AlignmentError: alignment taught nothing, or a contender ended without a result.
        CompatibilityError: the student cannot learn this.
    """
    began_s = time.perf_counter()
    torch.set_num_threads(config.threads)
    report(Progress("packets, operations of a few steps, matmul peak"))
    course = make_course(config)
    trials = {name: counted_run(name, course.brief(COUNTED_STEPS)) for name in CONTENDERS}
    before, exam_s = _examined(course)
    expected_s = _expected_s(trials.values(), course, exam_s)
    report(Progress(f"at most about {expected_s / 60:.1f} min", {"expected_s": expected_s}))
    peaks = {name: matmul_peak(its, seconds=config.peak_s) for name, its in TYPES.items()}
    ours = timed_run(OURS, course, None, report)
    goal = goal_of(config, ours, before)
    others = [timed_run(name, course, goal, report) for name in CONTENDERS if name != OURS]
    rows = {run.name: _row(run, trials[run.name], goal, peaks) for run in (ours, *others)}
    return {
        "format": FORMAT,
        "ingest": headline(rows),
        "target": {"accuracy": goal.accuracy, "share": config.target_share, "before": before},
        "contenders": rows,
        "matmul_peak_flops": peaks,
        "course": _about(course),
        "config": asdict(config),
        "seeds": {"draws": config.align.seed, "probes": PROBE_SEED},
        "machine": describe() | {"threads": config.threads},
        "seconds": {"expected": expected_s, "whole": time.perf_counter() - began_s},
    }


def make_course(config: IngestConfig) -> Course:
    """The lesson, extracted once for all contenders."""
    lesson = draw_lesson(subject(DOMAIN), config.extract)
    steps = config.patience * config.align.steps
    batches = draw_batches(lesson, domains.get(DOMAIN), config.align, steps=steps)
    return Course(
        student=config.student,
        lesson=lesson,
        batches=batches,
        probes=draw_probes_for(lesson, per_level=config.probes_per_level),
        align=config.align,
        text_learning_rate=config.text_learning_rate,
        examine_every=config.examine_every,
        threads=config.threads,
    )


def headline(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of this benchmark, and which of the ratios are lower bounds."""
    ours = rows[OURS]
    found: dict[str, Any] = {"lower_bounds": []}
    for name, its in rows.items():
        if name != OURS:
            needed = its["seconds_to_target"]
            found[f"vs_{name}"] = (needed or its["seconds"]) / ours["seconds_to_target"]
            found["lower_bounds"] += [] if needed else [f"vs_{name}"]
    return found | {"tokens_per_s": ours["tokens_per_s"], "mfu": ours["mfu"]}


def _examined(course: Course) -> tuple[float, float]:
    """Accuracy of the student as it stands, and the seconds that an exam takes."""
    student, began_s = load_student(course.student), time.perf_counter()
    exam = examine(student, domains.get(DOMAIN), course.probes, None)
    return exam.mean, time.perf_counter() - began_s


def goal_of(config: IngestConfig, ours: Run, before: float) -> Goal:
    """What the others have to reach, and how long they may take.

    Raises:
        AlignmentError: alignment taught nothing.
    """
    after = ours.marks[-1].accuracy
    if after <= before:
        raise AlignmentError(
            f"expected alignment to teach something, found {after:.3f} after it and {before:.3f}"
            " before; give it more steps"
        )
    accuracy = config.target_share * after
    first = next(mark for mark in ours.marks if mark.accuracy >= accuracy)
    return Goal(accuracy=accuracy, seconds=config.most_times * first.seconds)


def _expected_s(trials: Collection[Run], course: Course, exam_s: float) -> float:
    """How long all runs will take, by the counted ones: too long, because counting costs."""
    total = len(trials) * starting_s()
    for run in trials:
        steps = {phase: planned(run.name, phase, course) for phase in run.phases}
        total += steps[REHEARSAL] / course.examine_every * exam_s
        total += sum(count * run.seconds_per_step(phase) for phase, count in steps.items())
    return total


def _row(run: Run, trial: Run, goal: Goal, peaks: Mapping[str, float]) -> dict[str, Any]:
    """What one contender did."""
    mark, steps = run.reached(goal.accuracy), {phase: run.steps(phase) for phase in run.phases}
    flops = sum(count * trial.flops_per_step(phase) for phase, count in steps.items())
    return {
        "trainable": run.trainable,
        "steps": steps,
        "seconds": run.seconds,
        "seconds_per_step": {phase: run.seconds_per_step(phase) for phase in run.phases},
        "steps_to_target": mark and mark.steps,
        "seconds_to_target": mark and mark.seconds,
        "tokens": run.tokens,
        "tokens_per_s": run.tokens / run.seconds,
        "flops": flops,
        "flops_per_s": flops / run.seconds,
        "mfu": flops / run.seconds / peaks["bf16"],
        "peak_rss_mib": run.peak_mib,
        "loaded_rss_mib": run.loaded_mib,
        "threads": run.threads,
        "exams": [asdict(mark) for mark in run.marks],
    }


def _about(course: Course) -> dict[str, Any]:
    """How much there is to learn."""
    traces = course.lesson.traces
    return {
        "domain": DOMAIN,
        "teachers": list(subject(DOMAIN).teachers),
        "concepts": len(course.lesson.concepts),
        "concepts_shown": len({step.concept for trace in traces for step in trace.steps}),
        "traces": len(traces),
        "texts_per_step": len(course.batches[0]),
        "probes": len(course.probes.items),
    }
