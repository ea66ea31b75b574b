"""Ways to align: the textbook's estimators, and what they find of anchors they were not told of."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from torch import Tensor

from m2kt.spaces import FOLDS, PENALTIES, SPACES, Anchors, dealt, left_out, procrustes, ridge
from tests.votes import normal

WIDTHS = [(7, 24, 16), (7, 8, 32), (7, 16, 16), (12, 6, 16), (12, 20, 5), (30, 10, 40)]
"""S symbols, D of the teacher, H of the student: D > H, D < H, D < S, H < S."""


def turned(seed: int, rank: int, width: int) -> Tensor:
    """Orthonormal rows."""
    return torch.linalg.qr(normal(seed, width, rank)).Q.T


def images(symbols: int, width: int, own: int, seed: int) -> tuple[Tensor, Callable[[int], Tensor]]:
    """Directions, and draws of six noisy images of each in a teacher's space.

    The image is a turn, three times as large, moved elsewhere: noise is a sixtieth of it.
    """
    rank = min(symbols - 1, width, own)
    latent = F.normalize(normal(seed, symbols, rank), dim=1)
    image = 3 * latent.repeat(6, 1) @ turned(seed + 1, rank, width) + normal(seed + 2, width)

    def draw(number: int) -> Tensor:
        return (image + 0.05 * normal(seed + 3 + number, len(image), width)).float()

    return (latent @ turned(seed + 50, rank, own)).float(), draw


def told_of(symbols: int) -> Tensor:
    return torch.arange(symbols).repeat(6)


def nearest(found: Tensor, directions: Tensor) -> Tensor:
    return (F.normalize(found, dim=1) @ directions.T).argmax(dim=1)


@pytest.mark.parametrize("name", ["anchor_ridge", "procrustes"])
@pytest.mark.parametrize(("symbols", "width", "own"), WIDTHS)
@pytest.mark.parametrize("seed", range(3))
def test_a_map_finds_directions_behind_their_turned_images(name, symbols, width, own, seed):
    directions, draw = images(symbols, width, own, seed)
    told = told_of(symbols)
    found = SPACES[name](Anchors(draw(0), told, directions))(draw(1))
    assert found.shape == (len(told), own)
    assert float(F.cosine_similarity(found, directions[told]).min()) > 0.99
    assert torch.equal(nearest(found, directions), told)


@pytest.mark.parametrize(("symbols", "width", "own"), WIDTHS)
@pytest.mark.parametrize("seed", range(3))
def test_relative_places_lie_towards_the_right_direction(symbols, width, own, seed):
    """They are no exact inverse: a symbol's direction comes with those of symbols near to it."""
    directions, draw = images(symbols, width, own, seed)
    told = told_of(symbols)
    found = SPACES["relative"](Anchors(draw(0), told, directions))(draw(1))
    assert found.shape == (len(told), own)
    assert float(F.cosine_similarity(found, directions[told]).min()) > 0.5
    assert float((nearest(found, directions) == told).double().mean()) > 0.6


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize(("width", "own"), [(24, 16), (8, 32), (16, 16)])
def test_every_way_finds_symbols_that_are_all_alike_far_apart(name, width, own):
    """As the student's own are, about their mean."""
    square = torch.eye(7, dtype=torch.float64) - 1 / 7
    image = 3 * square @ turned(1, 7, width) + normal(2, width)
    directions = F.normalize(square @ turned(3, 7, own), dim=1).float()
    told = told_of(7)
    rows = [(image[told] + 0.3 * normal(n, len(told), width)).float() for n in (4, 5)]
    found = SPACES[name](Anchors(rows[0], told, directions))(rows[1])
    assert torch.equal(nearest(found, directions), told)


def test_ridge_finds_directions_behind_any_linear_image_that_loses_nothing():
    directions = F.normalize(normal(0, 9, 5), dim=1)
    stretched = directions @ (normal(1, 5, 12) * torch.tensor([[0.3], [1.0], [3.0], [1.0], [1.0]]))
    told = told_of(9)
    rows = [(stretched[told] + 7 + 0.02 * normal(n, 54, 12)).float() for n in (2, 3)]
    anchors = Anchors(rows[0], told, directions.float())
    found = SPACES["anchor_ridge"](anchors)(rows[1])
    assert float(F.cosine_similarity(found, anchors.to[told]).min()) > 0.97


@pytest.mark.parametrize(("width", "own"), [(5, 5), (4, 7), (7, 4)])
def test_procrustes_is_that_of_scipy(width, own):
    """Where widths differ, that of the narrower side with columns of zeros."""
    told, directions = torch.arange(60) % 12, normal(0, 12, own)
    rows, other = normal(1, 60, width), normal(2, 9, width)
    wanted = directions[told]
    pad = max(width, own)
    left, right = (np.zeros((60, pad)) for _ in range(2))
    left[:, :width], right[:, :own] = rows - rows.mean(dim=0), wanted - wanted.mean(dim=0)
    turn, strength = orthogonal_procrustes(left, right)
    scale = strength / (left**2).sum()
    about = np.zeros((9, pad))
    about[:, :width] = other - rows.mean(dim=0)
    expected = (scale * about @ turn)[:, :own] + wanted.mean(dim=0).numpy()
    found = procrustes(Anchors(rows, told, directions))(other)
    assert np.allclose(found.numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("name", ["procrustes", "anchor_ridge"])
def test_of_anchors_that_are_all_alike_a_map_leads_to_the_mean(name):
    anchors = Anchors(torch.ones(4, 3), torch.tensor([0, 1, 0, 1]), torch.eye(2))
    found = SPACES[name](anchors)(torch.tensor([[5.0, -2.0, 0.0]]))
    assert torch.allclose(found, torch.full((1, 2), 0.5), atol=1e-6)


def test_relative_is_the_mean_cosine_with_each_symbols_anchors():
    """Moschella et al. (2023) by loops; a symbol without anchors is not there."""
    rows, told, directions = (
        normal(0, 8, 5),
        torch.tensor([0, 0, 2, 3, 3, 3, 2, 0]),
        normal(1, 4, 6),
    )
    others = normal(2, 3, 5)
    centre = rows.mean(dim=0)

    def cosine(one: Tensor, other: Tensor) -> float:
        one, other = one - centre, other - centre
        return float(one @ other / (one.norm() * other.norm()))

    expected = []
    for row in others:
        amounts = [
            np.mean([cosine(row, rows[n]) for n in range(8) if told[n] == symbol])
            for symbol in (0, 2, 3)
        ]
        less = [its - np.mean(amounts) for its in amounts]
        expected.append(sum(a * directions[n] for a, n in zip(less, (0, 2, 3), strict=True)))
    found = SPACES["relative"](Anchors(rows, told, directions))(others)
    assert torch.allclose(found, torch.stack(expected), atol=1e-12)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(1, 20))
