"""The paper's first experiment: 100 concepts, L_geo on its way, and what accuracy comes with it.

The concepts are the sums of two digits modulo 10; traces show a fifth of them. Phase A is given
more and more steps, and so is rehearsal. At the end point stand what a student says without a
packet, with concepts that were dealt out anew, and with traces alone.

Owns: `measure`. Does not own: how a lesson is learnt (align), controls (controls).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from m2kt.align_config import AlignConfig
from m2kt.bench.experiments.experiment import Claim, Findings, Plot, Point, Scope, Table
from m2kt.bench.experiments.lecture import (
    FEW,
    Lecture,
    domain_of,
    lecture_of,
    lesson_of,
    result_of,
)
from m2kt.bench.spread import summary
from m2kt.bench.subjects import Subject
from m2kt.progress import Progress, Report
from m2kt.student import Candidate

SUMS: Final = Subject("arith.mod10", {"mod10": "+"})
CONTROLLED: Final = ("shuffled_c", "without_c")
ZERO_SHOT: Final = "zero_shot"
FALLEN: Final = 0.1
"""What should be left of L_geo at most, as a share of what it was."""
REACHED: Final = 0.9
APART: Final = 0.5
"""How far accuracy should be above every control."""
USUAL: Final = AlignConfig()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What one student is put through.

    Attributes:
        student: Its name.
        seeds: Of lessons.
        reading: Steps of phase A at which accuracy is measured; the last is the usual number.
        rehearsing: Steps of rehearsal at which it is measured, after a whole phase A.
        per_level: Held-out problems of each level.
        steps: Of rehearsal at most, elsewhere.
        traces_per_level: Of the packet.
    """

    student: str
    seeds: tuple[int, ...]
    reading: tuple[int, ...]
    rehearsing: tuple[int, ...]
    per_level: int
    steps: int = USUAL.steps
    traces_per_level: int = 60


SMALL: Final = "symbols-student"
READING: Final = (0, 1, 2, 3, 10, USUAL.readout_steps)
REHEARSING: Final = (0, 10, 20, 40)
FULL: Final = (
    Course(student=SMALL, seeds=(0, 1, 2), reading=READING, rehearsing=REHEARSING, per_level=100),
    Course(
        student="smollm2-135m",
        seeds=(0,),
        reading=(1, USUAL.readout_steps),
        rehearsing=(),
        per_level=40,
    ),
)
QUICK: Final = (
    Course(student=SMALL, seeds=(0,), reading=(0, 1, 2, 60), rehearsing=(0, 10), per_level=40),
)


def courses_of(scope: Scope) -> tuple[Course, ...]:
    """Those of the scope; a student or seeds of somebody's choice go through the first."""
    its = QUICK if scope.quick else FULL
    if not scope.student and not scope.seeds:
        return its
    first = its[0]
    return (
        Course(
            student=scope.student or first.student,
            seeds=scope.seeds or first.seeds,
            reading=first.reading,
            rehearsing=first.rehearsing,
            per_level=first.per_level,
        ),
    )


def measure(scope: Scope, report: Report) -> Findings:
    """Aligns with more and more steps, and measures L_geo and accuracy."""
    its = courses_of(scope)
    return findings([(course, followed(course, report)) for course in its])


Runs = dict[str, list[dict[str, Any]]]
"""By what was done, a result for each seed."""


def followed(course: Course, report: Report) -> Runs:
    """Everything that one student is put through."""
    runs: Runs = {}

    def keep(name: str, result: dict[str, Any]) -> None:
        runs.setdefault(name, []).append(result)
        report(Progress(f"{course.student}: {name}", {"accuracy": result["mean"]}))

    for seed in course.seeds:
        lecture = _lecture(course, seed)
        for steps in course.reading:
            keep(f"read {steps}", _learnt(lecture, course, seed, reading=steps))
        for steps in course.rehearsing:
            keep(f"rehearse {steps}", _learnt(lecture, course, seed, rehearsing=steps))
        keep(ZERO_SHOT, {**result_of(lecture.exam(None, per_level=course.per_level))})
        for way in CONTROLLED:
            keep(way, _learnt(_lecture(course, seed, way=way), course, seed))
    return runs


