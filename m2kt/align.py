"""The student's lesson (Algorithm 2, training): only the CAL learns, the model stays frozen.

Phase A, on the frozen student: the memory is told where each concept is due (addressing);
then phi and the gate learn to make the student emit a concept's state symbol when phi(c_k)
is injected there. Supervised by the facts that some trace shows; afterwards every concept of
C is read out, those in no trace included; phi then begins anew and learns all of them. In a
relational domain the relation is then learnt from the same facts, and says what comes out of
all others.

Phase B, rehearsal: the whole CAL learns on the teacher's traces and on more problems of the
public grammar, which the student composes from what it read, until they go right.

No label, no logit, no call to a teacher. Source: `SCIENCE.md` section 2.

Owns: `align`. Does not own: its settings (align_config), the CAL's shape (cal), the exam (verify).
"""

import random
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import torch
from torch import Tensor, nn

from m2kt.adapters import aimed
from m2kt.addressing import concept_keys, recognised, set_addresses
from m2kt.align_config import AlignConfig, Pace
from m2kt.blend import shares_of
from m2kt.cal import ConceptAlignmentLayer, attached
from m2kt.curriculum import Curriculum
from m2kt.domain import Grammar
from m2kt.drills import DrillPlan, drill
from m2kt.errors import AlignmentError
from m2kt.lessonplan import Deck, Exercise, Practice, Workbook, known_results
from m2kt.losses import (
    LossParts,
    reasoning_loss,
    safety_loss,
    structure_figures,
    structure_loss,
)
from m2kt.packet import Lesson
from m2kt.progress import Progress, Report, TransferState
from m2kt.readout import ReadOut
from m2kt.relating import relate, require_all
from m2kt.schedule import Schedule
from m2kt.student import Candidate, Student

VOCABULARY_TEXTS = 64
"""Own problems that help to settle which tokens matter."""

MAPPED_TEXTS = 64
"""Teacher's traces on which it is measured at the end what the memory attends to."""

READ = 0.98
"""Share of the places drawn lately that are read right, from which on phase A may end."""

RECENT = 10
"""Steps whose places are those drawn lately."""

MOST_ROUNDS = 10
"""How often phase A is as long as its settings say, at most."""


