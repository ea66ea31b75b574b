"""One packet's concepts in the student's space.

Owns: `View`, `Reading`, `read`. Does not own: how spaces are aligned (spaces), how packets are
held against one another (ballots).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int
from torch import Tensor

from m2kt.domain import Grammar
from m2kt.packet import KnowledgePacket
from m2kt.spaces import MOST_ANCHORS, Align, Aligned, Anchors, Directions, dealt, left_out

ALPHA: Final = 0.05
"""Level of the test whether a packet's concepts fit what traces tell."""
MOST_NOISE: Final = 1024
"""Concepts that are read twice, to see how far a teacher is from itself."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class View:
    """How a student looks at concepts.

    Attributes:
        grammar: The public half of the domain.
        directions: Where it says each of the grammar's symbols, of length one.
    """

    grammar: Grammar
    directions: Directions


@final
@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A packet as the student reads it.

    Attributes:
        content: The packet.
        aligned: Into the student's space; None if its concepts do not fit what traces tell.
        fit: Share of the anchors that a map not told of them finds; 0 if none can be asked.
        noise: 1 - cos between two readings of a concept by halves.
    """

    content: KnowledgePacket
    aligned: Aligned | None
    fit: float
    noise: Float[Tensor, "M"]

    def points(self, rows: Int[Tensor, "N"]) -> Float[Tensor, "N H"]:
        """Of some of its concepts."""
        assert self.aligned is not None  # noqa: S101  # asked of packets that vote alone
        return self.aligned(scaled(self.content.means[rows]))


def scaled(means: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
    """c_k at a root mean square of 1, as phi sees it."""
    return F.rms_norm(means.float(), means.shape[1:])


def read(content: KnowledgePacket, told: Mapping[str, str], view: View, align: Align) -> Reading:
    """Aligns a packet by what traces tell, its own or others'.

    Args:
        content: The packet; its concepts are facts.
        told: Symbols of facts.
        view: How the student looks at them.
        align: The way to align.
    """
    numbers = {symbol: number for number, symbol in enumerate(view.grammar.symbols)}
    known = [(row, numbers[told[fact]]) for fact, row in content.facts.items() if fact in told]
    if not known:
        return Reading(content, None, 0.0, torch.zeros(0))
    thinned = known[:: math.ceil(len(known) / MOST_ANCHORS)]
    rows, symbols = (torch.tensor(its) for its in zip(*thinned, strict=True))
    anchors = Anchors(scaled(content.means[rows]), symbols, view.directions)
    fit, fits = _fit(align, anchors)
    if not fits:
        return Reading(content, None, fit, torch.zeros(0))
    shown = {row for row, _ in known}
    hidden = [row for row in range(len(content.concepts)) if row not in shown][:MOST_NOISE]
    noise = _noise(content, anchors, rows, torch.tensor(hidden, dtype=torch.long), align)
    return Reading(content, align(anchors), fit, noise)


def _fit(align: Align, anchors: Anchors) -> tuple[float, bool]:
    """Share of anchors that a map not told of them finds, and whether that is no accident."""
    found, asked = left_out(align, anchors)
    if not len(asked):
        return 0.0, False
    truth = anchors.told[asked]
    nearest = (F.normalize(found, dim=1) @ anchors.to.T).argmax(dim=1)
    right, count = int((nearest == truth).sum()), len(asked)
    chance = float(torch.bincount(truth).max()) / count
    return right / count, _at_least(right, count, chance) < ALPHA


def _at_least(right: int, count: int, chance: float) -> float:
    """Chance of `right` or more of `count` at `chance` each."""
    terms = (
        math.comb(count, its) * chance**its * (1 - chance) ** (count - its)
        for its in range(right, count + 1)
    )
    return sum(terms)


def _noise(
    content: KnowledgePacket,
    anchors: Anchors,
    at: Int[Tensor, "A"],
    hidden: Int[Tensor, "N"],
    align: Align,
) -> Float[Tensor, "M"]:
    """How far the packet is from itself where no trace tells, read by halves.

    Of exemplars the even and the odd ones, of each symbol's anchors every other one; the only
    anchor of a symbol is in both halves.
    """
    if content.exemplars.shape[1] < 2 or not len(hidden):
        return torch.zeros(0)
    part = dealt(anchors.told, 2)
    alone = torch.bincount(anchors.told)[anchors.told] == 1

    def by(half: int) -> Float[Tensor, "M H"]:
        kept = ((part == half) | alone).nonzero()[:, 0]
        mine = scaled(content.exemplars[at[kept], half::2].float().mean(dim=1))
        aligned = align(Anchors(mine, anchors.told[kept], anchors.to))
        return aligned(scaled(content.exemplars[hidden, half::2].float().mean(dim=1)))

    return 1 - F.cosine_similarity(by(0), by(1), dim=1)
