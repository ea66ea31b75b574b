"""Linear probes: what can be read from states by one matrix, and what cannot.

Multinomial logistic regression with an L2 penalty, on standardised states. Accuracy alone says
little, since a probe can learn by heart: beside it stands a control task, random labels for each
type (Hewitt and Liang, 2019, arXiv 1909.03368); selectivity is the difference.

Owns: `LinearProbe`, `Labelled`, `fit`, `fit_ridge`, `crossvalidated`, `control_labels`,
`lower_bound`.
Does not own: the states and what they are labelled with (whoever asks).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float, Int
from torch import Tensor

DECAY: Final = 1e-2
"""Penalty on the squared weights, beside a mean cross-entropy."""

ONE_SIDED_95: Final = 1.6449
"""Normal quantile of a one-sided bound of 95 %."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class LinearProbe:
    """A probe that has been fitted.

    Attributes:
        weight: Float [Y, D].
        bias: Float [Y].
        centre: What is taken off a state first, Float [D].
        scale: What it is then divided by, Float [D].
    """

    weight: Float[Tensor, "Y D"]
    bias: Float[Tensor, "Y"]
    centre: Float[Tensor, "D"]
    scale: Float[Tensor, "D"]

    def logits(self, states: Float[Tensor, "N D"]) -> Float[Tensor, "N Y"]:
        """Of each label."""
        return F.linear((states - self.centre) / self.scale, self.weight, self.bias)

    def says(self, states: Float[Tensor, "N D"]) -> Int[Tensor, "N"]:
        """The likeliest label of each state."""
        return self.logits(states).argmax(dim=-1)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """States with labels.

    Attributes:
        states: What is probed, Float [N, D].
        labels: From 0, Int [N].
        groups: What stays together: states of one group are held out at once, Int [N].
    """

    states: Float[Tensor, "N D"]
    labels: Int[Tensor, "N"]
    groups: Int[Tensor, "N"]


Fit = Callable[..., LinearProbe]
"""From states and labels to a probe."""


def fit(
    states: Float[Tensor, "N D"], labels: Int[Tensor, "N"], *, count: int, decay: float = DECAY
) -> LinearProbe:
    """Fits a probe with `count` labels; the optimum is unique, so nothing is drawn."""
    states = states.float()
    centre, scale = states.mean(dim=0), states.std(dim=0, correction=0).clamp_min(1e-6)
    probe = LinearProbe(
        torch.zeros(count, states.shape[1], requires_grad=True),
        torch.zeros(count, requires_grad=True),
        centre,
        scale,
    )
    optimizer = torch.optim.LBFGS(
        [probe.weight, probe.bias], max_iter=100, line_search_fn="strong_wolfe"
    )

    def evaluate() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(probe.logits(states), labels)
        loss = loss + decay * probe.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(evaluate)
    return LinearProbe(probe.weight.detach(), probe.bias.detach(), centre, scale)


def fit_ridge(
    states: Float[Tensor, "N D"], labels: Int[Tensor, "N"], *, count: int, decay: float = DECAY
) -> LinearProbe:
    """The same by least squares, in closed form: less sharp, and many times as fast."""
    states = states.float()
    centre, scale = states.mean(dim=0), states.std(dim=0, correction=0).clamp_min(1e-6)
    its = (states - centre) / scale
    wanted = F.one_hot(labels, count).float()
    bias = wanted.mean(dim=0)
    penalty = decay * len(its) * torch.eye(its.shape[1], device=its.device)
    weight = torch.linalg.solve(its.T @ its + penalty, its.T @ (wanted - bias))
    return LinearProbe(weight.T.contiguous(), bias, centre, scale)


def crossvalidated(
    its: Labelled,
    *,
    folds: int = 5,
    decay: float = DECAY,
    how: Fit = fit,
    generator: torch.Generator,
) -> Bool[Tensor, "N"]:
    """Whether each state's label is said by a probe that has seen no state of its group.

    Args:
        its: States, labels, groups.
        folds: Parts of the groups, at most.
        decay: See `fit`.
        how: `fit`, or `fit_ridge`.
        generator: Deals groups to folds.
    """
    names, members = its.groups.unique(return_inverse=True)
    folds = min(folds, len(names))
    turn = (torch.randperm(len(names), generator=generator) % folds)[members]
    right, count = torch.zeros(len(its.states), dtype=torch.bool), int(its.labels.max()) + 1
    for fold in range(folds):
        held = turn == fold
        probe = how(its.states[~held], its.labels[~held], count=count, decay=decay)
        right[held] = probe.says(its.states[held].float()) == its.labels[held]
    return right


def control_labels(
    types: Int[Tensor, "N"], *, count: int, generator: torch.Generator
) -> Int[Tensor, "N"]:
    """Random labels, the same for all states of a type: what can only be learnt by heart."""
    names, members = types.unique(return_inverse=True)
    return torch.randint(count, (len(names),), generator=generator)[members]


def lower_bound(right: int, of: int, *, quantile: float = ONE_SIDED_95) -> float:
    """One-sided lower bound of a share (Wilson, 1927)."""
    share, square = right / of, quantile**2
    centre = share + square / (2 * of)
    spread = quantile * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    return max(0.0, (centre - spread) / (1 + square / of))
