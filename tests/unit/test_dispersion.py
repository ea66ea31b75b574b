"""Whether voters differ: by hand, under the null, and corrected as others correct."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control
from torch import Tensor

from m2kt.dispersion import DRAWS, angles, corrected, dispersion, p_values
from tests.votes import normal

POINTS = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]], [[1.0, 1.0], [2.0, 2.0], [5.0, 5.0]]])
ALL = torch.ones(2, 3, dtype=torch.bool)


def test_angles_are_one_less_the_cosine():
    wanted = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 0.0]])
    assert torch.allclose(angles(POINTS), torch.stack([wanted, torch.zeros(3, 3)]), atol=1e-6)


def test_dispersion_is_the_mean_over_pairs_of_voters():
    assert dispersion(POINTS, ALL).tolist() == pytest.approx([4 / 3, 0], abs=1e-6)
    some = torch.tensor([[True, True, False], [True, False, True]])
    assert dispersion(POINTS, some).tolist() == pytest.approx([1, 0], abs=1e-6)


def test_a_voter_alone_and_nobody_at_all_are_not_dispersed():
    few = torch.tensor([[False, False, True], [False, False, False]])
    assert dispersion(POINTS, few).tolist() == [0, 0]


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_how_long_points_are_is_no_matter(factor):
    assert torch.allclose(dispersion(POINTS * factor, ALL), dispersion(POINTS, ALL), atol=1e-6)


def test_a_p_value_counts_what_is_as_far_in_the_null():
    """One noise of 0.25 and one of 0.5 are 0.375 in the mean, in every draw."""
    noise = [torch.tensor([0.25]), torch.tensor([0.5])]
    found = torch.tensor([0.374, 0.375, 0.376])
    chances = p_values(found, torch.ones(3, 2, dtype=torch.bool), noise)
    assert chances.tolist() == pytest.approx([1, 1, 1 / (1 + DRAWS)])


def test_each_concept_is_held_against_the_noise_of_its_own_voters():
    noise = [torch.tensor([0.0]), torch.tensor([0.0]), torch.tensor([1.0])]
    voting = torch.tensor([[True, True, False], [True, True, True], [True, False, False]])
    chances = p_values(torch.full((3,), 0.2), voting, noise)
    assert chances.tolist() == pytest.approx([1 / (1 + DRAWS), 1, 1])


def test_a_voter_without_noise_of_its_own_is_never_far_from_itself():
    noise = [torch.zeros(0), torch.zeros(0)]
    chances = p_values(torch.tensor([1e-6]), torch.ones(1, 2, dtype=torch.bool), noise)
    assert chances.item() == pytest.approx(1 / (1 + DRAWS))


def test_draws_are_the_same_every_time():
    noise = [normal(0, 50).abs().float(), normal(1, 50).abs().float()]
    found, voting = torch.linspace(0, 2, 100), torch.ones(100, 2, dtype=torch.bool)
    assert torch.equal(p_values(found, voting, noise), p_values(found, voting, noise))


def honest(seed: int, sizes: list[float]) -> tuple[Tensor, list[Tensor]]:
    """Where voters put 1,000 concepts, and how far each is from itself on 400 others.

    Each has an error of its own size in every reading of half of its exemplars; what it sends is
    the mean of two such readings.
    """
    truth, hidden = normal(seed, 1000, 1, 32), normal(seed + 1, 400, 1, 32)
    points, noise = [], []
    for number, size in enumerate(sizes):
        halves = truth + size * normal(seed + 2 + number, 1000, 2, 32)
        points.append(halves.mean(dim=1))
        one, other = (hidden + size * normal(seed + 90 + number, 400, 2, 32)).unbind(dim=1)
        noise.append((1 - torch.cosine_similarity(one, other, dim=1)).float())
    return torch.stack(points, dim=1).float(), noise


@pytest.mark.parametrize("seed", [0, 1000, 2000])
@pytest.mark.parametrize("sizes", [[0.3, 0.3], [0.2, 0.5, 0.3], [0.4] * 6])
def test_honest_voters_are_suspected_no_more_often_than_the_level_says(seed, sizes):
    points, noise = honest(seed, sizes)
    voting = torch.ones(points.shape[:2], dtype=torch.bool)
    chances = p_values(dispersion(points, voting), voting, noise)
    for level in (0.001, 0.01, 0.05, 0.1, 0.25, 0.5):
        below = int((chances <= level).sum())
        assert below <= 1000 * level + 3 * (1000 * level * (1 - level)) ** 0.5, level
    assert int((corrected(chances) < 0.05).sum()) == 0


@pytest.mark.parametrize("sizes", [[0.3, 0.3], [0.2, 0.5, 0.3], [0.4] * 6])
def test_a_voter_that_points_elsewhere_is_found_out(sizes):
    points, noise = honest(0, sizes)
    points[::10, 0] = points[1::10, 0]  # what it says of another concept
    voting = torch.ones(points.shape[:2], dtype=torch.bool)
    suspected = corrected(p_values(dispersion(points, voting), voting, noise)) < 0.05
    assert float(suspected[::10].double().mean()) > 0.95
    others = suspected.clone()
    others[::10] = False
    assert int(others.sum()) <= 0.05 * int(suspected.sum())


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_p_values_are_corrected_as_scipy_corrects_them(chances):
    found = corrected(torch.tensor(chances, dtype=torch.float64))
    wanted = torch.from_numpy(false_discovery_control(chances, method="bh"))
    assert torch.allclose(found, wanted, rtol=1e-12, atol=0)


def test_of_no_p_value_none_is_corrected():
    assert corrected(torch.zeros(0, dtype=torch.float64)).shape == (0,)