def _lecture(course: Course, seed: int, *, way: str = "with_c") -> Lecture:
    lesson = lesson_of(SUMS, seed=seed, way=way, traces_per_level=course.traces_per_level)
    return lecture_of(course.student, SUMS, lesson)


def _learnt(
    lecture: Lecture,
    course: Course,
    seed: int,
    *,
    reading: int = USUAL.readout_steps,
    rehearsing: int | None = None,
) -> dict[str, Any]:
    """What came of one alignment."""
    config = AlignConfig(
        seed=seed,
        readout_steps=reading,
        steps=course.steps if rehearsing is None else rehearsing,
        report_every=1,
    )
    candidate = lecture.learn(config)
    exam = lecture.exam(candidate, per_level=course.per_level)
    return {
        **result_of(exam),
        "concepts": len(lecture.lesson.concepts),
        "loss_geometry": candidate.figures["loss_geometry"],
        "steps": candidate.figures["steps"],
        "way": way_of(candidate),
    }


def way_of(candidate: Candidate) -> list[float]:
    """L_geo of each step of phase A, before it is taken."""
    return [its["loss_geometry"] for its in candidate.history if its["phase"] == 0.0]


def findings(courses: Sequence[tuple[Course, Runs]]) -> Findings:
    """What follows from what came of every student; the first one's figures are on top."""
    students = {course.student: _of_student(course, runs) for course, runs in courses}
    first, runs = courses[0]
    return Findings(
        about=(
            f"{len(domain_of(SUMS).concepts)} concepts, the sums of two digits modulo 10, are"
            f" taught by one teacher whose traces show a share of {FEW:g} of them. L_geo and"
            " accuracy on held-out chains are measured after so many steps of phase A, and of"
            " rehearsal."
        ),
        claims=_claims(students),
        figures={"alignment": {**students[first.student], "students": students}},
        tables=tuple(_table(name, its) for name, its in students.items()),
        plots=(_way(first, runs), *(_curve(name, its) for name, its in students.items())),
        limits=LIMITS,
        student=", ".join(students),
        seeds=first.seeds,
    )


LIMITS: Final = (
    "L_geo is the read-out's: cross-entropy of the symbol that the frozen student says where"
    " phi(c_k) was added, not the distance to a c_k of the student's own, which it does not have.",
    "Phase A has two rounds where traces do not show all: in the second phi begins anew and learns"
    " all that was read in the first, right or wrong. The first value of L_geo is that of the first"
    " batch before any step, the last that of all places after both rounds.",
    "The controls meet the bound on L_geo too: it says that phi fits what was read, right or wrong."
    " What is right is accuracy's to say, and how far it is above the controls.",
    "Numbers of steps were chosen after a first look, at which three were enough: what is read"
    " is the likeliest symbol, which is right long before L_geo is small.",
    "The correlation is over numbers of steps of phase A and seeds, which are not independent; many"
    " points share the highest accuracy, and ties count by mean rank.",
    "SmolLM2 may know sums of digits by itself: zero-shot and what comes without C say how much.",
)


def _of_student(course: Course, runs: Runs) -> dict[str, Any]:
    """The figures of one student."""
    last = runs[f"read {course.reading[-1]}"]
    points = {name: _point(its) for name, its in runs.items()}
    reached = points[f"read {course.reading[-1]}"]
    return {
        "concepts": min(its["concepts"] for its in last),
        "l_geo_first": _mean([its["way"][0] for its in last]),
        "l_geo_last": reached["loss_geometry"],
        "l_geo_left": max(its["loss_geometry"] / its["way"][0] for its in last),
        "accuracy": reached["accuracy"],
        "interval": reached["interval"],
        "seeds": list(course.seeds),
        "controls": {name: points[name] for name in (ZERO_SHOT, *CONTROLLED)},
        "by_steps_of_phase_a": {str(n): points[f"read {n}"] for n in course.reading},
        "by_steps_of_rehearsal": {str(n): points[f"rehearse {n}"] for n in course.rehearsing},
        "spearman": _spearman([its for n in course.reading for its in runs[f"read {n}"]]),
    }


