"""What is done to the points of a concept before a robust rule.

Each function gives a matrix T for each concept, by which its points are replaced: x'_m = sum over
n of T_mn x_n. Coefficients w' on what comes out are coefficients T^T w' on what went in.

Owns: clipping of norms, nearest-neighbour mixing, bucketing, `PREMIXES`. Does not own: rules
(robust, strategies).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from m2kt.robust import TINY, Points, Weights, gram, square_distances

Mixing = Float[Tensor, "K m n"]
Premix = Callable[[Points, int], Mixing]
"""From points and f, how many of their voters may be hostile, to T."""


def applied(mixing: Mixing, points: Points) -> Float[Tensor, "K m H"]:
    """The points that come out."""
    return mixing.to(points.dtype) @ points


def traced(mixing: Mixing, weights: Float[Tensor, "K m W"]) -> Weights:
    """Coefficients on what went in, from those on what came out."""
    return mixing.mT.to(weights.dtype) @ weights


def norm_clip(points: Points, hostile: int) -> Mixing:
    """No point is longer than the median one of its concept.

    Of an even number the shorter of the two in the middle: a minority cannot lengthen it.
    """
    del hostile
    norms = points.double().norm(dim=2)
    limit = norms.sort(dim=1).values[:, (points.shape[1] - 1) // 2, None]
    return torch.diag_embed((limit / norms.clamp_min(TINY)).clamp_max(1))


def nnm(points: Points, hostile: int) -> Mixing:
    """Each point becomes the mean of the n - f nearest to it, itself included.

    Nearest-neighbour mixing: Allouah et al., 2023.
    """
    n = points.shape[1]
    near = square_distances(gram(points)).argsort(dim=2, stable=True)[:, :, : n - hostile]
    share = 1 / (n - hostile)
    return torch.zeros(len(points), n, n, dtype=torch.float64).scatter(2, near, share)


def bucketing(points: Points, hostile: int) -> Mixing:
    """Means of pairs, drawn once for all concepts; n odd leaves one alone.

    With no hostile voter, or fewer than three, each stays alone. Karimireddy et al., 2022.
    """
    n = points.shape[1]
    if not hostile or n < 3:
        return torch.eye(n, dtype=torch.float64).expand(len(points), n, n)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(n))
    pairs = order.split(2)
    mixing = torch.zeros(len(pairs), n, dtype=torch.float64)
    for row, pair in enumerate(pairs):
        mixing[row, pair] = 1 / len(pair)
    return mixing.expand(len(points), *mixing.shape)


PREMIXES: Final[Mapping[str, Premix]] = MappingProxyType(
    {"norm_clip": norm_clip, "nnm": nnm, "bucketing": bucketing}
)
"""Every one by its name."""
MIXERS: Final = frozenset({"nnm", "bucketing"})
"""Those after which a point is no single voter's any more."""
