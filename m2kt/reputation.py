"""How a teacher's packets have held up so far: evidence that fades, and a score of it.

The beta reputation system: r pieces of evidence for and s against give the expected value
of Beta(r + 1, s + 1), which is 1/2 where nothing is known. All evidence loses half of its
weight in every half-life, so that what somebody was is not what it is. Source: Josang and
Ismail, "The Beta Reputation System", 15th Bled Electronic Commerce Conference, 2002.

Owns: `TrackRecord`, `ReputationRules`, what a verdict says about whom, `weights` in
a vote, `trust_in`.
Does not own: keeping it (track_records), whose keys are trusted (trust). Free of torch.
"""

import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import astuple, dataclass
from statistics import fmean
from typing import Final, TypeVar

from m2kt import consensus
from m2kt.consensus import KEPT_OUT, Fate
from m2kt.errors import RequestError
from m2kt.identity import AgentId
from m2kt.reasons import Reason
from m2kt.verdict import Accepted, Verdict

Name = TypeVar("Name", bound=str)

DAY_S: Final = 86400.0
UNKNOWN: Final = 0.5
"""Score of no evidence."""
TELLING: Final = frozenset(
    {
        Reason.MALFORMED,
        Reason.OVERSIZE,
        Reason.BAD_SHAPE,
        Reason.NOT_FINITE,
        Reason.NORM_OUT_OF_RANGE,
        Reason.MEAN_MISMATCH,
        Reason.TOO_FEW_EXEMPLARS,
        Reason.TRACE_REFUTED,
        Reason.DENIED_CONCEPT,
        Reason.DENIED_PHRASE,
        Reason.REGRESSION,
        Reason.UNSAFE_DIRECTION,
    }
)
"""Reasons that speak against a packet, not against the student, the network or the exam."""
NOTHING_NEW: Final = frozenset({Reason.NO_GAIN})
"""Reasons that do so only if the student knew nothing before: who knows it all gains nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReputationRules:
    """How evidence counts.

    Attributes:
        half_life_days: Days in which it loses half of its weight.
        concept_weight: Weight of one concept that others agreed on or disputed; a packet has 1.
    """

    half_life_days: float = 30.0
    concept_weight: float = 0.05

    def __post_init__(self) -> None:
        if not (0 < self.half_life_days < math.inf and 0 <= self.concept_weight <= 1):
            raise RequestError(
                f"expected half_life_days above 0 and concept_weight from 0 to 1, found"
                f" {self.half_life_days} and {self.concept_weight}; correct [reputation]"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackRecord:
    """Evidence about a teacher, as it weighed at one time.

    Attributes:
        accepted: Packets that passed the exam; shares of one, where several passed together.
        rejected: Packets that were refused for a reason of their own.
        agreed: Concepts on which other teachers said the same.
        disputed: Concepts on which they said something else.
        at_s: Unix time, seconds, on the student's clock.
    """

    accepted: float = 0.0
    rejected: float = 0.0
    agreed: float = 0.0
    disputed: float = 0.0
    at_s: float = 0.0

    def __post_init__(self) -> None:
        if not all(0 <= value < math.inf for value in astuple(self)):
            raise RequestError(
                f"expected finite amounts of evidence of at least 0, found {astuple(self)}"
            )

    def decayed(self, now_s: float, rules: ReputationRules) -> "TrackRecord":
        r"""What is left of it at `now_s`; it does not grow again on a clock that went back.

        .. math:: x \cdot 2^{-(t - t_0) / T}
        """
        age_days = max(0.0, now_s - self.at_s) / DAY_S
        left = 2.0 ** -(age_days / rules.half_life_days)
        return TrackRecord(
            accepted=self.accepted * left,
            rejected=self.rejected * left,
            agreed=self.agreed * left,
            disputed=self.disputed * left,
            at_s=max(self.at_s, now_s),
        )

    def credited(self, more: "TrackRecord", rules: ReputationRules) -> "TrackRecord":
        """With more evidence, older or newer: both as they weigh at the later of their times."""
        now_s = max(self.at_s, more.at_s)
        mine, its = self.decayed(now_s, rules), more.decayed(now_s, rules)
        return TrackRecord(
            accepted=mine.accepted + its.accepted,
            rejected=mine.rejected + its.rejected,
            agreed=mine.agreed + its.agreed,
            disputed=mine.disputed + its.disputed,
            at_s=now_s,
        )

    def score(self, now_s: float, rules: ReputationRules) -> float:
        r"""Chance that the next packet is good, above 0 and below 1.

        .. math:: \frac{r + 1}{r + s + 2}
        """
        left = self.decayed(now_s, rules)
        r = left.accepted + rules.concept_weight * left.agreed
        s = left.rejected + rules.concept_weight * left.disputed
        # Of more evidence than a float can tell from one less, the quotient would be 0 or 1.
        return min(max((r + 1) / (r + s + 2), math.ulp(0.0)), math.nextafter(1.0, 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reputation:
    """A teacher as its student shows it.

    Attributes:
        teacher: Who.
        score: Of its standing, now.
        total: All evidence ever, unfaded; `at_s` is when the newest came.
    """

    teacher: AgentId
    score: float
    total: TrackRecord


def evidence_of(
    verdict: Verdict, teachers: AbstractSet[AgentId], *, known: bool
) -> dict[AgentId, TrackRecord]:
    """What the end of a transfer says about those whose packets it was about.

    Who was refused, or kept out of the lesson, is to blame whatever became of the others. Those
    whose word was taken share a success equally. Their failure is nobody's if they are several:
    else a bad packet beside a good one would hurt both teachers. Whom others confirm, or outvote,
    counts only if the exam was passed: liars confirm each other too.

    Args:
        verdict: How the transfer ended, and what its teachers said, if it came to that.
        teachers: Whose packets came for it; their signatures were checked.
        known: Whether the student had learnt the domain before.
    """
    heard = verdict.consensus.standings if verdict.consensus else ()
    guilty = teachers & {name for its in heard if _to_blame(its) for name in its.teachers}
    taught = teachers - guilty - {name for its in heard if not its.used for name in its.teachers}
    against = TELLING if known else TELLING | NOTHING_NEW
    found = dict.fromkeys(guilty, TrackRecord(rejected=1.0))
    if isinstance(verdict, Accepted):
        votes = {name: its for its in heard if its.used or its.outvoted for name in its.teachers}
        for name in teachers - guilty:
            passed = 1 / len(taught) if name in taught else 0.0
            found[name] = _credited(passed, votes.get(name))
    elif len(taught) == 1 and not against.isdisjoint(verdict.reasons):
        found |= dict.fromkeys(taught, TrackRecord(rejected=1.0))
    return {name: its for name, its in found.items() if its != TrackRecord()}


def _to_blame(its: consensus.Standing) -> bool:
    """Whether a voter was kept out for what it said, or refused for a reason of its own."""
    refused = its.fate is Fate.REFUSED and not TELLING.isdisjoint(its.reasons)
    return refused or its.fate in KEPT_OUT


def _credited(passed: float, votes: consensus.Standing | None) -> TrackRecord:
    """What a success says of a teacher: its share in it, and how it voted."""
    if votes is None:
        return TrackRecord(accepted=passed)
    return TrackRecord(
        accepted=passed, agreed=float(votes.confirmed), disputed=float(votes.outvoted)
    )


def weights(scores: Mapping[Name, float], roots: AbstractSet[Name]) -> dict[Name, float]:
    """Weights of voters: their scores; a root of trust outweighs all that are none.

    Args:
        scores: For each voter, above 0 and below 1.
        roots: Who is a root of trust.
    """
    others = sum(score for name, score in scores.items() if name not in roots)
    return {name: 1.0 + others if name in roots else its for name, its in scores.items()}


def trust_in(
    speakers: AbstractSet[tuple[AgentId, str]],
    scores: Mapping[AgentId, float],
    roots: AbstractSet[str],
) -> dict[str, float]:
    """Weights of voters; one for whom several teachers speak has the mean of their scores.

    Args:
        speakers: Teachers, each with the voter that it speaks for.
        scores: Of teachers of whom something is known; the others have that of no evidence.
        roots: Which voters are roots of trust.
    """
    found: dict[str, list[float]] = {}
    for teacher, voter in sorted(speakers):
        found.setdefault(voter, []).append(scores.get(teacher, UNKNOWN))
    return weights({voter: fmean(its) for voter, its in found.items()}, roots)
