"""k-means on directions: which states are alike.

States are centred and scaled to length 1, so that what counts is where they point from their
mean; centres are drawn far from one another (Arthur and Vassilvitskii, 2007, k-means++), and
of several draws the tightest stays (Lloyd, 1982; on the sphere Dhillon and Modha, 2001).

Owns: `Clusters`, `cluster`, `agreement`. Does not own: what is clustered (extractors).
"""

from dataclasses import dataclass
from typing import Final, final

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int
from torch import Tensor

DRAWS: Final = 4
"""Draws of the first centres."""
TRIALS: Final = 6
"""Candidates for each of the first centres."""
ROUNDS: Final = 50
"""Rounds of moving centres, at most."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """K directions.

    Attributes:
        middle: What is taken off a state first, Float [D].
        centres: Of length 1, Float [K, D].
    """

    middle: Float[Tensor, "D"]
    centres: Float[Tensor, "K D"]

    def cosines(self, states: Float[Tensor, "N D"]) -> Float[Tensor, "N K"]:
        """How near each state is to each centre."""
        return F.normalize(states.float() - self.middle, dim=-1) @ self.centres.T

    def nearest(self, states: Float[Tensor, "N D"]) -> Int[Tensor, "N"]:
        """The cluster of each state."""
        return self.cosines(states).argmax(dim=-1)


def cluster(states: Float[Tensor, "N D"], *, count: int, generator: torch.Generator) -> Clusters:
    """Finds `count` clusters, or as many as there are states if these are fewer."""
    states = states.float()
    middle = states.mean(dim=0)
    unit = F.normalize(states - middle, dim=-1)
    count = min(count, len(unit))
    drawn = [_settled(unit, _first(unit, count, generator)) for _ in range(DRAWS)]
    tightness = [float((unit @ its.T).max(dim=-1).values.sum()) for its in drawn]
    return Clusters(middle, drawn[tightness.index(max(tightness))])


def _first(
    unit: Float[Tensor, "N D"], count: int, generator: torch.Generator
) -> Float[Tensor, "K D"]:
    """Centres drawn one by one with chances in proportion to distance, of several the best."""
    start = int(torch.randint(len(unit), (1,), generator=generator))
    chosen, gaps = [start], (1 - unit @ unit[start]).clamp_min(0)
    for _ in range(count - 1):
        chances = gaps if float(gaps.sum()) > 0 else torch.ones_like(gaps)
        drawn = torch.multinomial(chances, TRIALS, replacement=True, generator=generator)
        left = torch.minimum(gaps, (1 - unit[drawn] @ unit.T).clamp_min(0))
        best = int(left.sum(dim=-1).argmin())
        chosen.append(int(drawn[best]))
        gaps = left[best]
    return unit[chosen]


def _settled(unit: Float[Tensor, "N D"], centres: Float[Tensor, "K D"]) -> Float[Tensor, "K D"]:
    """Centres moved to the middle of their members until none moves; one without members stays."""
    members = (unit @ centres.T).argmax(dim=-1)
    for _ in range(ROUNDS):
        sums = torch.zeros_like(centres).index_add_(0, members, unit)
        empty = torch.bincount(members, minlength=len(centres)) == 0
        centres = F.normalize(torch.where(empty[:, None], centres, sums), dim=-1)
        moved = (unit @ centres.T).argmax(dim=-1)
        if bool((moved == members).all()):
            break
        members = moved
    return centres


def agreement(clusters: Int[Tensor, "N"], said: Int[Tensor, "N"], asked: Int[Tensor, "N"]) -> float:
    """How often a cluster tells what is said: learnt on some places, asked at the others.

    Args:
        clusters: Cluster of each place.
        said: What is said there, as a number.
        asked: 1 where it is asked, 0 where it is learnt. Nothing is told where nobody is asked.
    """
    if not bool(asked.any()):
        return 0.0
    table = torch.zeros(int(clusters.max()) + 1, int(said.max()) + 1)
    learnt = asked == 0
    table.index_put_(
        (clusters[learnt], said[learnt]), torch.ones(int(learnt.sum())), accumulate=True
    )
    guess = table.argmax(dim=-1)[clusters]
    return float((guess == said)[~learnt].float().mean())
