"""Robust rules: what several voters say of a concept, made one.

Every rule gives coefficients w, and its result is sum over n of w_n x_n, coordinate by coordinate
where W is H. So any rule also answers who gave how much. All concepts of a ballot have the same n
voters, of which at most f are hostile.

Names and breakdown points as in Blanchard et al. (2017), El Mhamdi et al. (2018), Yin et al.
(2018) and Pillutla et al. (2022); neighbourhoods of n - f, a point itself included, as in Allouah
et al. (2023), whose analysis of Krum asks for n > 2f alone.

Owns: `Ballot`, the rules that look at nothing but points. Does not own: rules that look at more
(strategies), what is done to points before (premix), what a concept's voters are (ballots).
"""

from dataclasses import dataclass
from typing import Final, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from m2kt.errors import PacketError

Points = Float[Tensor, "K n H"]
Weights = Float[Tensor, "K n W"]
"""Coefficients; W is 1, or H where each coordinate has its own."""
Gram = Float[Tensor, "K n n"]

MOST_STEPS: Final = 1000
"""Of Weiszfeld's iteration."""
SETTLED: Final = 1e-9
"""Relative change of a concept's coefficients below which it ends."""
NEAREST: Final = 1e-7
"""A distance counts as this share of the median one to the coordinate-wise median at least."""
TINY: Final = 1e-30


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Ballot:
    """What the same n voters say of each of K concepts, in the student's space.

    Attributes:
        points: Where each puts each concept.
        hostile: f, how many of the voters may be.
        root: Where a root of trust puts each concept; None if there is none.
        says: The state symbol that each point is nearest to, by number; None if nobody looked.
        doubt: How unsure each is of it, in nats; None if nobody looked.
        trust: Of each voter, from its record; None for all alike.
    """

    points: Points
    hostile: int = 0
    root: Float[Tensor, "K H"] | None = None
    says: Int[Tensor, "K n"] | None = None
    doubt: Float[Tensor, "K n"] | None = None
    trust: Float[Tensor, "n"] | None = None

    def __post_init__(self) -> None:
        bad = int((~torch.isfinite(self.points)).sum())
        if bad:
            raise PacketError(
                f"expected finite points, found {bad} entries that are NaN or infinite; screen"
                " packets before they are combined"
            )

    @property
    def voters(self) -> int:
        """N."""
        return int(self.points.shape[1])


def mixed(points: Points, weights: Weights) -> Float[Tensor, "K H"]:
    """Sum over n of w_n x_n."""
    total: Tensor = (points * weights).sum(dim=1)
    return total


def gram(points: Points) -> Gram:
    """Inner products of the points of each concept about their coordinate-wise median.

    About the mean a single far point would take the digits of the distances between all others.
    """
    about = points.double() - points.double().median(dim=1, keepdim=True).values
    return about @ about.mT


def square_distances(products: Gram) -> Gram:
    """|x_i - x_j|^2 from inner products."""
    norms = products.diagonal(dim1=1, dim2=2)
    found = norms[:, :, None] + norms[:, None, :] - 2 * products
    return found.clamp_min(0) * (1 - torch.eye(found.shape[1], dtype=found.dtype))


def mean(ballot: Ballot) -> Weights:
    """All alike: no protection."""
    return ballot.points.new_full((*ballot.points.shape[:2], 1), 1 / ballot.voters)


def trimmed_mean(ballot: Ballot) -> Weights:
    """In each coordinate without the f least and the f greatest."""
    return _ranked(ballot.points, ballot.hostile, ballot.voters - ballot.hostile)


def coordinate_median(ballot: Ballot) -> Weights:
    """In each coordinate the middle one, or the two in the middle."""
    return _median(ballot.points)


def _median(points: Points) -> Weights:
    n = points.shape[1]
    return _ranked(points, (n - 1) // 2, n // 2 + 1)


def _ranked(points: Points, first: int, last: int) -> Weights:
    ranks = points.argsort(dim=1, stable=True).argsort(dim=1)
    kept = (ranks >= first) & (ranks < last)
    return kept.to(points.dtype) / (last - first)


def geometric_median(ballot: Ballot) -> Weights:
    """The point with the least sum of distances, by Weiszfeld's iteration."""
    products = gram(ballot.points)
    norms = products.diagonal(dim1=1, dim2=2)
    n = ballot.voters
    weights = products.new_full((len(products), n), 1 / n)
    nearest = (NEAREST * norms.median(dim=1, keepdim=True).values.sqrt()).clamp_min(TINY)
    settled = torch.zeros(len(products), 1, dtype=torch.bool)
    for _ in range(MOST_STEPS):
        to_it = (products @ weights[:, :, None])[..., 0]
        own = (weights * to_it).sum(dim=1, keepdim=True)
        distances = (norms - 2 * to_it + own).clamp_min(0).sqrt()
        closeness = 1 / torch.maximum(distances, nearest)
        found = closeness / closeness.sum(dim=1, keepdim=True)
        before, weights = weights, torch.where(settled, weights, found)
        settled = ((weights - before).abs() <= SETTLED * before).all(dim=1, keepdim=True)
        if bool(settled.all()):
            break
    return weights[:, :, None].to(ballot.points.dtype)


def krum(ballot: Ballot) -> Weights:
    """The one point that is nearest to its n - f nearest."""
    return _chosen(ballot.points, _preferred(ballot)[:, :1])


def multi_krum(ballot: Ballot) -> Weights:
    """The mean of the n - f points that Krum prefers."""
    return _chosen(ballot.points, _preferred(ballot)[:, : ballot.voters - ballot.hostile])


def _preferred(ballot: Ballot) -> Int[Tensor, "K n"]:
    """The voters, those that Krum likes best first."""
    distances = square_distances(gram(ballot.points))
    return _strangeness(distances, ballot.voters - ballot.hostile).argsort(dim=1, stable=True)


def _strangeness(distances: Gram, near: int) -> Float[Tensor, "K n"]:
    """Sum of squared distances to the `near` nearest, the point itself included."""
    ordered: Tensor = distances.sort(dim=2).values
    return ordered[:, :, : max(near, 2)].sum(dim=2)


def _chosen(points: Points, which: Int[Tensor, "K m"]) -> Weights:
    weights = points.new_zeros(points.shape[:2])
    return weights.scatter(1, which, 1 / which.shape[1])[:, :, None]


def bulyan(ballot: Ballot) -> Weights:
    """N - 2f points by repeated Krum; of these in each coordinate the n - 4f next to the median."""
    points, n, f = ballot.points, ballot.voters, ballot.hostile
    distances = square_distances(gram(points))
    chosen = torch.zeros(points.shape[:2], dtype=torch.bool)
    for left in range(n, 2 * f, -1):
        gone = chosen[:, :, None] | chosen[:, None, :]
        strange = _strangeness(distances.masked_fill(gone, torch.inf), left - f)
        best = strange.masked_fill(chosen, torch.inf).argmin(dim=1)
        chosen.scatter_(1, best[:, None], value=True)
    rows = chosen.int().argsort(dim=1, descending=True, stable=True)[:, : n - 2 * f]
    among = points.gather(1, rows[:, :, None].expand(-1, -1, points.shape[2]))
    middle = mixed(among, _median(among))
    kept = _ranked((among - middle[:, None]).abs(), 0, n - 4 * f)
    weights = torch.zeros_like(points)
    return weights.scatter(1, rows[:, :, None].expand_as(kept), kept)
