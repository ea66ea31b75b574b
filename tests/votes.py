"""Ballots for tests of rules: voters in general position, and hostile ones of every size."""

from dataclasses import replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from m2kt.robust import Ballot, mixed
from m2kt.strategies import STRATEGIES

SEEDS = st.integers(0, 2**31)


def normal(seed: int, *shape: int) -> Tensor:
    """Drawn once and for all: no two distances are alike, no three points in a row."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def ballot(points: Tensor, hostile: int = 0, seed: int = 0) -> Ballot:
    """Points, with all else that a rule may look at."""
    concepts, voters, width = points.shape
    generator = torch.Generator().manual_seed(seed)
    return Ballot(
        points=points,
        hostile=hostile,
        root=normal(seed, concepts, width).to(points.dtype),
        says=torch.randint(2, (concepts, voters), generator=generator),
        doubt=torch.rand(concepts, voters, generator=generator, dtype=points.dtype),
        trust=torch.rand(voters, generator=generator, dtype=points.dtype) + 0.1,
    )


def result(name: str, its: Ballot) -> Tensor:
    """Where a strategy puts the concepts."""
    return mixed(its.points, STRATEGIES[name].weigh(its))


def among(its: Ballot, order: Tensor) -> Ballot:
    """The same voters in another order, or some of them."""
    return replace(
        its,
        points=its.points[:, order],
        says=its.says[:, order],
        doubt=its.doubt[:, order],
        trust=its.trust[order],
    )


@st.composite
def ballots(draw: st.DrawFn, name: str, *, least: int = 1) -> Ballot:
    """Of as many voters as the strategy's guarantee needs, or some more."""
    hostile = draw(st.integers(0, 3))
    fewest = max(least, STRATEGIES[name].fewest(hostile))
    voters = draw(st.integers(fewest, fewest + 4))
    shape = draw(st.integers(1, 3)), voters, draw(st.integers(2, 9))
    return ballot(normal(draw(SEEDS), *shape), hostile, draw(SEEDS))


@st.composite
def attacked(draw: st.DrawFn, name: str) -> tuple[Ballot, Tensor]:
    """A ballot of one concept, and which of its voters are honest: all but f.

    The others are anywhere up to 1e6 away: each for itself or all at one place, about the honest
    ones or about 0, or one of them over again.
    """
    hostile = draw(st.integers(0, 3))
    fewest = STRATEGIES[name].fewest(hostile)
    voters, width = draw(st.integers(fewest, fewest + 4)), draw(st.integers(1, 6))
    honest = normal(draw(SEEDS), voters - hostile, width) * 10.0 ** draw(st.integers(-3, 1))
    honest = honest + normal(draw(SEEDS), 1, width) * draw(st.sampled_from([0, 1, 10]))
    away = normal(draw(SEEDS), 1 if draw(st.booleans()) else hostile, width)
    size = torch.tensor([[10.0 ** draw(st.floats(-4, 6))] for _ in range(hostile)])
    about = draw(st.sampled_from([torch.zeros_like(honest[0]), honest.mean(dim=0), honest[0]]))
    bad = about + size.reshape(hostile, 1).double() * torch.nn.functional.normalize(away, dim=1)
    order = torch.randperm(voters, generator=torch.Generator().manual_seed(draw(SEEDS)))
    points = torch.cat([honest, bad])[order][None]
    return ballot(points, hostile), order < voters - hostile
