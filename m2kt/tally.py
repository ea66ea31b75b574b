"""The report of a lesson's votes: who said what, what was decided, who is followed.

Owns: `tally`. Does not own: the values (consensus), the decisions (settling).
"""

from statistics import fmean
from typing import Final

import torch

from m2kt.ballots import Ballots
from m2kt.consensus import (
    CALM,
    LEARNT,
    MOST_OPINIONS,
    Consensus,
    Decision,
    Fate,
    Opinion,
    Standing,
    Voice,
)
from m2kt.settling import Settled

_VOTED: Final = frozenset({Decision.AGGREGATE, Decision.ARBITRATE})
"""Decisions that are made by a vote."""
_WHY = {
    Fate.UNALIGNED: "expected concepts that fit what traces tell, found {fit:.2f} of them to;"
    " ask the teacher to extract them anew",
    Fate.ESTRANGED: "expected agreement with the others, found a mean cosine of {affinity:.2f}",
    Fate.IMPLICATED: "expected words that some honest voter shares, found ones that only it and as"
    " many others as may be hostile can be wrong in",
    Fate.DISTRUSTED: "expected agreement with the root of trust, found a mean cosine of"
    " {affinity:.2f}",
}


def tally(ballots: Ballots, settled: Settled, rule: str) -> Consensus:
    """The consensus of a lesson.

    Args:
        ballots: The votes.
        settled: What was decided.
        rule: Name of the strategy.
    """
    decisions = settled.decisions
    apart = settled.apart.tolist()
    order = sorted(range(len(decisions)), key=lambda k: (decisions[k] in CALM, -apart[k], k))
    told_of = sorted(order[:MOST_OPINIONS])
    return Consensus(
        rule=rule,
        hostile=settled.electorate.hostile,
        standings=tuple(_standing(ballots, settled, n) for n in range(len(ballots.voters))),
        decisions={its: decisions.count(its) for its in Decision},
        opinions=tuple(_opinion(ballots, settled, concept) for concept in told_of),
    )


def _opinion(ballots: Ballots, settled: Settled, concept: int) -> Opinion:
    says, shares = settled.says[concept].tolist(), settled.shares[concept].tolist()
    voices = tuple(
        Voice(
            ballots.voters[voter],
            ballots.symbols[says[voter]] if says[voter] >= 0 else "",
            shares[voter],
            _fate(settled, concept, voter),
        )
        for voter in ballots.holding[concept].nonzero()[:, 0].tolist()
    )
    return Opinion(
        ballots.specs[concept].id,
        settled.decisions[concept],
        float(settled.apart[concept]),
        float(settled.chances[concept]),
        voices,
    )


def _fate(settled: Settled, concept: int, voter: int) -> Fate:
    """What became of a voter on one concept."""
    whole = settled.electorate.fates[voter]
    if settled.shares[concept, voter] > 0:
        return Fate.USED
    if whole is not Fate.USED:
        return whole
    if settled.decisions[concept] not in LEARNT:
        return Fate.ABSTAINED
    return Fate.TRIMMED if bool(settled.followed[concept, voter]) else Fate.OUTVOTED


def _standing(ballots: Ballots, settled: Settled, voter: int) -> Standing:
    electorate, fit = settled.electorate, ballots.fit(voter)
    fate, affinity = electorate.fates[voter], electorate.affinity[voter]
    held = [its for its in settled.shares[:, voter].tolist() if its > 0]
    return Standing(
        voter=ballots.voters[voter],
        teachers=tuple(sorted({packet.authentic.teacher for packet in ballots.of(voter)})),
        root=bool(ballots.roots[voter]),
        concepts=int(ballots.holding[:, voter].sum()),
        fate=fate,
        why=_WHY.get(fate, "").format(fit=fit, affinity=affinity),
        used=len(held),
        confirmed=_confirmed(settled, voter),
        outvoted=sum(
            _fate(settled, concept, voter) is Fate.OUTVOTED
            for concept, decision in enumerate(settled.decisions)
            if decision is Decision.ARBITRATE and bool(ballots.voting[concept, voter])
        ),
        share=fmean(held) if held else 0.0,
        fit=fit,
        affinity=affinity,
    )


def _confirmed(settled: Settled, voter: int) -> int:
    """Of how many concepts that a voter has a share in another one who is followed says the same.

    Where traces tell, or nobody else has it, nobody was asked.
    """
    voted = torch.tensor([its in _VOTED for its in settled.decisions])
    same = settled.followed & (settled.says == settled.says[:, voter, None]) & (settled.says >= 0)
    same[:, voter] = False
    return int((voted & (settled.shares[:, voter] > 0) & same.any(dim=1)).sum())
