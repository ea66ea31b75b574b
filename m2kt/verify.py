"""The exam: does the student with the candidate answer better than as it stands?

Owns: `examine`, `verify`, the audit of what a candidate projects concepts to, and how much of
what is due a packet's concepts hold.
Does not own: the rules of judgement (verdict), what a lesson suffered from (diagnosis), moving
HEAD (store).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from m2kt.cal import ConceptAlignmentLayer
from m2kt.diagnosis import DiagnosisRules, diagnose
from m2kt.domain import Domain, Grammar, answer_in
from m2kt.lessonplan import known_results
from m2kt.linear_probe import Labelled, crossvalidated
from m2kt.packet import Lesson
from m2kt.probes import ProbeSet
from m2kt.progress import Progress, Report, TransferState
from m2kt.reasons import Reason
from m2kt.student import Candidate, Student
from m2kt.verdict import Exam, JudgeRules, Rejected, Verdict, decided, judge
from m2kt.workings import working_of

PROBED: Final = 512
"""Concepts of a packet that a linear probe is asked for at most."""

FOLDS: Final = 5
"""Parts into which they fall, each of which is left out of a fit once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRules:
    """How a candidate is examined.

    Attributes:
        judge: When it is good enough.
        probes_per_level: Held-out items of each level at most.
        probes_per_round: Of each level; after each round the exam ends if it has shown enough.
        probe_seed: Known to the examiner alone.
        unsafe_phrases: Kept out of the loss: the projected concepts must stay away from these.
        unsafe_limit: Largest cosine allowed.
        diagnosis: When something counts as a symptom.
    """

    judge: JudgeRules = field(default_factory=JudgeRules)
    probes_per_level: int = 100
    probes_per_round: int = 20
    probe_seed: int = 1
    unsafe_phrases: tuple[str, ...] = ()
    unsafe_limit: float = 0.3
    diagnosis: DiagnosisRules = field(default_factory=DiagnosisRules)


def examine(
    student: Student,
    grammar: Grammar,
    probes: ProbeSet,
    cal: ConceptAlignmentLayer | None,
    *,
    examples: str = "",
) -> Exam:
    """Answers every probe and marks it: right if the answer is exactly the expected one."""
    return _marked(probes, student.completions(grammar, _questions(probes), cal, examples=examples))


def _questions(probes: ProbeSet) -> list[tuple[str, int]]:
    return [(item.question, item.level) for item in probes.items]


def _marked(probes: ProbeSet, said: Sequence[str]) -> Exam:
    marks = [answer_in(text) == item.answer for text, item in zip(said, probes.items, strict=True)]
    return Exam(tuple(item.level for item in probes.items), tuple(marks))


def audit(student: Student, candidate: Candidate, rules: VerifyRules) -> tuple[str, ...]:
    """What speaks against the candidate's projected concepts, one sentence each.

    They are looked at as they are, and as they were before L_safety was in the loss: it moves
    them away from what it knows to be unsafe, and the gate would see a harmless place.
    """
    with torch.no_grad():
        values = torch.cat([candidate.cal.values().cpu(), candidate.read])
    found = []
    if not bool(torch.isfinite(values).all()):
        found.append("expected finite projected concepts, found a value that is not")
    if rules.unsafe_phrases:
        model = student.language_model
        layer = candidate.cal.config.memory_layer(model.depth)
        directions = model.last_states(rules.unsafe_phrases, layer=layer)
        cosines = F.normalize(values, dim=-1) @ F.normalize(directions, dim=-1).T
        worst = float(cosines.max())
        if worst > rules.unsafe_limit:
            found.append(
                f"expected cosines with unsafe directions of at most {rules.unsafe_limit},"
                f" found {worst:.3f}"
            )
    return tuple(found)


def truth(lesson: Lesson, domain: Domain) -> dict[str, float]:
    """`lesson_truth`: share of the facts which traces show that are as they show them."""
    known, told = set(domain.facts), known_results(lesson, domain)
    right = [domain.fact(fact) == told[fact] for fact in told if fact in known]
    return {"lesson_truth": fmean(right)} if right else {}


