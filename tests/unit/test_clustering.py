import pytest
import torch

from m2kt.clustering import agreement, cluster


def seed(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def bundles(kinds: int, each: int, *, spread: float = 0.1):
    """States of `kinds` directions, and which each is of."""
    generator = seed(1)
    centres = torch.randn(kinds, 24, generator=generator)
    numbers = torch.arange(kinds).repeat_interleave(each)
    noise = torch.randn(len(numbers), 24, generator=generator)
    return centres[numbers] + spread * noise, numbers


@pytest.mark.parametrize("kinds", [2, 7, 40])
def test_states_that_point_the_same_way_are_one_cluster(kinds):
    states, numbers = bundles(kinds, 9)
    found = cluster(states, count=kinds, generator=seed()).nearest(states)
    pairs = set(zip(numbers.tolist(), found.tolist(), strict=True))
    assert len(pairs) == kinds


def test_length_does_not_matter():
    states, _ = bundles(5, 9)
    states = states - states.mean(dim=0)
    longer = states * torch.arange(1, len(states) + 1)[:, None]
    found = cluster(states, count=5, generator=seed())
    assert torch.equal((found.cosines(longer + found.middle)).argmax(-1), found.nearest(states))


def test_there_are_no_more_clusters_than_states():
    states, _ = bundles(3, 1)
    assert len(cluster(states, count=10, generator=seed()).centres) == 3


def test_the_same_seed_finds_the_same_clusters():
    states, _ = bundles(6, 5, spread=1.0)
    first, second = (cluster(states, count=6, generator=seed(3)).centres for _ in range(2))
    assert torch.equal(first, second)


def test_equal_states_are_clustered_without_a_fault():
    found = cluster(torch.ones(8, 4), count=3, generator=seed())
    assert bool(torch.isfinite(found.centres).all())


def test_a_cluster_tells_what_was_said_at_its_other_places():
    clusters, said = torch.tensor([0, 0, 1, 1, 1, 0]), torch.tensor([4, 4, 2, 2, 3, 4])
    asked = torch.tensor([0, 1, 0, 1, 1, 1])
    assert agreement(clusters, said, asked) == 0.75


def test_where_nobody_is_asked_nothing_is_told():
    none = torch.zeros(4, dtype=torch.long)
    assert agreement(torch.tensor([0, 0, 1, 1]), torch.tensor([2, 2, 3, 3]), none) == 0.0
