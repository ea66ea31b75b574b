"""The verdict: accepted, or rejected with reasons; and the exam it rests on.

A rejection is a value. Free of torch: a verdict travels on the wire and holds
names and numbers only.

Owns: `Exam`, `Evidence`, `Accepted`, `Rejected`, `Receipt`, `decided` and `judge`.
Does not own: running the exam (verify), moving HEAD (store), signing (signing).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from m2kt.betting import p_value
from m2kt.consensus import Consensus
from m2kt.errors import RequestError
from m2kt.identity import AgentId, KeyId, PacketId, TransferId
from m2kt.meter import DataMeter
from m2kt.reasons import Reason
from m2kt.symptoms import Diagnosis
from m2kt.workings import Working


@dataclass(frozen=True, slots=True)
class Exam:
    """How somebody did on a probe set.

    Attributes:
        levels: Of each item.
        right: Whether the answer was.
        workings: What stood above the answer; none at all if nobody looked.
    """

    levels: tuple[int, ...]
    right: tuple[bool, ...]
    workings: tuple[Working, ...] = ()

    def __post_init__(self) -> None:
        if len(self.levels) != len(self.right):
            raise RequestError(
                f"expected one mark for each of {len(self.levels)} items, found {len(self.right)}"
            )
        if self.workings and len(self.workings) != len(self.levels):
            raise RequestError(
                f"expected a working for each of {len(self.levels)} items or none, found"
                f" {len(self.workings)}"
            )

    def __add__(self, more: "Exam") -> "Exam":
        return Exam(
            self.levels + more.levels, self.right + more.right, self.workings + more.workings
        )

    @property
    def accuracy(self) -> dict[int, float]:
        """Share of right answers for each level."""
        marks: dict[int, list[bool]] = {}
        for level, right in zip(self.levels, self.right, strict=True):
            marks.setdefault(level, []).append(right)
        return {level: sum(found) / len(found) for level, found in sorted(marks.items())}

    @property
    def mean(self) -> float:
        """Mean over levels of the accuracy at each level."""
        accuracy = self.accuracy
        return sum(accuracy.values()) / len(accuracy) if accuracy else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The figures behind a verdict.

    Attributes:
        before: Accuracy by level of the student as it stood.
        after: Accuracy by level of the candidate, same items.
        gain: Share of items won minus share of items lost.
        p_gain: p-value of "not better", valid whenever the exam ended (betting).
        p_loss: The same of "not worse".
        items: Number of paired probe items.
        figures: Anything else that was measured, by name.
        diagnosis: What the lesson suffered from, as far as that shows.
    """

    before: Mapping[int, float]
    after: Mapping[int, float]
    gain: float
    p_gain: float
    p_loss: float
    items: int
    figures: Mapping[str, float] = field(default_factory=dict)
    diagnosis: tuple[Diagnosis, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Accepted:
    """The candidate is better and nothing speaks against it.

    Attributes:
        evidence: The exam.
        consensus: What its teachers said; None if nobody asked.
    """

    evidence: Evidence
    consensus: Consensus | None = None


@final
@dataclass(frozen=True, slots=True)
class Rejected:
    """The student declines.

    Attributes:
        reasons: At least one code.
        details: For each finding a sentence: expected, found, remedy.
        evidence: The exam, if it came to one.
        consensus: What the teachers said, if it came to that.
    """

    reasons: tuple[Reason, ...]
    details: tuple[str, ...] = ()
    evidence: Evidence | None = None
    consensus: Consensus | None = None

    def __post_init__(self) -> None:
        if not self.reasons:
            raise RequestError("expected a rejection to give at least one reason, found none")


Verdict = Accepted | Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the student signs when a transfer has ended.

    Attributes:
        transfer: Id of the transfer.
        student: Who learnt, or declined to.
        domain: Name of the domain.
        packets: Ids of the packets that were considered.
        teachers: Who sent them.
        verdict: The outcome.
        head_before: Digest of the student's state before.
        head_after: Digest of the student's state after; equal to `head_before` on rejection.
        meter: What the transfer consumed in all.
        probe_items: Held-out items used to examine; no part of the meter.
        issued_at_s: Unix time, seconds, on the student's clock.
        unlearnt: Of a re-alignment, the packets and keys that were left out; else none.
        audit_entries: Entries of the student's audit log when it signed.
        audit_head: Digest of the last of them; empty if it keeps none.
    """

    transfer: TransferId
    student: AgentId
    domain: str
    packets: tuple[PacketId, ...]
    teachers: tuple[AgentId, ...]
    verdict: Verdict
    head_before: str
    head_after: str
    meter: DataMeter
    probe_items: int
    issued_at_s: float
    unlearnt: tuple[PacketId | KeyId, ...] = ()
    audit_entries: int = 0
    audit_head: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeRules:
    """When a candidate is good enough.

    Attributes:
        min_gain: Smallest gain worth a change of HEAD, as a share of the items.
        alpha: Level of each test.
    """

    min_gain: float = 0.03
    alpha: float = 0.05


def decided(
    before: Exam, after: Exam, rules: JudgeRules, figures: Mapping[str, float]
) -> Verdict | None:
    """What two exams on the same items show beyond doubt; None if that is nothing so far.

    May be asked after every round of an exam: its tests are valid whenever they end.

    Raises:
        RequestError: the exams are not on the same items.
    """
    lost, evidence = _weighed(before, after, figures)
    if evidence.p_loss < rules.alpha:
        detail = f"expected no loss, found {lost.count(1)} items lost and {lost.count(-1)} won"
        return Rejected((Reason.REGRESSION,), (f"{detail} of {len(lost)}",), evidence)
    if p_value(lost, at_most=-rules.min_gain) < rules.alpha:
        return _too_little(evidence, rules)
    if evidence.gain >= rules.min_gain and evidence.p_gain < rules.alpha:
        return Accepted(evidence)
    return None


def judge(before: Exam, after: Exam, rules: JudgeRules, figures: Mapping[str, float]) -> Verdict:
    """The verdict when there are no more items: what is still undecided means no.

    Raises:
        RequestError: the exams are not on the same items.
    """
    found = decided(before, after, rules, figures)
    if found is not None:
        return found
    _, evidence = _weighed(before, after, figures)
    if evidence.gain < rules.min_gain:
        return _too_little(evidence, rules)
    detail = f"expected p < {rules.alpha}, found {evidence.p_gain:.3f}; examine on more items"
    return Rejected((Reason.UNDECIDED,), (detail,), evidence)


def _weighed(
    before: Exam, after: Exam, figures: Mapping[str, float]
) -> tuple[list[float], Evidence]:
    """For each item 1 if it was lost, -1 if it was won; and what follows."""
    if before.levels != after.levels:
        raise RequestError("expected two exams on the same items; examine both on one probe set")
    pairs = zip(before.right, after.right, strict=True)
    lost = [float(then) - float(now) for then, now in pairs]
    return lost, Evidence(
        before=before.accuracy,
        after=after.accuracy,
        gain=-sum(lost) / max(1, len(lost)),
        p_gain=p_value([-its for its in lost], at_most=0.0),
        p_loss=p_value(lost, at_most=0.0),
        items=len(lost),
        figures=dict(figures),
    )


def _too_little(evidence: Evidence, rules: JudgeRules) -> Rejected:
    detail = f"expected a gain of {rules.min_gain:.3f}, found {evidence.gain:.3f}"
    return Rejected((Reason.NO_GAIN,), (detail,), evidence)
