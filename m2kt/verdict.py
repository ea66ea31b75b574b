"""The verdict: accepted, or rejected with reasons; and the exam it rests on.

A rejection is a value. Free of torch: a verdict travels on the wire and holds
names and numbers only.

Owns: `Exam`, `Evidence`, `Accepted`, `Rejected`, `Receipt`, and `judge`.
Does not own: running the exam (verify), moving HEAD (store), signing (signing).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import comb
from typing import final

from m2kt.errors import RequestError
from m2kt.identity import AgentId, PacketId, TransferId
from m2kt.meter import DataMeter
from m2kt.reasons import Reason


@dataclass(frozen=True, slots=True)
class Exam:
    """How somebody did on a probe set: for each item its level and whether it was right."""

    levels: tuple[int, ...]
    right: tuple[bool, ...]

    def __post_init__(self) -> None:
        if len(self.levels) != len(self.right):
            raise RequestError(
                f"expected one mark for each of {len(self.levels)} items, found {len(self.right)}"
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
        p_gain: Exact one-sided McNemar p-value of "not better".
        p_loss: Exact one-sided McNemar p-value of "not worse".
        items: Number of paired probe items.
        figures: Anything else that was measured, by name.
    """

    before: Mapping[int, float]
    after: Mapping[int, float]
    gain: float
    p_gain: float
    p_loss: float
    items: int
    figures: Mapping[str, float] = field(default_factory=dict)


@final
@dataclass(frozen=True, slots=True)
class Accepted:
    """The candidate is better and nothing speaks against it."""

    evidence: Evidence


@final
@dataclass(frozen=True, slots=True)
class Rejected:
    """The student declines.

    Attributes:
        reasons: At least one code.
        details: For each finding a sentence: expected, found, remedy.
        evidence: The exam, if it came to one.
    """

    reasons: tuple[Reason, ...]
    details: tuple[str, ...] = ()
    evidence: Evidence | None = None

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


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeRules:
    """When a candidate is good enough.

    Attributes:
        min_gain: Smallest gain worth a change of HEAD, as a share of the items.
        alpha: Level of each test.
    """

    min_gain: float = 0.03
    alpha: float = 0.05


def binomial_tail(successes: int, trials: int) -> float:
    """P(X >= successes) for X ~ Binomial(trials, 1/2), exactly."""
    ways = sum(comb(trials, k) for k in range(successes, trials + 1))
    return float(Fraction(ways, 2**trials))


def judge(before: Exam, after: Exam, rules: JudgeRules, figures: Mapping[str, float]) -> Verdict:
    """Compares two exams on the same items by exact McNemar tests; undecided means no.

    Raises:
        RequestError: the exams are not on the same items.
    """
    if before.levels != after.levels:
        raise RequestError("expected two exams on the same items; examine both on one probe set")
    pairs = list(zip(before.right, after.right, strict=True))
    won = sum(now and not then for then, now in pairs)
    lost = sum(then and not now for then, now in pairs)
    evidence = Evidence(
        before=before.accuracy,
        after=after.accuracy,
        gain=(won - lost) / max(1, len(pairs)),
        p_gain=binomial_tail(won, won + lost),
        p_loss=binomial_tail(lost, won + lost),
        items=len(pairs),
        figures=dict(figures),
    )
    if evidence.p_loss < rules.alpha:
        detail = f"expected no loss, found {lost} items lost and {won} won of {len(pairs)}"
        return Rejected((Reason.REGRESSION,), (detail,), evidence)
    if evidence.gain < rules.min_gain:
        detail = f"expected a gain of {rules.min_gain:.3f}, found {evidence.gain:.3f}"
        return Rejected((Reason.NO_GAIN,), (detail,), evidence)
    if evidence.p_gain >= rules.alpha:
        detail = f"expected p < {rules.alpha}, found {evidence.p_gain:.3f}; examine on more items"
        return Rejected((Reason.UNDECIDED,), (detail,), evidence)
    return Accepted(evidence)
