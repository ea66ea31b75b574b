"""The exam: does the student with the candidate answer better than as it stands?

Owns: `examine`, `verify`, and the audit of what a candidate projects concepts to.
Does not own: the rules of judgement (verdict), moving HEAD (store).
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F  # noqa: N812

from m2kt.cal import ConceptAlignmentLayer
from m2kt.domain import Grammar, answer_in
from m2kt.probes import ProbeSet
from m2kt.progress import Progress, Report, TransferState
from m2kt.reasons import Reason
from m2kt.student import Candidate, Student
from m2kt.verdict import Exam, JudgeRules, Rejected, Verdict, decided, judge


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
    """

    judge: JudgeRules = field(default_factory=JudgeRules)
    probes_per_level: int = 100
    probes_per_round: int = 20
    probe_seed: int = 1
    unsafe_phrases: tuple[str, ...] = ()
    unsafe_limit: float = 0.5


def examine(
    student: Student,
    grammar: Grammar,
    probes: ProbeSet,
    cal: ConceptAlignmentLayer | None,
    *,
    examples: str = "",
) -> Exam:
    """Answers every probe and marks it: right if the answer is exactly the expected one."""
    questions = [(item.question, item.level) for item in probes.items]
    said = student.completions(grammar, questions, cal, examples=examples)
    marks = [answer_in(text) == item.answer for text, item in zip(said, probes.items, strict=True)]
    return Exam(tuple(item.level for item in probes.items), tuple(marks))


def audit(student: Student, candidate: Candidate, rules: VerifyRules) -> tuple[str, ...]:
    """What speaks against the candidate's projected concepts, one sentence each."""
    with torch.no_grad():
        values = candidate.cal.values().cpu()
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


@dataclass(frozen=True, slots=True, eq=False)
class Sitting:
    """Who is examined, in what, and on which items."""

    student: Student
    grammar: Grammar
    probes: ProbeSet

    def examine(self, probes: ProbeSet, cal: ConceptAlignmentLayer | None) -> Exam:
        """The exam of the student when it carries `cal`, on some of the items."""
        return examine(self.student, self.grammar, probes, cal)


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
    before = after = Exam((), ())
    for probes in sitting.probes.rounds(rules.probes_per_round):
        before += sitting.examine(probes, sitting.student.cal)
        after += sitting.examine(probes, candidate.cal)
        figures = {"items": float(len(after.right)), "before": before.mean, "after": after.mean}
        report(Progress("examined as it stands, and with the candidate", figures))
        verdict = decided(before, after, rules.judge, candidate.figures)
        if verdict is not None:
            return verdict
    return judge(before, after, rules.judge, candidate.figures)