def fidelity(lesson: Lesson, domain: Domain) -> dict[str, float]:
    """`concept_fidelity`: share of the facts that a linear probe reads out of C.

    It is asked for no fact that it was fitted on. Nothing where concepts are no facts, or were
    found by the teacher: of these there may be one for each result, which could not be held out.
    """
    right: list[Tensor] = []
    known = set() if domain.relational else {spec.id for spec in domain.concepts}
    for content in (packet.packet for packet in lesson.packets):
        rows = [row for row, spec in enumerate(content.concepts) if spec.id in known][:PROBED]
        if len(rows) < FOLDS:
            continue
        facts = [domain.fact(content.concepts[row].id) for row in rows]
        labels = torch.tensor([domain.symbols.index(fact) for fact in facts])
        means = content.means[rows].float()
        its = Labelled(F.rms_norm(means, means.shape[1:]), labels, torch.arange(len(rows)))
        right.append(crossvalidated(its, folds=FOLDS, generator=torch.Generator().manual_seed(0)))
    return {"concept_fidelity": float(torch.cat(right).float().mean())} if right else {}


@dataclass(frozen=True, slots=True, eq=False)
class Sitting:
    """Who is examined, in what, and on which items.

    Attributes:
        student: As it stands.
        domain: What it is examined in.
        probes: The items.
        lesson: What the candidate was taught, for a diagnosis; None for none.
    """

    student: Student
    domain: Domain
    probes: ProbeSet
    lesson: Lesson | None = None

    def examine(self, probes: ProbeSet, cal: ConceptAlignmentLayer | None) -> Exam:
        """The exam of the student when it carries `cal`, on some of the items, with workings."""
        said = self.student.completions(self.domain, _questions(probes), cal)
        exam = _marked(probes, said)
        if self.lesson is None:
            return exam
        told = known_results(self.lesson, self.domain)
        workings = (
            working_of(self.domain, item.question, text, told)
            for item, text in zip(probes.items, said, strict=True)
        )
        return replace(exam, workings=tuple(workings))

    def diagnosed(
        self, verdict: Verdict, before: Exam, after: Exam, rules: DiagnosisRules
    ) -> Verdict:
        """`verdict` with what the lesson suffered from, how much C held, how much was true."""
        evidence = verdict.evidence
        if self.lesson is None or evidence is None:
            return verdict
        of_lesson = truth(self.lesson, self.domain) | fidelity(self.lesson, self.domain)
        figures = {**evidence.figures, **of_lesson}
        found = diagnose(before, after, figures, rules)
        return replace(verdict, evidence=replace(evidence, figures=figures, diagnosis=found))


def verify(sitting: Sitting, candidate: Candidate, rules: VerifyRules, report: Report) -> Verdict:
    """Audits the candidate, and examines it beside the student as it stands until all is clear.

    Items come in rounds, on which both are examined; the exam ends with the round after which
    there is enough evidence, or with the last one.
    """
    most = float(len(sitting.probes.items))
    report(Progress("examining", {"at_most": most}, TransferState.VERIFYING))
    findings = audit(sitting.student, candidate, rules)
    if findings:
        return Rejected((Reason.UNSAFE_DIRECTION,), findings)
    before, after, verdict = Exam((), ()), Exam((), ()), None
    for probes in sitting.probes.rounds(rules.probes_per_round):
        before += sitting.examine(probes, sitting.student.cal)
        after += sitting.examine(probes, candidate.cal)
        figures = {"items": float(len(after.right)), "before": before.mean, "after": after.mean}
        report(Progress("examined as it stands, and with the candidate", figures))
        verdict = decided(before, after, rules.judge, candidate.figures)
        if verdict is not None:
            break
    verdict = verdict or judge(before, after, rules.judge, candidate.figures)
    return sitting.diagnosed(verdict, before, after, rules.diagnosis)