def align(
    student: Student, lesson: Lesson, grammar: Grammar, config: AlignConfig, report: Report
) -> Candidate:
    """Trains a CAL on `lesson`.

    Raises:
        AlignmentError: a loss is not finite, or the lesson has too little to learn from.
        CompatibilityError: the student's tokenizer or architecture does not fit.
    """
    alignment = _Alignment(student, lesson, grammar, config, report)
    figures = alignment.run()
    return Candidate(
        cal=alignment.cal,
        domain=lesson.domain,
        lineage=lesson.lineage,
        meter=alignment.book.meter(alignment.practised),
        history=tuple(alignment.history),
        figures=figures,
        read=alignment.projected,
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
        shape = config.cal.above_memory() if grammar.relational else config.cal
        self.book = Workbook(self.model, grammar, lesson, shape)
        self.results = known_results(lesson, grammar)
        if grammar.relational:
            require_all(grammar, self.book.index)
        self.drills = drill(
            self.model,
            grammar,
            [concept.spec for concept in lesson.concepts],
            DrillPlan(layer=self.book.memory, look=self.book.prefix, contexts=config.contexts),
            self.rng,
        )
        self.sure = 0.0 if grammar.relational else self.recognised(shape.key_rank)
        if self.sure < config.recognised:
            shape = replace(shape, looks_early=False)
            self.drills = self.drills.looked_up_there()
        keys = concept_keys(self.drills, len(lesson.concepts))
        self.cal = ConceptAlignmentLayer(shape, keys, shares_of(lesson), seed=config.seed)
        self.cal.to(self.model.device)
        named = {grammar.element(its): its for its in grammar.symbols if grammar.relational}
        self.reading = ReadOut(self.book, self.cal, self.drills, named or self.results)
        self.unsafe = self.book.directions(config.unsafe_phrases)
        self.history: list[Mapping[str, float]] = []
        self.practised = 0

    def recognised(self, rank: int) -> float:
        """Share of places at which frozen states tell which concept is due."""
        return recognised(self.drills, len(self.lesson.concepts), rank=rank)

    @property
    def pace(self) -> Pace:
        """Of this student's rehearsal."""
        return self.config.pace(sure=self.cal.config.looks_early, width=self.model.width)

    def run(self) -> dict[str, float]:
        """Both phases; what was measured on the way, by name."""
        started = time.monotonic()
        self.report(Progress("phase A: reading concepts out", {}, TransferState.ALIGNING))
        figures = {"recognised": self.sure}
        if self.config.addressed:
            figures["loss_address"] = set_addresses(self.cal, self.drills)
        read, found = self.read_out()
        self.projected = self.cal.values().detach().cpu()
        figures |= found
        if self.cal.relation is not None:
            read, related = relate(
                self.book, self.cal.relation, self.results, self.config.relation, self.watch
            )
            figures |= related
        middle = time.monotonic()
        self.report(Progress("phase B: rehearsing", figures))
        with attached(self.model, self.cal) as adapters:
            lessons = self.book.lessons()
            steps = self.rehearse(read, adapters, lessons)
            figures |= self.mapped(lessons[:MAPPED_TEXTS])
        return figures | {
            "readout_s": middle - started,
            "rehearsal_s": time.monotonic() - middle,
            "steps": float(steps),
        }

    def read_out(self) -> tuple[dict[str, str], dict[str, float]]:
        """Phase A: every concept's symbol, a memory that says it, and how well.

        What no trace shows is read at a high rate, which leaves phi large: it begins anew then,
        and learns to say all that was read.
        """
        if self.reading.complete:
            self.learn_to_read(self.config.learning_rate)
            return self.reading.read()
        begun, told = (
            {name: its.clone() for name, its in self.cal.state_dict().items()},
            self.reading,
        )
        self.learn_to_read(self.config.reading_rate)
        read, figures = self.reading.read()
        self.cal.load_state_dict(begun)
        self.reading = replace(self.reading, shown=read)
        self.learn_to_read(self.config.learning_rate, first=self.config.readout_steps)
        ended = told.read()[1]  # phi is another now: what it says of what traces show
        kept = {name: ended[name] for name in ("readout_agreement", "divergence_geometry")}
        return read, figures | kept | {"loss_geometry": self.reading.read()[1]["loss_geometry"]}

    def learn_to_read(self, rate: float, first: int = 0) -> None:
        """L_geo is the read-out: the target is the move that leads to the symbol.

        Nothing else is in it, L_safety neither: what a concept says is audited as it was read.

        Args:
            rate: Of AdamW.
            first: Number of the first step.
        """
        trained = [self.cal.gate, *self.cal.phi.parameters()]
        optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.05)
        shown, wanted = self.reading.places()
        generator = torch.Generator().manual_seed(self.config.seed)
        recent, steps = deque[float](maxlen=RECENT), self.config.readout_steps
        rounds = MOST_ROUNDS if self.book.grammar.relational else 1
        for step in range(rounds * steps):
            if step and step % steps == 0 and fmean(recent) >= READ:
                break
            drawn = torch.randint(len(shown), (self.config.readout_batch,), generator=generator)
            chosen = shown[drawn.to(shown.device)]
            logits = self.reading.logits(chosen)
            recent.append(float((logits.argmax(dim=-1) == wanted[chosen]).float().mean()))
            geometry = reasoning_loss(logits, wanted[chosen])
            nothing = geometry.new_zeros(())
            parts = LossParts(geometry=geometry, structure=nothing, reason=nothing, safety=nothing)
            self.descend(parts, optimizer, trained, step=first + step, phase=0.0)

    def rehearse(
        self,
        read: Mapping[str, str],
        adapters: Sequence[nn.Parameter],
        lessons: Sequence[Exercise],
    ) -> int:
        """Phase B. A batch has some of the teacher's traces and more own problems. Steps taken."""
        config = self.config
        optimizer = self.optimizer(adapters)
        trained = [its for group in optimizer.param_groups for its in group["params"]]
        schedule = Schedule(
            most=config.steps,
            warmup=config.warmup,
            descent=self.pace.descent,
            settled=self.pace.settled,
            enough=config.enough,
        )
        curriculum = Curriculum(self.book.grammar.levels)
        deck = Deck(self.rng, lessons)
        levels = curriculum.draw(self.rng, VOCABULARY_TEXTS)
        self.book.settle_vocabulary([*deck.items, *self.compose(read, levels)])
        self.aim(read, deck)
        step = 0
        while step < schedule.ends:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * schedule.rate(step)
            own = self.compose(read, curriculum.draw(self.rng, config.own))
            practice = self.book.join([*deck.draw(config.traces), *own])
            logits = self.book.logits(practice)
            right = practice.right(logits)[-len(own) :]
            curriculum.saw(zip((its.level for its in own), right, strict=True))
            schedule.saw(step, curriculum.mastery)
            self.descend(self.losses(practice, logits), optimizer, trained, step=step, phase=1.0)
            step += 1
        return step

    def optimizer(self, adapters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """Of phase B. Where the memory looks was found in phase A: that moves slowly."""
        peak, found = self.pace.learning_rate, {id(its) for its in self.cal.find.parameters()}
        memory = self.cal.rehearsed()
        slow = [its for its in memory if id(its) in found]
        fast = [*(its for its in memory if id(its) not in found), *adapters]
        groups = [
            {"params": fast, "peak": peak},
            {"params": slow, "peak": peak * self.pace.looking_rate},
        ]
        return torch.optim.AdamW(groups, lr=peak, weight_decay=0.01)

    def aim(self, read: Mapping[str, str], deck: Deck) -> None:
        """Points the adapters at what one batch would change in the frozen weights.

        At the pace of a student that does not recognise concepts, that learns worse.
        """
        if not self.config.steps or not self.cal.config.looks_early:
            return
        levels = self.rng.choices(self.book.grammar.levels, k=self.config.own)
        practice = self.book.join([*deck.draw(self.config.traces), *self.compose(read, levels)])
        with aimed(self.model.model):
            loss = self.losses(practice, self.book.logits(practice)).total(self.config.weights)
            loss.backward()

    def compose(self, read: Mapping[str, str], levels: Sequence[int]) -> list[Exercise]:
        """Own problems."""
        self.practised += len(levels)
        return self.book.compose(self.rng, levels, read)

    def losses(self, practice: Practice, logits: Tensor) -> LossParts:
        """The four terms on one batch."""
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

    @torch.no_grad()
    def mapped(self, lessons: Sequence[Exercise]) -> dict[str, float]:
        """On the first traces: how far the memory is from the teacher's maps, how often right."""
        practice = self.book.join(lessons)
        self.book.logits(practice)
        if self.cal.attention is None:
            raise AlignmentError("expected the memory to be read, and it was not")
        steps = (its for trace in self.lesson.traces[: len(lessons)] for its in trace.steps)
        due = practice.due[0].new_tensor([self.book.index[its.concept] for its in steps])
        return structure_figures(practice.maps, self.cal.attention[practice.due], due)

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

    def watch(self, step: int, loss: float) -> None:
        """Reports on the relation now and then."""
        if step % (10 * self.config.report_every) == 0:
            self.report(Progress("phase A: relating", {"step": float(step), "loss": loss}))
