"""What is done about each concept, and who has which share in it.

Voters differ on a concept where their points are further apart than honest ones would be, and
are nearest to different symbols. A root of trust is followed then, unless it stands alone against
many who agree; without one, those who are enough while the others are few; where nobody is, the
concept is not learnt. Whoever must be hostile for all such disputes to be the work of so few is
not heard at all (culprits). What traces that check tell of a concept is not put to the vote. A
root of trust judges: it is no voter among others.

Owns: `Settled`, `settle`. Does not own: who may vote at all (electorate), rules (strategies).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from m2kt.ballots import Ballots
from m2kt.combine_config import CombineRules
from m2kt.consensus import LEARNT, Decision
from m2kt.culprits import implicated
from m2kt.dispersion import corrected, dispersion, p_values
from m2kt.electorate import Electorate, Survey, elect, survey
from m2kt.premix import MIXERS, PREMIXES, applied, traced
from m2kt.robust import TINY, Ballot
from m2kt.strategies import Strategy, strategy

_EVEN: Final = frozenset({Decision.TOLD, Decision.UNOPPOSED})
"""Decisions after which shares are equal."""


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Settled:
    """What was decided.

    Attributes:
        electorate: Whose word counts.
        says: What each voter says of each concept that is put to the vote.
        decisions: Of each concept.
        followed: Whose word is followed on it.
        shares: Of each voter in each concept, that sum to 1; all 0 where it is not learnt.
        apart: Dispersion of each concept, among the voters that are heard.
        chances: p-values of that, corrected.
    """

    electorate: Electorate
    says: Int[Tensor, "K n"]
    decisions: tuple[Decision, ...]
    followed: Bool[Tensor, "K n"]
    shares: Float[Tensor, "K n"]
    apart: Float[Tensor, "K"]
    chances: Float[Tensor, "K"]


def settle(
    ballots: Ballots, rules: CombineRules, trust: Float[Tensor, "n"] | None = None
) -> Settled:
    """Decides about every concept.

    Args:
        ballots: The votes.
        rules: How.
        trust: Of each voter, from its record, for a strategy that asks for it.
    """
    put = ((ballots.told < 0) & ballots.voting.any(dim=1)).nonzero()[:, 0]
    found = survey(ballots, put)
    electorate = elect(ballots, found, rules)
    apart, chances = _apart(ballots, put, electorate)
    court = _Court(ballots, found, electorate, rules, chances < rules.alpha)
    electorate = electorate.without(court.implicated())
    court = replace(court, electorate=electorate)
    decided = [court.decide(concept) for concept in range(len(ballots.specs))]
    followed = torch.stack([whom for _, whom in decided])
    decisions = [decision for decision, _ in decided]
    shares = _shares(court, decisions, followed, trust)
    for concept, total in enumerate(shares.sum(dim=1).tolist()):
        if decisions[concept] in LEARNT and not total:
            decisions[concept] = Decision.ABSTAIN
    return Settled(
        electorate=electorate,
        says=found.says,
        decisions=tuple(decisions),
        followed=followed,
        shares=shares,
        apart=apart,
        chances=chances,
    )


def _apart(
    ballots: Ballots, put: Int[Tensor, "Q"], electorate: Electorate
) -> tuple[Float[Tensor, "K"], Float[Tensor, "K"]]:
    """Dispersion of each concept among voters that are heard, and its corrected p-value."""
    apart = torch.zeros(len(ballots.specs))
    chances = torch.ones(len(ballots.specs), dtype=torch.float64)
    voting = ballots.voting & electorate.heard
    put = put[voting[put].sum(dim=1) > 1]
    for some in ballots.blocks(put):
        apart[some] = dispersion(ballots.points(some), voting[some])
    noise = [ballots.noise(voter) for voter in range(len(ballots.voters))]
    chances[put] = corrected(p_values(apart[put], voting[put], noise))
    return apart, chances


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Court:
    """Decides about one concept after another.

    Attributes:
        ballots: The votes.
        found: What each voter says.
        electorate: Who is heard.
        rules: How to decide.
        differs: Of each concept whether honest voters would be so far apart by no accident.
    """

    ballots: Ballots
    found: Survey
    electorate: Electorate
    rules: CombineRules
    differs: Bool[Tensor, "K"]

    def decide(self, concept: int) -> tuple[Decision, Bool[Tensor, "n"]]:
        """What is done about a concept, and whose word is followed."""
        heard, roots = self.electorate.heard, self.ballots.roots
        holding = self.ballots.holding[concept] & heard
        voting = self.ballots.voting[concept] & heard
        whom = voting if bool(voting.any()) else holding
        if not bool(holding.any()):
            return Decision.QUARANTINE, holding
        if self.ballots.told[concept] >= 0:
            return Decision.TOLD, whom
        votes = int((whom & ~roots).sum())
        if votes < self.rules.fewest() and not bool((whom & roots).any()):
            return Decision.ABSTAIN, torch.zeros_like(whom)
        if int(voting.sum()) < 2:
            return Decision.UNOPPOSED, whom
        if not self.rules.guarded:
            return Decision.AGGREGATE, voting
        return self._weigh(concept, voting)

    def implicated(self) -> frozenset[int]:
        """Voters that must be hostile, for all that cannot be settled to be the work of so few.

        Where a root has spoken nobody is suspected: it cannot be hostile, and may err.
        """
        if not self.rules.guarded:
            return frozenset()
        torn: list[list[frozenset[int]]] = []
        judged = (self.ballots.voting & self.ballots.roots).any(dim=1)
        for concept in (self.differs & ~judged).nonzero()[:, 0].tolist():
            if self.decide(concept)[0] is Decision.ABSTAIN:
                says = self.found.says[concept].where(self.electorate.heard, torch.tensor(-1))
                groups = [(says == symbol).nonzero()[:, 0].tolist() for symbol in says.unique()
                          if symbol >= 0]  # fmt: skip
                torn.append([frozenset(its) for its in groups])
        return implicated(torn, self.electorate.spared)

    def _weigh(self, concept: int, voting: Bool[Tensor, "n"]) -> tuple[Decision, Bool[Tensor, "n"]]:
        """Whether voters differ and, if they do, who is followed."""
        roots, says = self.ballots.roots, self.found.says[concept]
        judges, others = voting & roots, voting & ~roots
        if not bool(self.differs[concept]) or len(says[voting].unique()) == 1:
            return Decision.AGGREGATE, voting
        symbol = self._settled(says[others].tolist())
        if bool(judges.any()):
            word = Counter(says[judges].tolist()).most_common(1)[0][0]
            alone = not bool((says[others] == word).any())
            symbol = None if alone and symbol is not None else word
        if symbol is None:
            return Decision.ABSTAIN, torch.zeros_like(voting)
        return Decision.ARBITRATE, voting & (says == symbol)

    def _settled(self, says: Sequence[int]) -> int | None:
        """What so many say that one of them must be honest, if that holds of one camp alone.

        Several camps of honest ones contradict each other; one voter is no camp.
        """
        camps = Counter(says)
        strong = [symbol for symbol, count in camps.items() if count > self.electorate.spared]
        return strong[0] if len(strong) == 1 and camps[strong[0]] > 1 else None


def _shares(
    court: _Court,
    decisions: Sequence[Decision],
    followed: Bool[Tensor, "K n"],
    trust: Float[Tensor, "n"] | None,
) -> Float[Tensor, "K n"]:
    """Of each voter in each concept; voters are weighed together with those they share it with."""
    shares = torch.zeros(followed.shape, dtype=torch.float64)
    even = torch.tensor([its in _EVEN for its in decisions])
    shares[even] = followed[even].double()
    ruled = torch.tensor([its in LEARNT and its not in _EVEN for its in decisions])
    sets, groups = followed.unique(dim=0, return_inverse=True)
    for number, whom in enumerate(sets):
        concepts = ((groups == number) & ruled).nonzero()[:, 0]
        for some in court.ballots.blocks(concepts):
            voters = whom.nonzero()[:, 0]
            shares[some[:, None], voters] = _ruled(court, some, voters, trust)
    return shares / shares.sum(dim=1, keepdim=True).clamp_min(TINY)


def _ruled(
    court: _Court,
    concepts: Int[Tensor, "Q"],
    voters: Int[Tensor, "m"],
    trust: Float[Tensor, "n"] | None,
) -> Float[Tensor, "Q m"]:
    """Shares by the rule, of voters who all vote on all of some concepts.

    A rule that weighs each coordinate for itself gives the mean over coordinates as share: what is
    shared out is each teacher's phi(c_k), which lies in another basis.
    """
    rules, rule = court.rules, strategy(court.rules.strategy)
    every = court.ballots.points(concepts)
    judges = (court.ballots.voting[concepts] & court.ballots.roots).all(dim=0)
    most = min(court.electorate.spared, (len(voters) - 1) // 2)
    hostile = _borne(rule, most, len(voters))
    points, mixings = every[:, voters], []
    for name in _before(rules, by_record=rule.by_record and trust is not None):
        mixing = PREMIXES[name](points, hostile)
        points = applied(mixing, points)
        mixings.append(mixing)
    one_each = points.shape[1] == len(voters)
    ballot = Ballot(
        points=points,
        hostile=_borne(rule, hostile, points.shape[1]),  # buckets are fewer than voters
        root=every[:, judges].mean(dim=1) if bool(judges.any()) else None,
        says=court.found.says[concepts][:, voters] if one_each else None,
        doubt=court.found.doubt[concepts][:, voters] if one_each else None,
        trust=trust[voters] if trust is not None and one_each else None,
    )
    weights = rule.weigh(ballot)
    for mixing in reversed(mixings):
        weights = traced(mixing, weights)
    return weights.double().mean(dim=2)


def _before(rules: CombineRules, *, by_record: bool) -> tuple[str, ...]:
    """What is done to points before the rule; what voters are weighed by would be mixed too."""
    return tuple(name for name in rules.before if not (by_record and name in MIXERS))


def _borne(rule: Strategy, most: int, points: int) -> int:
    """How many hostile ones the rule bears among so many points, `most` at most."""
    return next((f for f in range(most, 0, -1) if rule.fewest(f) <= points), 0)