def _point(its: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    made = summary(its)
    found = {key: made[key] for key in ("accuracy", "interval", "by_seed")}
    left = [one["loss_geometry"] for one in its if "loss_geometry" in one]
    if not left:
        return found
    steps = _mean([one["steps"] for one in its])
    return found | {"loss_geometry": _mean(left), "loss_by_seed": left, "rehearsed": steps}


def _mean(its: Sequence[float]) -> float:
    return sum(its) / len(its)


def _spearman(its: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Rank correlation of -L_geo with accuracy."""
    from scipy.stats import spearmanr

    found = spearmanr([-one["loss_geometry"] for one in its], [one["mean"] for one in its])
    return {"rho": float(found.statistic), "points": float(len(its))}


def _claims(students: Mapping[str, Mapping[str, Any]]) -> tuple[Claim, ...]:
    """Each of the worst of all students."""
    every = students.values()
    apart = min(
        its["accuracy"] - max(one["accuracy"] for one in its["controls"].values()) for its in every
    )
    return (
        Claim(what="concepts", found=float(min(its["concepts"] for its in every)), bound=100.0),
        Claim(
            what="L_geo: share that is left, of the worst seed",
            found=max(its["l_geo_left"] for its in every),
            bound=FALLEN,
            at_least=False,
        ),
        Claim(
            what="downstream accuracy", found=min(its["accuracy"] for its in every), bound=REACHED
        ),
        Claim(what="accuracy above the best control", found=apart, bound=APART),
    )


def _table(student: str, its: Mapping[str, Any]) -> Table:
    rows = {
        **{f"phase A of {n} steps": one for n, one in its["by_steps_of_phase_a"].items()},
        **{f"rehearsal of {n} steps": one for n, one in its["by_steps_of_rehearsal"].items()},
        **its["controls"],
    }
    return Table(
        title=f"{student}: L_geo and accuracy",
        head=("what was done", "L_geo left", "accuracy", "from", "to"),
        rows=tuple(
            (name, one.get("loss_geometry"), one["accuracy"], *one["interval"])
            for name, one in rows.items()
        ),
        note=f"Spearman of -L_geo with accuracy over phase A: {its['spearman']['rho']:.3f}",
    )


def _way(course: Course, runs: Runs) -> Plot:
    last = runs[f"read {course.reading[-1]}"]
    return Plot(
        title=f"L_geo, step by step: {course.student}",
        x="step of phase A",
        y="L_geo",
        series={
            f"seed {seed}": [Point(x=float(step), y=loss) for step, loss in enumerate(its["way"])]
            for seed, its in zip(course.seeds, last, strict=True)
        },
        log_y=True,
        note="In the middle phi begins anew and learns all that was read.",
    )


def _curve(student: str, its: Mapping[str, Any]) -> Plot:
    series = {
        "phase A": its["by_steps_of_phase_a"],
        "rehearsal": its["by_steps_of_rehearsal"],
    }
    return Plot(
        title=f"Accuracy by steps: {student}",
        x="steps",
        y="accuracy",
        series={
            name: [
                Point(
                    x=float(n), y=one["accuracy"], low=one["interval"][0], high=one["interval"][1]
                )
                for n, one in points.items()
            ]
            for name, points in series.items()
            if points
        },
        level=max(one["accuracy"] for one in its["controls"].values()),
        note="Dashed: the best control.",
    )
