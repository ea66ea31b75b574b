"""Robust rules: what f hostile voters cannot do, and the same numbers as another library."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from m2kt.errors import PacketError
from m2kt.premix import applied, nnm, norm_clip
from m2kt.robust import Ballot, gram, mixed, square_distances
from tests.reference import BYZFL, needs_byzfl
from tests.votes import SEEDS, attacked, ballot, normal, result

COORDINATEWISE = ["coordinate_median", "trimmed_mean"]


def excess(f: int, n: int) -> float:
    """f / (n - 2f), of which all bounds are made."""
    return f / (n - 2 * f)


KAPPA = {
    "coordinate_median": lambda f, n: 4 * (1 + excess(f, n)) ** 2,
    "trimmed_mean": lambda f, n: 6 * excess(f, n) * (1 + excess(f, n)),
    "geometric_median": lambda f, n: 4 * (1 + excess(f, n)) ** 2,
    "krum": lambda f, n: 6 * (1 + excess(f, n)),
    "multi_krum": lambda f, n: 2 + 6 * excess(f, n),
    "bulyan": lambda f, n: 2 * (n - f) * (1 + beyond(f, n)) ** 2,
}
"""(f, kappa)-robustness: for the n - f honest points x with mean m, a rule's result R has

    |R - m|^2 <= kappa / (n - f) * sum of |x - m|^2.

