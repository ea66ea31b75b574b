"""The student's lesson (Algorithm 2, training): only the CAL learns, the model stays frozen.

Phase A, read-out: phi and the gate alone learn to make the frozen student emit a concept's
state symbol when phi(c_k) is injected where its result is due. Supervised by the facts that
some trace shows; afterwards every concept of C is read out, those in no trace included.

Phase B, rehearsal: the whole CAL learns on the teacher's traces and on as many problems of
the public grammar that the student composes from what it read.

No label, no logit, no call to a teacher. Source: `SCIENCE.md` section 2.

Owns: `align`, `AlignConfig`. Does not own: the CAL's shape (cal), the exam (verify).
"""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from m2kt.cal import CALConfig, ConceptAlignmentLayer, Share, attached
from m2kt.domain import Grammar
from m2kt.errors import AlignmentError
from m2kt.lessonplan import Practice, Workbook, known_results
from m2kt.losses import LossParts, LossWeights, reasoning_loss, safety_loss, structure_loss
from m2kt.meter import DataMeter
from m2kt.packet import Lesson
from m2kt.progress import Progress, Report, TransferState
from m2kt.student import Candidate, Student


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignConfig:
    """How a lesson is learnt.

    Attributes:
        cal: Shape of the CAL.
        weights: alpha, beta, gamma, lambda.
        readout_steps: Steps of phase A.
        readout_batch: Texts in a batch of phase A.
        steps: Steps of phase B.
        batch: Teacher's traces in a batch of phase B, and as many own problems.
        learning_rate: Peak of AdamW, after `warmup` steps, falling linearly to 2 %.
        warmup: Steps.
        key_contexts: Texts over which a concept's key is averaged.
        unsafe_phrases: The projected concepts are kept away from the student's own states here.
        unsafe_margin: Cosine with such a state from which on it is penalised.
        report_every: Steps between two reports.
        seed: Of every draw.
    """

    cal: CALConfig = field(default_factory=CALConfig)
    weights: LossWeights = field(default_factory=LossWeights)
    readout_steps: int = 80
    readout_batch: int = 24
    steps: int = 200
    batch: int = 12
    learning_rate: float = 2e-3
    warmup: int = 20
    key_contexts: int = 4
    unsafe_phrases: tuple[str, ...] = ()
    unsafe_margin: float = 0.3
    report_every: int = 10
    seed: int = 0


def align(
    student: Student, lesson: Lesson, grammar: Grammar, config: AlignConfig, report: Report
) -> Candidate:
    """Trains a CAL on `lesson`.

    Raises:
        AlignmentError: a loss is not finite.
        CompatibilityError: the student's tokenizer or architecture does not fit.
    """
    alignment = _Alignment(student, lesson, grammar, config, report)
    figures = alignment.run()
    return Candidate(
        cal=alignment.cal,
        domain=lesson.domain,
        lineage=lesson.lineage,
        meter=alignment.meter(),
        history=tuple(alignment.history),
        figures=figures,
    )


