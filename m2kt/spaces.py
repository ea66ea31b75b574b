"""One space for several teachers' concepts: the student's own.

What traces tell of some concepts are the anchors: such a c_k should lie where the student says
that symbol. The map from these is then applied to all of a teacher's concepts, those in no trace
included.

Owns: the ways to align, by name; ridge regression; how far a map that was not told of an anchor
finds it. Does not own: what the student's directions are (language_model), what is done in the
common space (ballots).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int
from torch import Tensor

Rows = Float[Tensor, "N D"]
Directions = Float[Tensor, "S H"]
Aligned = Callable[[Rows], Float[Tensor, "N H"]]

PENALTIES: Final = tuple(10.0**n for n in range(-3, 5))
"""Of the ridge regression."""
MOST_ANCHORS: Final = 2048
"""Of one teacher; more are thinned out evenly."""
FOLDS: Final = 16
"""Parts of the anchors, each of which is left out of a map once; fewer than so many one by one."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Anchors:
    """Concepts of one teacher whose symbol is known.

    Attributes:
        rows: c_k, scaled to one root mean square.
        told: The number of each one's symbol.
        to: Where the student says each symbol.
    """

    rows: Rows
    told: Int[Tensor, "N"]
    to: Directions

    def only(self, chosen: Int[Tensor, "A"]) -> "Anchors":
        """Some of them."""
        return Anchors(self.rows[chosen], self.told[chosen], self.to)


Align = Callable[[Anchors], Aligned]


def anchor_ridge(anchors: Anchors) -> Aligned:
    """Ridge regression from anchors to directions (Hoerl and Kennard, 1970)."""
    weight, bias = ridge(anchors.rows, anchors.to[anchors.told])
    return lambda rows: rows @ weight.T + bias


def procrustes(anchors: Anchors) -> Aligned:
    """The orthogonal map, with one scale, that leads anchors nearest to directions.

    Where the widths differ its rows or columns are orthonormal. Schoenemann, 1966.
    """
    wanted = anchors.to[anchors.told]
    middle, centre = anchors.rows.mean(dim=0), wanted.mean(dim=0)
    about = anchors.rows - middle
    left, strengths, right = torch.linalg.svd((wanted - centre).T @ about, full_matrices=False)
    kept = strengths > strengths.max().clamp_min(1e-30) * 1e-6
    turn = left[:, kept] @ right[kept]
    scale = strengths[kept].sum() / about.square().sum().clamp_min(1e-30)
    return lambda rows: scale * (rows - middle) @ turn.T + centre


def relative(anchors: Anchors) -> Aligned:
    """Cosines with the anchors of each symbol, less their mean, as amounts of its direction.

    After relative representations (Moschella et al., 2023); anchors are taken together by symbol,
    since teachers share symbols and need not share concepts.
    """
    middle = anchors.rows.mean(dim=0)
    unit = F.normalize(anchors.rows - middle, dim=-1)
    present, groups = anchors.told.unique(return_inverse=True)
    shares = F.normalize(F.one_hot(groups).to(unit.dtype), p=1, dim=0)

    def aligned(rows: Rows) -> Float[Tensor, "N H"]:
        amounts = F.normalize(rows - middle, dim=-1) @ unit.T @ shares
        return (amounts - amounts.mean(dim=-1, keepdim=True)) @ anchors.to[present]

    return aligned


SPACES: Final[Mapping[str, Align]] = MappingProxyType(
    {"anchor_ridge": anchor_ridge, "procrustes": procrustes, "relative": relative}
)
"""Every way by its name."""


def ridge(
    given: Float[Tensor, "N D"], wanted: Float[Tensor, "N H"]
) -> tuple[Float[Tensor, "H D"], Float[Tensor, "H"]]:
    """Weights and bias of the ridge regression that does best where one row is left out.

    Leaving one out in closed form: Allen, 1974.
    """
    middle, centre = given.mean(dim=0), wanted.mean(dim=0)
    left, strengths, right = torch.linalg.svd(given - middle, full_matrices=False)
    turned = left.T @ (wanted - centre)

    def error(penalty: float) -> float:
        kept = strengths.square() / (strengths.square() + penalty)
        leverage = (left.square() @ kept + 1 / len(given)).clamp_max(1 - 1e-6)
        missed = (wanted - centre) - left @ (kept[:, None] * turned)
        return float((missed / (1 - leverage)[:, None]).square().sum())

    penalty = min(PENALTIES, key=error)
    weight = ((strengths / (strengths.square() + penalty))[:, None] * turned).T @ right
    return weight, centre - weight @ middle


def dealt(told: Int[Tensor, "N"], parts: int) -> Int[Tensor, "N"]:
    """Deals anchors into parts, those of each symbol as evenly as can be."""
    order = told.argsort(stable=True)
    part = torch.empty_like(told)
    part[order] = torch.arange(len(told)) % parts
    return part


def left_out(align: Align, anchors: Anchors) -> tuple[Float[Tensor, "A H"], Int[Tensor, "A"]]:
    """Where a map that was not told of an anchor leads it, and which anchors can be asked about.

    An anchor whose symbol no other one has cannot be found without it, and is not asked about.
    """
    asked = (torch.bincount(anchors.told)[anchors.told] > 1).nonzero()[:, 0]
    among = anchors.only(asked)
    found = anchors.to.new_zeros(len(asked), anchors.to.shape[1])
    part = dealt(among.told, min(FOLDS, len(asked)))
    whole = torch.full_like(anchors.told, -1)
    whole[asked] = part
    for number in part.unique().tolist():
        kept = (whole != number).nonzero()[:, 0]
        found[part == number] = align(anchors.only(kept))(among.rows[part == number])
    return found, asked