def test_anchors_of_each_symbol_are_dealt_evenly(told, parts):
    part = dealt(torch.tensor(told), parts)
    hands = torch.bincount(part, minlength=parts)
    assert len(hands) == parts
    assert int(hands.max() - hands.min()) <= 1
    for symbol in set(told):
        its = torch.bincount(part[torch.tensor(told) == symbol], minlength=parts)
        assert int(its.max() - its.min()) <= 1


def crowd(each: list[int], seed: int = 0) -> Anchors:
    """So many anchors of each symbol, in an order of chance."""
    told = torch.tensor([symbol for symbol, count in enumerate(each) for _ in range(count)])
    told = told[torch.randperm(len(told), generator=torch.Generator().manual_seed(seed))]
    return Anchors(normal(seed, len(told), 6), told, normal(seed + 1, len(each), 4))


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("each", [[3, 4, 2], [2, 1, 3, 1], [2, 2]])
def test_few_anchors_are_each_found_by_a_map_of_all_others(name, each):
    anchors = crowd(each)
    found, asked = left_out(SPACES[name], anchors)
    assert asked.tolist() == [n for n in range(sum(each)) if each[int(anchors.told[n])] > 1]
    for place, row in enumerate(asked.tolist()):
        others = torch.tensor([n for n in range(sum(each)) if n != row])
        alone = SPACES[name](anchors.only(others))(anchors.rows[row : row + 1])
        assert torch.allclose(found[place], alone[0], atol=1e-9)


@pytest.mark.parametrize("name", SPACES)
def test_an_anchor_that_is_anything_else_is_found_by_the_same_map(name):
    """Of 41 anchors, in 16 parts: those outside of its part alone."""
    anchors = crowd([9, 12, 11, 9])
    part = dealt(anchors.told, FOLDS)
    for row in (0, 7, 40):
        rows = anchors.rows.clone()
        rows[row] = 100 * normal(row, 6)
        found, _ = left_out(SPACES[name], Anchors(rows, anchors.told, anchors.to))
        others = (part != part[row]).nonzero()[:, 0]
        alone = SPACES[name](anchors.only(others))(rows[row : row + 1])
        assert torch.allclose(found[row], alone[0], atol=1e-9)


@pytest.mark.parametrize("each", [[2, 2, 2], [30, 2, 5], [40, 40, 1], [7]])
def test_no_map_knows_what_it_is_asked_about_and_every_one_knows_its_symbol(each):
    told_to: list[Tensor] = []

    def remembering(anchors: Anchors) -> Callable[[Tensor], Tensor]:
        told_to.append(anchors.told)

        def known(rows: Tensor) -> Tensor:
            same = (rows[:, None] == anchors.rows).all(dim=2).any(dim=1)
            return same[:, None].double().expand(-1, 4)

        return known

    found, asked = left_out(remembering, crowd(each))
    assert float(found.abs().max()) == 0
    assert len(told_to) == min(FOLDS, len(asked))
    assert all(set(told.tolist()) == set(range(len(each))) for told in told_to)


def test_where_every_symbol_has_one_anchor_nobody_can_be_asked():
    found, asked = left_out(SPACES["anchor_ridge"], crowd([1, 1, 1]))
    assert found.shape == (0, 4)
    assert asked.shape == (0,)


def solved(given: Tensor, wanted: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """By the normal equations of centred data."""
    left, right = given - given.mean(dim=0), wanted - wanted.mean(dim=0)
    squares = left.T @ left + penalty * torch.eye(left.shape[1])
    weight = torch.linalg.solve(squares, left.T @ right).T
    return weight, wanted.mean(dim=0) - weight @ given.mean(dim=0)


def test_it_is_the_ridge_regression_that_does_best_with_one_row_left_out():
    generator = torch.Generator().manual_seed(0)
    given = torch.randn(24, 10, generator=generator)
    wanted = given @ torch.randn(10, 3, generator=generator)
    wanted = wanted + 2 * torch.randn(24, 3, generator=generator)

    def error(penalty: float) -> float:
        total = 0.0
        for row in range(len(given)):
            rest = [n for n in range(len(given)) if n != row]
            weight, bias = solved(given[rest], wanted[rest], penalty)
            total += float((given[row] @ weight.T + bias - wanted[row]).square().sum())
        return total

    penalty = min(PENALTIES, key=error)
    assert min(PENALTIES) < penalty < max(PENALTIES)
    for found, best in zip(ridge(given, wanted), solved(given, wanted, penalty), strict=True):
        assert torch.allclose(found, best, atol=1e-4)