class _Alignment:
    """The state of one alignment: what the two phases share."""

    def __init__(
        self,
        student: Student,
        lesson: Lesson,
        grammar: Grammar,
        config: AlignConfig,
        report: Report,
    ) -> None:
        self.lesson, self.config, self.report = lesson, config, report
        self.model = student.language_model
        self.rng = random.Random(config.seed)
        self.book = Workbook(self.model, grammar, lesson, config.cal)
        self.results = known_results(lesson)
        keys = self.book.keys(self.rng, config.key_contexts)
        shares = [
            Share(packet.packet.means[rows], slots, weights)
            for packet, (rows, slots, weights) in zip(lesson.packets, _rows(lesson), strict=True)
        ]
        self.cal = ConceptAlignmentLayer(config.cal, keys, shares, seed=config.seed)
        self.cal.to(self.model.device)
        self.unsafe = self.book.directions(config.unsafe_phrases)
        self.history: list[Mapping[str, float]] = []
        self.practised = 0

    def run(self) -> dict[str, float]:
        """Both phases; what was measured on the way, by name."""
        started = time.monotonic()
        self.report(Progress("phase A: reading concepts out", {}, TransferState.ALIGNING))
        self.read_out()
        read, figures = self.book.read(self.cal, self.results)
        middle = time.monotonic()
        self.report(Progress("phase B: rehearsing", figures))
        with attached(self.model, self.cal) as adapters:
            self.rehearse(read, adapters)
        seconds = {"readout_s": middle - started, "rehearsal_s": time.monotonic() - middle}
        return figures | seconds

    def read_out(self) -> None:
        """Phase A. L_geo is the read-out: the target is the move that leads to the symbol."""
        trained = [self.cal.gate, *self.cal.phi.parameters()]
        optimizer = torch.optim.AdamW(trained, lr=self.config.learning_rate, weight_decay=0.05)
        for step in range(self.config.readout_steps):
            practice = self.book.drills(self.rng, self.config.readout_batch, self.results)
            logits = self.book.symbol_logits(practice, self.cal)
            geometry = reasoning_loss(logits, practice.symbols)
            nothing = geometry.new_zeros(())
            parts = LossParts(
                geometry=geometry,
                structure=nothing,
                reason=nothing,
                safety=self.safety(),
            )
            self.descend(parts, optimizer, trained, step=step, phase=0.0)

    def rehearse(self, read: Mapping[str, str], adapters: Sequence[nn.Parameter]) -> None:
        """Phase B. Half of every batch is the teacher's, half the student's own."""
        config = self.config
        trained = [*self.cal.parameters(), *adapters]
        optimizer = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=0.01)
        lessons = self.book.lessons()
        order: list[int] = []
        for step in range(config.steps):
            rate = min(1.0, (step + 1) / config.warmup) * max(0.02, 1 - step / config.steps)
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * rate
            if len(order) < config.batch:
                order = self.rng.sample(range(len(lessons)), len(lessons)) + order
            chosen = [lessons[order.pop()] for _ in range(min(config.batch, len(order)))]
            own = self.book.compose(self.rng, config.batch, read)
            self.practised += len(own)
            practice = self.book.join([*chosen, *own])
            parts = self.practise(practice)
            self.descend(parts, optimizer, trained, step=step, phase=1.0)

    def practise(self, practice: Practice) -> LossParts:
        """The four terms on one batch."""
        logits = self.book.logits(practice)
        attention = self.cal.attention
        if attention is None:
            raise AlignmentError("expected the memory to be read in training, and it was not")
        reason = reasoning_loss(logits, practice.targets)
        return LossParts(
            geometry=reason.new_zeros(()),
            structure=structure_loss(practice.maps, attention[practice.due]),
            reason=reason,
            safety=self.safety(),
        )

    def safety(self) -> Tensor:
        """L_safety on what the concepts are projected to now."""
        return safety_loss(
            self.cal.values(), self.unsafe, margin=self.config.unsafe_margin, sharpness=10.0
        )

    def descend(
        self,
        parts: LossParts,
        optimizer: torch.optim.Optimizer,
        trained: Sequence[nn.Parameter],
        *,
        step: int,
        phase: float,
    ) -> None:
        """One step of the optimiser, and a report now and then."""
        total = parts.total(self.config.weights)
        if not torch.isfinite(total):
            raise AlignmentError(
                f"expected a finite loss, found {total.item()} at step {step}; lower the learning"
                " rate, or ask the teacher for a packet whose concepts have ordinary norms"
            )
        optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        if step % self.config.report_every == 0:
            figures = parts.figures() | {"step": float(step), "phase": phase}
            self.history.append(figures)
            self.report(Progress(f"step {step}", figures))

    def meter(self) -> DataMeter:
        """What this lesson consumed: the packets' counts, traces in the student's tokens."""
        total = DataMeter()
        for packet in self.lesson.packets:
            total += packet.packet.provenance.meter
        return DataMeter(
            labels=0,
            logits=0,
            concepts=total.concepts,
            exemplars=total.exemplars,
            traces=len(self.lesson.traces),
            trace_tokens=self.book.trace_tokens,
            prompts=total.prompts + self.practised,
            teacher_passes=total.teacher_passes,
            bytes=sum(packet.authentic.bytes_on_wire for packet in self.lesson.packets),
        )


def _rows(lesson: Lesson) -> list[tuple[Tensor, Tensor, Tensor]]:
    """For each packet: rows of its concepts, slots in the lesson, shares."""
    found = []
    for number in range(len(lesson.packets)):
        picked = [
            (source.row, slot, source.weight)
            for slot, concept in enumerate(lesson.concepts)
            for source in concept.sources
            if source.packet == number
        ]
        rows, slots, weights = zip(*picked, strict=True)
        found.append((torch.tensor(rows), torch.tensor(slots), torch.tensor(weights)))
    return found
