"""One contender's run: in a process of its own when timed, in this one when counted.

Owns: `Run`, `timed_run`, `counted_run`. Does not own: the ways to learn (contenders), what
follows from the figures (ingest).
"""

import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import final

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers.utils import logging

from m2kt import domains
from m2kt.bench.contenders import CONTENDERS, OURS
from m2kt.bench.course import DOMAIN, Course, load_student
from m2kt.bench.machine import peak_rss_mib
from m2kt.bench.watch import REHEARSAL, Goal, Lap, Mark, Watch
from m2kt.errors import AlignmentError
from m2kt.progress import Progress, Report, silent
from m2kt.verify import examine

Shape = Sequence[int]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run left behind.

    Attributes:
        name: Of the contender.
        trainable: Parameters that it trained.
        laps: The end of every step.
        marks: The result of every exam.
        tokens: Tokens of the texts of its steps of rehearsal; for alignment, of as many texts
            drawn by the same rules.
        loaded_mib: Peak of resident memory once the model was loaded.
        peak_mib: The same before the first exam, which is not training.
        threads: Of torch, at the end.
    """

    name: str
    trainable: int
    laps: tuple[Lap, ...]
    marks: tuple[Mark, ...]
    tokens: int
    loaded_mib: float
    peak_mib: float
    threads: int

    @property
    def seconds(self) -> float:
        """Of training."""
        return self.laps[-1].seconds

    @property
    def phases(self) -> list[str]:
        """Those that it went through, in order."""
        return list(dict.fromkeys(lap.phase for lap in self.laps))

    def steps(self, phase: str) -> int:
        """How many steps of `phase` it took."""
        return len(self._of(phase))

    def flops_per_step(self, phase: str) -> float:
        """Mean over the steps of `phase` but its first, which has the set-up of the phase in it."""
        first, *_, last = self._of(phase)
        return (last.flops - first.flops) / (self.steps(phase) - 1)

    def seconds_per_step(self, phase: str) -> float:
        """The same for seconds."""
        first, *_, last = self._of(phase)
        return (last.seconds - first.seconds) / (self.steps(phase) - 1)

    def reached(self, accuracy: float) -> Mark | None:
        """The first exam with at least that accuracy."""
        return next((mark for mark in self.marks if mark.accuracy >= accuracy), None)

    def _of(self, phase: str) -> Sequence[Lap]:
        return [lap for lap in self.laps if lap.phase == phase]


def planned(name: str, phase: str, course: Course) -> int:
    """Steps of `phase` that a contender takes unless it reaches the target earlier."""
    if name != OURS:
        return len(course.batches)
    return course.align.steps if phase == REHEARSAL else course.align.readout_steps


def counted_run(name: str, course: Course) -> Run:
    """A run in this process whose operations are counted, which makes it slower."""
    in_place = {torch.ops.aten.addmm_: _product_flops}  # which PyTorch does not count by itself
    with FlopCounterMode(display=False, custom_mapping=in_place) as counter:
        return _run(name, course, None, silent, counter)


def _product_flops(_: Shape, left: Shape, right: Shape, **_others: object) -> int:
    """Of a sum with a product of matrices, from their shapes: the product's."""
    return 2 * left[0] * left[1] * right[1]


def timed_run(name: str, course: Course, goal: Goal | None, report: Report) -> Run:
    """A run in a new process.

    Args:
        name: Of the contender.
        course: What is learnt.
        goal: When it may stop; None to go to the end.
        report: Hears of every exam.

    Raises:
        AlignmentError: the process ended without a result.
    """
    report(Progress(name, {"steps": 0.0, "of": float(planned(name, REHEARSAL, course))}))
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(there, name, course, goal), daemon=True)
    process.start()
    there.close()
    try:
        while not isinstance(found := here.recv(), Run):
            report(found)
    except EOFError:
        process.join()  # for its exit code
        raise AlignmentError(
            f"expected the result of {name}, found that its process ended with exit code"
            f" {process.exitcode}; what it said is on stderr"
        ) from None
    except BaseException:
        process.terminate()
        raise
    finally:
        process.join()
    return found


def starting_s() -> float:
    """Seconds that a new process takes until it could begin."""
    began_s = time.perf_counter()
    process = multiprocessing.get_context("spawn").Process(target=_begin)
    process.start()
    process.join()
    return time.perf_counter() - began_s


def _begin() -> None:
    """All that has to be imported is, once this is called."""


def _child(there: Connection, name: str, course: Course, goal: Goal | None) -> None:
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    torch.set_num_threads(course.threads)
    there.send(_run(name, course, goal, there.send, None))


def _run(
    name: str,
    course: Course,
    goal: Goal | None,
    report: Report,
    counter: FlopCounterMode | None,
) -> Run:
    student, domain = load_student(course.student), domains.get(DOMAIN)
    loaded_mib = peak_rss_mib()

    def accuracy() -> float:
        found = examine(student, domain, course.probes, None).mean
        report(Progress(name, {"steps": float(watch.steps(REHEARSAL)), "accuracy": found}))
        return found

    flops = counter.get_total_flops if counter else lambda: 0
    watch = Watch(accuracy, every=course.examine_every, goal=goal, flops=flops)
    trainable = CONTENDERS[name](course, student, watch)
    rehearsed = course.batches[: watch.steps(REHEARSAL)]
    ids = [student.language_model.encode_trace(trace).ids for batch in rehearsed for trace in batch]
    return Run(
        name=name,
        trainable=trainable,
        laps=tuple(watch.laps),
        marks=tuple(watch.marks),
        tokens=sum(map(len, ids)),
        loaded_mib=loaded_mib,
        peak_mib=watch.peak_mib,
        threads=torch.get_num_threads(),
    )
