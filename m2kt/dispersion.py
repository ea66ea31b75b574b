"""Do teachers differ on a concept by more than one honest teacher differs from itself?

Angular dispersion of a concept is the mean of 1 - cos over pairs of its voters. Its honest null:
each voter's own distance between two readings of one concept, each from half of the exemplars
through a map that was fitted on half of the anchors. Halves are noisier than wholes, so the test
errs on the side of no conflict.

Owns: dispersion, the null, p-values and their correction. Does not own: what follows (settling).
"""

from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float
from torch import Tensor

from m2kt.robust import Points

DRAWS: Final = 9999
"""From the null."""


def angles(points: Points) -> Float[Tensor, "K n n"]:
    """1 - cos between every two points of a concept."""
    unit = F.normalize(points, dim=2)
    return (1 - unit @ unit.mT).clamp_min(0)


def dispersion(points: Points, voting: Bool[Tensor, "K n"]) -> Float[Tensor, "K"]:
    """Mean of 1 - cos over pairs of voters; 0 where fewer than two vote."""
    pairs = (voting[:, :, None] & voting[:, None, :]).to(points.dtype)
    pairs = pairs * (1 - torch.eye(pairs.shape[1], dtype=pairs.dtype))
    total = (angles(points) * pairs).sum(dim=(1, 2))
    found: Tensor = total / pairs.sum(dim=(1, 2)).clamp_min(1)
    return found


def p_values(
    found: Float[Tensor, "K"], voting: Bool[Tensor, "K n"], noise: Sequence[Float[Tensor, "_"]]
) -> Float[Tensor, "K"]:
    """Chance of a dispersion as large as `found` if its voters were honest.

    Args:
        found: Of each concept.
        voting: Who votes on it.
        noise: For each voter how far it is from itself, on concepts of its own; none: never.
    """
    generator = torch.Generator().manual_seed(len(noise))
    drawn = torch.zeros(DRAWS, len(noise), dtype=torch.float64)
    for voter, its in enumerate(noise):
        if len(its):
            at = torch.randint(len(its), (DRAWS,), generator=generator)
            drawn[:, voter] = its.double()[at]
    chances = torch.ones(len(found), dtype=torch.float64)
    sets, groups = voting.unique(dim=0, return_inverse=True)
    for number, its in enumerate(sets):
        if int(its.sum()) < 2:
            continue
        null = drawn[:, its].mean(dim=1).sort().values
        mine = groups == number
        larger = DRAWS - torch.searchsorted(null, found[mine].double())
        chances[mine] = (1 + larger).double() / (1 + DRAWS)
    return chances


def corrected(chances: Float[Tensor, "K"]) -> Float[Tensor, "K"]:
    """p-values corrected for their number, by Benjamini and Hochberg (1995)."""
    count = len(chances)
    order = chances.argsort(descending=True)
    ranks = torch.arange(count, 0, -1, dtype=chances.dtype)
    found = torch.empty_like(chances)
    found[order] = (chances[order] * count / ranks).cummin(dim=0).values.clamp_max(1)
    return found
