"""What several teachers said, as messages, and back.

Each pair is a round trip. Free of torch.

Owns: the messages of a `Consensus`. Does not own: the verdict that it stands in (verdicts).
"""

from typing import Final

from m2kt.consensus import Consensus, Decision, Fate, Opinion, Standing, Voice
from m2kt.errors import OversizeError
from m2kt.identity import AgentId
from m2kt.wire.numbers import reason_from_wire, reason_to_wire, value_of
from m2kt.wire.v1 import verdict_pb2 as pb

MOST: Final = 1 << 14
"""Standings, opinions, and voices of all opinions: empty ones take few bytes, and time here."""

_DECISIONS: Final = {
    number: Decision(name.removeprefix("DECISION_").lower())
    for name, number in pb.Decision.items()
    if number
}
_FATES: Final = {
    number: Fate(name.removeprefix("FATE_").lower()) for name, number in pb.Fate.items() if number
}
_DECISION_NUMBERS: Final = {decision: number for number, decision in _DECISIONS.items()}
_FATE_NUMBERS: Final = {fate: number for number, fate in _FATES.items()}


def consensus_to_wire(consensus: Consensus) -> pb.Consensus:
    """The message of a consensus."""
    return pb.Consensus(
        rule=consensus.rule,
        hostile=consensus.hostile,
        standings=[_standing_to_wire(its) for its in consensus.standings],
        decisions=[
            pb.DecisionCount(decision=_DECISION_NUMBERS[its], count=count)
            for its, count in consensus.decisions.items()
            if count
        ],
        opinions=[_opinion_to_wire(its) for its in consensus.opinions],
    )


def consensus_from_wire(message: pb.Consensus) -> Consensus:
    """The consensus of a message.

    Raises:
        PacketError: a decision, or what became of a voter, is unknown.
        OversizeError: there are more standings, opinions or voices than `MOST`.
    """
    voices = sum(len(its.voices) for its in message.opinions)
    found = max(len(message.standings), len(message.opinions), voices)
    if found > MOST:
        raise OversizeError(
            f"expected at most {MOST} standings, opinions and voices of a consensus, found"
            f" {found}; send less"
        )
    counts = dict.fromkeys(Decision, 0)
    for its in message.decisions:
        counts[value_of(_DECISIONS, its.decision, "a decision")] = its.count
    return Consensus(
        rule=message.rule,
        hostile=message.hostile,
        standings=tuple(_standing_from_wire(its) for its in message.standings),
        decisions=counts,
        opinions=tuple(_opinion_from_wire(its) for its in message.opinions),
    )


def _standing_to_wire(standing: Standing) -> pb.Standing:
    return pb.Standing(
        voter=standing.voter,
        teachers=standing.teachers,
        root=standing.root,
        concepts=standing.concepts,
        fate=_FATE_NUMBERS[standing.fate],
        why=standing.why,
        used=standing.used,
        outvoted=standing.outvoted,
        share=standing.share,
        fit=standing.fit,
        affinity=standing.affinity,
        confirmed=standing.confirmed,
        reasons=[reason_to_wire(reason) for reason in standing.reasons],
    )


def _standing_from_wire(message: pb.Standing) -> Standing:
    return Standing(
        voter=message.voter,
        teachers=tuple(AgentId(name) for name in message.teachers),
        root=message.root,
        concepts=message.concepts,
        fate=value_of(_FATES, message.fate, "what became of a voter"),
        why=message.why,
        used=message.used,
        outvoted=message.outvoted,
        share=message.share,
        fit=message.fit,
        affinity=message.affinity,
        confirmed=message.confirmed,
        reasons=tuple(reason_from_wire(number) for number in message.reasons),
    )


def _opinion_to_wire(opinion: Opinion) -> pb.Opinion:
    return pb.Opinion(
        concept=opinion.concept,
        decision=_DECISION_NUMBERS[opinion.decision],
        dispersion=opinion.dispersion,
        p=opinion.p,
        voices=[
            pb.Voice(voter=v.voter, says=v.says, share=v.share, fate=_FATE_NUMBERS[v.fate])
            for v in opinion.voices
        ],
    )


def _opinion_from_wire(message: pb.Opinion) -> Opinion:
    return Opinion(
        message.concept,
        value_of(_DECISIONS, message.decision, "a decision"),
        message.dispersion,
        message.p,
        tuple(
            Voice(v.voter, v.says, v.share, value_of(_FATES, v.fate, "what became of a voter"))
            for v in message.voices
        ),
    )
