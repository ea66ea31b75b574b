"""What is done to points before a rule: lengths, neighbourhoods, pairs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from m2kt.premix import PREMIXES, applied, bucketing, nnm, norm_clip, traced
from m2kt.robust import mixed
from tests.reference import BYZFL, needs_byzfl
from tests.votes import SEEDS, attacked, normal


@st.composite
def crowds(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    """Random points of n voters, 3 to 12, and f up to (n - 1) / 2."""
    n, width = draw(st.integers(3, 12)), draw(st.integers(1, 20))
    return normal(draw(SEEDS), n, width).numpy(), draw(st.integers(0, (n - 1) // 2))


@pytest.mark.parametrize("name", PREMIXES)
@given(crowds(), SEEDS)
def test_coefficients_on_what_came_out_are_traced_to_what_went_in(name, crowd, seed):
    points = torch.from_numpy(crowd[0])[None]
    mixing = PREMIXES[name](points, crowd[1])
    out = applied(mixing, points)
    for width in (1, points.shape[2]):
        weights = normal(seed, 1, out.shape[1], width)
        back = traced(mixing, weights)
        assert back.shape == (1, points.shape[1], width)
        assert torch.allclose(mixed(points, back), mixed(out, weights), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", PREMIXES)
@given(crowds())
def test_shares_are_not_negative_and_sum_to_one_or_less_where_points_are_clipped(name, crowd):
    mixing = PREMIXES[name](torch.from_numpy(crowd[0])[None], crowd[1])
    assert float(mixing.min()) >= 0
    total = mixing.sum(dim=2)
    if name == "norm_clip":
        assert float(total.max()) <= 1
    else:
        assert torch.allclose(total, torch.ones_like(total))


@pytest.mark.parametrize("name", PREMIXES)
def test_what_all_say_alike_stays(name):
    points = normal(0, 3, 1, 4).expand(-1, 7, -1)
    out = applied(PREMIXES[name](points, 2), points)
    assert torch.allclose(out, points[:, : out.shape[1]])


@pytest.mark.parametrize("name", PREMIXES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_concept_is_mixed_alike_alone_and_among_others_and_twice_alike(name, dtype):
    points = normal(1, 40, 7, 3).to(dtype)
    whole = PREMIXES[name](points, 2)
    assert torch.equal(PREMIXES[name](points.clone(), 2), whole)
    parts = [PREMIXES[name](some, 2) for some in points.split(7)]
    assert torch.equal(torch.cat(parts), whole)
    assert applied(whole, points).dtype == dtype


@pytest.mark.parametrize("name", sorted(set(PREMIXES) - {"bucketing"}))
@given(crowds(), SEEDS)
def test_turned_and_reordered_points_come_out_turned_and_reordered(name, crowd, seed):
    """Buckets are drawn by number, so they do not keep to an order of voters."""
    points = torch.from_numpy(crowd[0])[None]
    out = applied(PREMIXES[name](points, crowd[1]), points)
    order = torch.randperm(points.shape[1], generator=torch.Generator().manual_seed(seed))
    turn = torch.linalg.qr(normal(seed, points.shape[2], points.shape[2])).Q
    other = (points @ turn)[:, order]
    found = applied(PREMIXES[name](other, crowd[1]), other)
    assert torch.allclose(found, (out @ turn)[:, order], rtol=0, atol=1e-9)


def test_nobody_is_longer_than_the_median_one():
    points = torch.tensor([[[3.0, 4.0], [0.0, 1.0], [2.0, 0.0]]])
    assert torch.allclose(
        applied(norm_clip(points, 1), points),
        torch.tensor([[[1.2, 1.6], [0.0, 1.0], [2.0, 0.0]]]),
    )


def test_of_an_even_number_the_shorter_in_the_middle_is_the_limit():
    points = torch.tensor([[[1.0], [2.0], [30.0], [-40.0]]])
    assert applied(norm_clip(points, 1), points).flatten().tolist() == [1.0, 2.0, 2.0, -2.0]


def test_a_point_at_zero_stays_there():
    points = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]]])
    assert applied(norm_clip(points, 0), points)[0].tolist() == [[0, 0], [1, 0], [0, 1]]


@given(st.data())
def test_the_limit_is_between_two_honest_lengths(data):
    its, honest = data.draw(attacked("coordinate_median"))
    lengths = its.points[0, honest].norm(dim=1)
    out = applied(norm_clip(its.points, its.hostile), its.points)[0].norm(dim=1)
    limit = float(out.max())
    assert float(lengths.min()) * (1 - 1e-12) <= limit <= float(lengths.max()) * (1 + 1e-12)


def test_each_becomes_the_mean_of_its_nearest():
    points = torch.tensor([[[0.0], [1.0], [3.0], [100.0]]])
    found = applied(nnm(points, 1), points).flatten().tolist()
    assert found == pytest.approx([4 / 3, 4 / 3, 4 / 3, 104 / 3])
    assert applied(nnm(points, 2), points).flatten().tolist() == [0.5, 0.5, 2.0, 51.5]


@settings(max_examples=60)
@given(st.data())
def test_mixing_brings_honest_points_together_as_theory_says(data):
    """Of n - f honest points x, mixed to y: V(y) + |mean y - mean x|^2 <= 8f / (n - f) V(x).

    Allouah et al. (2023), V being the mean squared distance to the mean.
    """
    its, honest = data.draw(attacked("coordinate_median"))
    f, n, before = its.hostile, its.voters, its.points[0, honest]
    after = applied(nnm(its.points, f), its.points)[0, honest]
    left = (after - before.mean(dim=0)).square().sum(dim=1).mean()
    right = 8 * f / (n - f) * (before - before.mean(dim=0)).square().sum(dim=1).mean()
    assert float(left) <= float(right) + (1e-12 * float(before.abs().max())) ** 2


@given(st.integers(3, 12), st.integers(1, 3), SEEDS)
def test_buckets_are_pairs_alike_for_all_concepts_and_one_is_alone_of_an_odd_number(n, f, seed):
    points = normal(seed, 3, n, 2)
    mixing = bucketing(points, f)
    assert mixing.shape == (3, (n + 1) // 2, n)
    assert torch.equal(mixing[0], mixing[2])
    assert torch.equal((mixing[0] > 0).sum(dim=0), torch.ones(n, dtype=torch.long))
    sizes = sorted((mixing[0] > 0).sum(dim=1).tolist())
    assert sizes == ([1] if n % 2 else []) + [2] * (n // 2)


def test_buckets_are_drawn_so_that_neighbours_by_name_need_not_share_one():
    pairs = [tuple(row.nonzero()[:, 0].tolist()) for row in bucketing(normal(0, 1, 12, 2), 1)[0]]
    assert any(one + 1 != other for one, other in pairs)


@pytest.mark.parametrize(("n", "hostile"), [(5, 0), (2, 1), (1, 1)])
def test_without_hostile_voters_or_with_fewer_than_three_each_stays_alone(n, hostile):
    points = normal(0, 2, n, 3)
    assert torch.equal(applied(bucketing(points, hostile), points), points)


@needs_byzfl
@settings(max_examples=200)
@given(crowds())
def test_mixing_gives_what_byzfl_gives(crowd):
    """Both in double precision: 1e-12 of numbers of size one."""
    points, f = crowd
    ours = torch.from_numpy(points)[None]
    found = applied(nnm(ours, f), ours)[0].numpy()
    assert np.allclose(found, BYZFL.NNM(f)(points.copy()), rtol=0, atol=1e-12)


@needs_byzfl
@given(crowds())
def test_clipping_gives_what_byzfl_gives_at_that_length(crowd):
    points, f = crowd
    ours = torch.from_numpy(points)[None]
    limit = sorted(np.linalg.norm(points, axis=1))[(len(points) - 1) // 2]
    theirs = BYZFL.Clipping(float(limit))(points.copy())
    assert np.allclose(applied(norm_clip(ours, f), ours)[0].numpy(), theirs, rtol=0, atol=1e-12)


@needs_byzfl
@given(crowds(), st.integers(0, 2**31))
def test_buckets_give_what_byzfl_gives_for_the_same_draw(crowd, seed):
    points, f = crowd
    ours = torch.from_numpy(points)[None]
    mixing = bucketing(ours, max(1, f))
    order = torch.cat([row.nonzero()[:, 0] for row in mixing[0]]).numpy()
    np.random.seed(seed)
    drawn = np.random.permutation(len(points))
    dealt = np.empty_like(points)
    dealt[drawn] = points[order]  # so that their draw puts our order before them
    np.random.seed(seed)
    theirs = BYZFL.Bucketing(2)(dealt)
    assert np.allclose(applied(mixing, ours)[0].numpy(), theirs, rtol=0, atol=1e-12)