The first four are of Allouah et al. (2023), Table 1. Multi-Krum by their proof for Krum: of its
n - f points h <= f are hostile, and these are no stranger than the h honest ones that they are
taken for, so that their squared distances to m sum to at most 2 (n - f) / (n - 2f) times (h V + the
sum over those h of |x - m|^2) + 2 h V (n - f) / (n - 2f), V being the mean of |x - m|^2. Bulyan by
`beyond`: (b - a)^2 is at most twice the sum of (x - m)^2 in each coordinate.
"""


def beyond(f: int, n: int) -> float:
    """By how much of the honest ones' range [a, b] Bulyan can be outside of it.

    Of n - 2f chosen points at most f are hostile, so their median lies in [a, b]. At least n - 3f
    are honest and thereby within b - a of it, so the n - 4f next to it are too, the hostile ones
    among them, f at most; each of these is at most b - a outside.
    """
    return min(f, n - 4 * f) / (n - 4 * f)


def spread(points: Tensor) -> float:
    """V, the mean squared distance to the mean."""
    return float((points - points.mean(dim=0)).square().sum(dim=1).mean())


def slack(points: Tensor) -> float:
    """Rounding, of what is as large as the points."""
    return 1e-12 * float(points.abs().max())


def test_points_are_weighed_coordinate_by_coordinate():
    points = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    assert mixed(points, torch.tensor([[[0.25], [0.75]]])).tolist() == [[2.5, 3.5]]
    assert mixed(points, torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])).tolist() == [[1.0, 4.0]]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(bad):
    points = torch.zeros(2, 3, 4)
    points[1, 2, 3] = bad
    with pytest.raises(PacketError, match="found 1 entries that are NaN or infinite"):
        Ballot(points=points)


def test_distances_are_those_of_the_points():
    points = normal(0, 3, 5, 4)
    found = square_distances(gram(points))
    assert torch.allclose(found.sqrt(), torch.cdist(points, points))


def test_a_far_point_does_not_take_the_digits_of_the_others():
    points = normal(0, 3, 5, 4) * 1e-3
    points[:, 2] = 1e6
    others = [0, 1, 3, 4]
    found = square_distances(gram(points))[:, others][:, :, others]
    exact = (points[:, others, None] - points[:, None, others]).square().sum(dim=3)
    assert torch.allclose(found, exact, rtol=1e-9, atol=1e-18)


LINE = torch.tensor([[[0.0], [1.0], [2.0], [4.0], [100.0]]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "hostile", "found"),
    [
        ("mean", 1, 107 / 5),
        ("coordinate_median", 1, 2.0),
        ("trimmed_mean", 1, 7 / 3),
        ("trimmed_mean", 2, 2.0),
        ("geometric_median", 2, 2.0),
        ("krum", 1, 2.0),  # 4 + 1 + 4, less than 1 + 1 + 9 of the point 1
        ("multi_krum", 1, 7 / 4),
    ],
)
def test_five_points_on_a_line(name, hostile, found):
    assert result(name, ballot(LINE, hostile)).item() == pytest.approx(found, abs=1e-6)


def test_two_points_in_the_middle_count_alike():
    assert result("coordinate_median", ballot(LINE[:, :4])).item() == 1.5


@pytest.mark.parametrize("name", KAPPA)
@settings(max_examples=60)
@given(st.data())
def test_f_hostile_voters_move_it_by_no_more_than_theory_says(name, data):
    its, honest = data.draw(attacked(name))
    good, n = its.points[0, honest], its.voters
    far = float((result(name, its)[0] - good.mean(dim=0)).norm())
    bound = math.sqrt(KAPPA[name](its.hostile, n) * spread(good))
    assert far <= bound + slack(its.points)


@pytest.mark.parametrize("name", KAPPA)
@settings(max_examples=60)
@given(st.data())
def test_nor_after_clipping_and_mixing(name, data):
    """Clipping shortens no two honest points apart, and none by more than their lengths differ.

    With n > 2f the median length is between those of two honest points. It is a projection onto a
    ball, which brings points nearer to one another. Mixing makes kappa 8f / (n - f) (kappa + 1):
    Allouah et al. (2023).
    """
    its, honest = data.draw(attacked(name))
    f, n, good = its.hostile, its.voters, its.points[0, honest]
    clipped = applied(norm_clip(its.points, f), its.points)
    short = clipped[0, honest]
    lengths = good.norm(dim=1)
    assert spread(short) <= spread(good) + slack(good)
    assert float((short - good).norm(dim=1).max()) <= float(lengths.max() - lengths.min()) + slack(
        good
    )
    found = result(name, ballot(applied(nnm(clipped, f), clipped), f))[0]
    kappa = 8 * f / (n - f) * (KAPPA[name](f, n) + 1)
    assert float((found - short.mean(dim=0)).norm()) <= math.sqrt(kappa * spread(short)) + slack(
        good
    )


@pytest.mark.parametrize("name", COORDINATEWISE)
@given(st.data())
def test_in_each_coordinate_it_is_between_honest_ones(name, data):
    its, honest = data.draw(attacked(name))
    good, found = its.points[0, honest], result(name, its)[0]
    assert bool((found >= good.amin(dim=0) - slack(good)).all())
    assert bool((found <= good.amax(dim=0) + slack(good)).all())


@given(st.data())
def test_bulyan_is_hardly_outside_of_honest_ones_in_each_coordinate(data):
    its, honest = data.draw(attacked("bulyan"))
    good, found = its.points[0, honest], result("bulyan", its)[0]
    low, high = good.amin(dim=0), good.amax(dim=0)
    over = beyond(its.hostile, its.voters) * (high - low) + slack(good)
    assert bool(((found >= low - over) & (found <= high + over)).all())


@given(st.data())
def test_the_geometric_median_is_as_near_to_each_honest_point_as_minsker_says(data):
    r"""With alpha = f / n, at most (1 - alpha) / sqrt(1 - 2 alpha) times the honest radius.

    Lemma 2.1 of Minsker (2015), the radius about any point, here about each honest one.
    """
    its, honest = data.draw(attacked("geometric_median"))
    good, share = its.points[0, honest], its.hostile / its.voters
    found = result("geometric_median", its)[0]
    radius = torch.cdist(good, good).amax(dim=1)
    bound = (1 - share) / math.sqrt(1 - 2 * share) * radius
    assert bool(((good - found).norm(dim=1) <= bound + slack(its.points)).all())


@given(st.data())
def test_krum_chooses_a_point_that_is_near_to_an_honest_one(data):
    """It is no stranger than an honest point, whose n - f neighbours are within the diameter.

    Of its own neighbours, itself left out, n - 2f are honest.
    """
    its, honest = data.draw(attacked("krum"))
    good, f, n = its.points[0, honest], its.hostile, its.voters
    near = float((good - result("krum", its)[0]).norm(dim=1).min())
    diameter = float(torch.cdist(good, good).max())
    assert near <= diameter * math.sqrt((n - f - 1) / (n - 2 * f)) + slack(good)


def test_one_hostile_voter_among_five_moves_the_mean_without_bound():
    points = torch.cat([normal(0, 1, 4, 3), torch.full((1, 1, 3), 1e6)], dim=1)
    assert float(result("mean", ballot(points, 1)).norm()) > 1e5


def test_the_geometric_median_has_the_least_sum_of_distances():
    points = normal(3, 20, 7, 5)
    found = result("geometric_median", ballot(points))

    def total(at: Tensor) -> Tensor:
        return (points - at[:, None]).norm(dim=2).sum(dim=1)

    for seed in range(50):
        step = normal(seed, 20, 5) * 1e-3
        assert bool((total(found + step) > total(found)).all())


def bulyan_by_hand(points: np.ndarray, f: int) -> np.ndarray:
    """El Mhamdi et al. (2018), with neighbourhoods as in our Krum: one point after another."""
    left, chosen, n = list(range(len(points))), [], len(points)
    while len(chosen) < n - 2 * f:

        def strange(i: int, left: list[int] = left) -> float:
            apart = sorted(float(((points[i] - points[j]) ** 2).sum()) for j in left)
            return sum(apart[: len(left) - f])

        best = min(left, key=strange)
        left.remove(best)
        chosen.append(best)
    found = []
    for values in points[chosen].T:
        middle = np.median(values)
        nearest = sorted(values, key=lambda value: abs(value - middle))
        found.append(np.mean(nearest[: n - 4 * f]))
    return np.array(found)


@settings(max_examples=40)
@given(st.sampled_from([0, 2]), st.integers(0, 3), st.integers(1, 9), SEEDS)
def test_bulyan_is_repeated_krum_and_then_what_is_next_to_the_median(f, more, width, seed):
    """Not with f = 1, where the last round has to choose between two that are equally strange."""
    points = normal(seed, 4 * f + 3 + more, width).numpy()
    ours = result("bulyan", ballot(torch.from_numpy(points)[None], f))[0].numpy()
    assert np.allclose(ours, bulyan_by_hand(points, f), rtol=0, atol=1e-12)


@st.composite
def crowds(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    """Random points of n voters, 3 to 12, and f up to (n - 1) / 2."""
    n, width = draw(st.integers(3, 12)), draw(st.integers(1, 20))
    hostile = draw(st.integers(0, (n - 1) // 2))
    return normal(draw(SEEDS), n, width).numpy(), hostile


@needs_byzfl
@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("mean", lambda f: BYZFL.Average()),
        ("coordinate_median", lambda f: BYZFL.Median()),
        ("trimmed_mean", lambda f: BYZFL.TrMean(f)),
        ("krum", lambda f: BYZFL.Krum(f)),
        ("multi_krum", lambda f: BYZFL.MultiKrum(f)),
    ],
)
@settings(max_examples=200)
@given(crowds())
def test_it_gives_what_byzfl_gives(name, theirs, crowd):
    """Both in double precision, sums in another order: 1e-12 of numbers of size one.

    Krum with n - f = 2 is left out: two points that are each other's nearest are equally strange.
    """
    points, f = crowd
    assume(name != "krum" or len(points) - f > 2)
    ours = result(name, ballot(torch.from_numpy(points)[None], f))[0]
    assert np.allclose(ours.numpy(), theirs(f)(points.copy()), rtol=0, atol=1e-12)


@needs_byzfl
@given(crowds())
def test_the_geometric_median_is_as_good_as_that_of_byzfl(crowd):
    """Where it is, both approach slowly if it is at, or beside, a voter: hence 3e-3.

    On a line with n even it is no single point, and nothing but the sum of distances is compared.
    """
    points, f = crowd
    ours = result("geometric_median", ballot(torch.from_numpy(points)[None], f))[0].numpy()
    theirs = BYZFL.GeometricMedian(nu=1e-9, T=3000)(points.copy())

    def total(at: np.ndarray) -> float:
        return float(np.linalg.norm(points - at, axis=1).sum())

    assert total(ours) == pytest.approx(total(theirs), rel=1e-6)
    if points.shape[1] > 1:
        assert np.allclose(ours, theirs, rtol=0, atol=3e-3)
