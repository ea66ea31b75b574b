"""What several teachers said, and what the student made of it: names and numbers only.

Owns: `Decision`, `Fate`, `Voice`, `Opinion`, `Standing`, `Consensus`. Free of torch.
Does not own: how any of it is found (settling).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, final

from m2kt.identity import AgentId
from m2kt.reasons import Reason


class Decision(StrEnum):
    """What is done about one concept.

    AGGREGATE: the voters that remain agree, or their rule says what holds.
    TOLD: traces that check say it; teachers need not be asked.
    UNOPPOSED: one voter alone has it, or none can be held against another: equal shares.
    ARBITRATE: voters differ; those are followed whom the root of trust, or enough others, confirm.
    ABSTAIN: voters differ, or are too few, and nothing says who is right: it is not learnt.
    QUARANTINE: all who vote on it are kept out of the whole lesson: it is not learnt.
    """

    AGGREGATE = "aggregate"
    TOLD = "told"
    UNOPPOSED = "unopposed"
    ARBITRATE = "arbitrate"
    ABSTAIN = "abstain"
    QUARANTINE = "quarantine"


LEARNT: Final = frozenset(
    {Decision.AGGREGATE, Decision.TOLD, Decision.UNOPPOSED, Decision.ARBITRATE}
)
"""Decisions after which the concept is part of the lesson."""
CALM: Final = frozenset({Decision.AGGREGATE, Decision.TOLD, Decision.UNOPPOSED})
"""Decisions where nobody contradicts anybody."""
MOST_OPINIONS: Final = 256
"""Concepts that a consensus tells of one by one: it travels in a receipt."""


class Fate(StrEnum):
    """What becomes of a voter.

    USED: it has a share.
    TRIMMED: the rule gave it none.
    OUTVOTED: it said something else than those who are followed.
    UNALIGNED: its concepts do not even fit what traces tell.
    ESTRANGED: over all concepts, it differs from those with whom the others agree.
    DISTRUSTED: over all concepts, it differs from the root of trust.
    IMPLICATED: where voters differ, it must be hostile if no more are than may be.
    ABSTAINED: its concept is not learnt at all.
    REFUSED: its packet did not pass screening.
    """

    USED = "used"
    TRIMMED = "trimmed"
    OUTVOTED = "outvoted"
    UNALIGNED = "unaligned"
    ESTRANGED = "estranged"
    DISTRUSTED = "distrusted"
    IMPLICATED = "implicated"
    ABSTAINED = "abstained"
    REFUSED = "refused"


KEPT_OUT: Final = frozenset({Fate.ESTRANGED, Fate.DISTRUSTED, Fate.IMPLICATED})
"""What becomes of those who are not heard in the whole lesson."""


@final
@dataclass(frozen=True, slots=True)
class Voice:
    """What one organisation said of one concept.

    Attributes:
        voter: The organisation.
        says: The state symbol that its point is nearest to; empty where none was looked for.
        share: In the concept as it is learnt.
        fate: What became of it.
    """

    voter: str
    says: str
    share: float
    fate: Fate


@final
@dataclass(frozen=True, slots=True)
class Opinion:
    """One concept.

    Attributes:
        concept: Its id.
        decision: What is done about it.
        dispersion: Mean of 1 - cos over pairs of voters that are in the lesson.
        p: Chance of that among honest voters, corrected for the number of concepts.
        voices: Who said what, by voter.
    """

    concept: str
    decision: Decision
    dispersion: float
    p: float
    voices: tuple[Voice, ...]


@final
@dataclass(frozen=True, slots=True)
class Standing:
    """One organisation in the whole lesson.

    Attributes:
        voter: The organisation, or a teacher that is in none.
        teachers: Its agents that sent something.
        root: Whether it is a root of trust.
        concepts: How many it sent.
        fate: Used, or why it is kept out of the whole lesson.
        why: In one sentence; empty if it is used.
        used: In how many it has a share.
        confirmed: In how many of these others said the same, in a vote.
        outvoted: On how many others were followed, because they differed.
        share: Mean of its shares in those that it has one in.
        fit: Share of the told concepts that a map which is not told of them finds.
        affinity: Mean cosine with the root of trust or, without one, with all others.
        reasons: Codes of why its packet was refused; none of one that was not.
    """

    voter: str
    teachers: tuple[AgentId, ...]
    root: bool
    concepts: int
    fate: Fate
    why: str = ""
    used: int = 0
    confirmed: int = 0
    outvoted: int = 0
    share: float = 0.0
    fit: float = 0.0
    affinity: float = 0.0
    reasons: tuple[Reason, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Consensus:
    """Who gave what to a lesson, by which rule.

    Attributes:
        rule: Name of the strategy.
        hostile: How many hostile voters it was to bear.
        standings: Of every voter.
        decisions: How many concepts were decided in each way.
        opinions: Of concepts, at most `MOST_OPINIONS`: those that are disputed first, then those
            on which voters are furthest apart.
    """

    rule: str
    hostile: int
    standings: tuple[Standing, ...]
    decisions: Mapping[Decision, int]
    opinions: tuple[Opinion, ...]

    @property
    def unsettled(self) -> float:
        """Share of the concepts that are not learnt because voters differ or are too few.

        What only those have who are kept out is not among them: nobody else could tell it.
        """
        lost = self.decisions[Decision.ABSTAIN]
        return lost / max(1, sum(self.decisions.values()))

    @property
    def disputed(self) -> tuple[Opinion, ...]:
        """Of `opinions` those where voters differed, or that are not learnt."""
        return tuple(its for its in self.opinions if its.decision not in CALM)
