"""Who may vote: over all concepts together, whose word is worth hearing.

With a root of trust, a voter is heard if it agrees with the root about as well as the best does
(FLTrust's cosine that counts no opposite; Cao et al., 2021): a root may itself be often wrong.
Without one, voters are akin who agree with one another; if all but a few are akin, directly or
through others, those few are not heard, as long as they are no more than may be hostile. A voter
that shares no concept with the others is a specialist: nothing speaks against it.

Owns: `Survey`, `survey`, `Electorate`, `elect`. Does not own: what is decided about a concept
(settling).
"""

from dataclasses import dataclass, replace
from typing import Final, final

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float, Int
from torch import Tensor

from m2kt.ballots import Ballots
from m2kt.combine_config import CombineRules
from m2kt.consensus import KEPT_OUT, Fate

FEWEST: Final = 3
"""Concepts that two sides must share before one is kept out for what it says of them."""
AS_WELL: Final = 0.5
"""Of the best agreement with a root that others have; less is too little."""
QUARTER: Final = 4
"""One in so many of those that are heard may err where they differ: honest ones do."""
FLOOR: Final = 0.25
"""Mean cosine with a root below which nobody is heard."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """What every voter says of every concept that is put to the vote.

    Attributes:
        says: The symbol nearest to its point, by number; -1 where it does not vote.
        doubt: About that, in nats.
        agreed: For each two voters the sum over shared concepts of cosines, opposite ones as 0.
        shared: For each two voters how many concepts they share.
    """

    says: Int[Tensor, "K n"]
    doubt: Float[Tensor, "K n"]
    agreed: Float[Tensor, "n n"]
    shared: Float[Tensor, "n n"]

    @property
    def affinity(self) -> Float[Tensor, "n n"]:
        """Mean cosine of each two voters; 0 if they share nothing."""
        return self.agreed / self.shared.clamp_min(1)


def survey(ballots: Ballots, put: Int[Tensor, "Q"]) -> Survey:
    """One pass over the concepts that are put to the vote."""
    n = len(ballots.voters)
    says = torch.full((len(ballots.specs), n), -1, dtype=torch.long)
    doubt = torch.zeros(len(ballots.specs), n)
    agreed, shared = torch.zeros(n, n), torch.zeros(n, n)
    for some in ballots.blocks(put):
        points, voting = ballots.points(some), ballots.voting[some]
        its, doubts = ballots.says(points)
        says[some], doubt[some] = its.where(voting, torch.tensor(-1)), doubts
        unit = F.normalize(points, dim=2)
        pairs = (voting[:, :, None] & voting[:, None, :]).float()
        agreed += ((unit @ unit.mT).clamp_min(0) * pairs).sum(dim=0)
        shared += pairs.sum(dim=0)
    return Survey(says, doubt, agreed, shared)


@final
@dataclass(frozen=True, slots=True)
class Electorate:
    """Whose word counts.

    Attributes:
        fates: Of each voter: used, or why it is not heard.
        affinity: Of each voter, mean cosine with the root or, without one, with all others.
        hostile: f of the lesson.
        spared: How many of those that are heard may be wrong where they differ: the hostile ones
            that are left, or a quarter, for honest ones err too.
    """

    fates: tuple[Fate, ...]
    affinity: tuple[float, ...]
    hostile: int
    spared: int

    @property
    def heard(self) -> Bool[Tensor, "n"]:
        """Who is not kept out of the whole lesson."""
        return torch.tensor([fate not in KEPT_OUT for fate in self.fates])

    def without(self, implicated: frozenset[int]) -> "Electorate":
        """The same, with some more voters kept out; fewer of the others may then be wrong."""
        if not implicated:
            return self
        fates = tuple(
            Fate.IMPLICATED if voter in implicated else fate
            for voter, fate in enumerate(self.fates)
        )
        left = int(self.heard.sum()) - len(implicated)
        spared = max(self.spared - len(implicated), (left - 1) // QUARTER)
        return replace(self, fates=fates, spared=spared)


def elect(ballots: Ballots, found: Survey, rules: CombineRules) -> Electorate:
    """Whose word counts in a lesson."""
    hostile = rules.bound(int((~ballots.roots).sum()))
    fates = [Fate.USED if able else Fate.UNALIGNED for able in ballots.able.tolist()]
    if not rules.guarded:
        _, affinity = _with(found, torch.ones_like(ballots.roots))
        return Electorate(tuple(fates), tuple(affinity.tolist()), hostile, hostile)
    rooted = bool((ballots.roots & ballots.able).any())
    shared, affinity = _with(found, ballots.roots if rooted else torch.ones_like(ballots.roots))
    if rooted:
        out = _distrusted(affinity, (shared >= FEWEST) & ~ballots.roots)
    else:
        out = _estranged(found, rules.akin, hostile)
    for voter in out.nonzero()[:, 0].tolist():
        fates[voter] = Fate.DISTRUSTED if rooted else Fate.ESTRANGED
    left = int((~out & ~ballots.roots).sum())
    spared = max(hostile - int(out.sum()), (left - 1) // QUARTER)
    return Electorate(tuple(fates), tuple(affinity.tolist()), hostile, spared)


def _distrusted(affinity: Float[Tensor, "n"], known: Bool[Tensor, "n"]) -> Bool[Tensor, "n"]:
    """Of those who share enough with the root, who agrees far worse than the best of them."""
    if not bool(known.any()):
        return torch.zeros_like(known)
    least = max(FLOOR, AS_WELL * float(affinity[known].max()))
    return known & (affinity < least)


def _estranged(found: Survey, akin: float, hostile: int) -> Bool[Tensor, "n"]:
    """Voters that differ from the largest camp, if that leaves out no more than may be hostile.

    One may be in that camp by a concept or two that it shares with somebody there: whoever
    differs from the rest of the camp by and large leaves it too, the most distant one first.
    """
    camps = _camps((found.affinity >= akin) & (found.shared > 0))
    camp = camps == int(torch.bincount(camps).argmax())
    while True:
        shared, mean = _with(found, camp)
        strange = (shared >= FEWEST) & (mean < akin)
        inside = strange & camp
        if not bool(inside.any()):
            break
        camp = camp.clone()
        camp[int(torch.where(inside, mean, torch.inf).argmin())] = False
    out = strange & ~camp
    return out if int(out.sum()) <= hostile else torch.zeros_like(out)


def _with(found: Survey, camp: Bool[Tensor, "n"]) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
    """How many votes each voter shares with the others of a camp, and its mean cosine there."""
    others = camp[None, :] & ~torch.eye(len(camp), dtype=torch.bool)
    shared: Tensor = (found.shared * others).sum(dim=1)
    return shared, (found.agreed * others).sum(dim=1) / shared.clamp_min(1)


def _camps(edges: Bool[Tensor, "n n"]) -> Int[Tensor, "n"]:
    """The connected part of a graph that each node is in, by the number of its first node."""
    camp = torch.arange(len(edges))
    reach = edges | torch.eye(len(edges), dtype=torch.bool)
    for _ in range(len(edges)):
        met = torch.where(reach, camp[None, :], len(edges)).min(dim=1).values
        if torch.equal(met, camp):
            break
        camp = met
    return camp
