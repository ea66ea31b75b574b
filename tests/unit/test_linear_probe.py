import pytest
import torch

from m2kt.linear_probe import Labelled, control_labels, crossvalidated, fit, fit_ridge, lower_bound


def blobs(*, types: int = 12, each: int = 8, labels: int = 3, width: int = 20):
    """States of `types` types; what label a type has is seen along one direction of each label."""
    generator = torch.Generator().manual_seed(0)
    kinds = torch.arange(types).repeat_interleave(each)
    wanted = kinds % labels
    own = torch.randn(types, width, generator=generator)
    toward = 4 * torch.eye(labels, width)
    noise = torch.randn(len(kinds), width, generator=generator)
    return 0.3 * own[kinds] + toward[wanted] + 0.3 * noise, wanted, kinds


def seed(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def held_out(states, labels, kinds):
    return crossvalidated(Labelled(states, labels, kinds), generator=seed())


def test_a_probe_says_the_labels_that_states_hold():
    states, labels, _ = blobs()
    assert bool((fit(states, labels, count=3).says(states) == labels).all())


def test_least_squares_say_them_too():
    states, labels, kinds = blobs()
    assert bool((fit_ridge(states, labels, count=3).says(states) == labels).all())
    asked = Labelled(states, labels, kinds)
    right = crossvalidated(asked, how=fit_ridge, generator=seed())
    assert float(right.float().mean()) > 0.95


def test_what_a_label_means_is_found_in_types_that_the_probe_has_not_seen():
    states, labels, kinds = blobs()
    assert float(held_out(states, labels, kinds).float().mean()) > 0.95


def test_labels_that_mean_nothing_are_not_found_in_types_that_the_probe_has_not_seen():
    states, _, kinds = blobs(types=60)
    labels = control_labels(kinds, count=3, generator=seed(1))
    found = held_out(states, labels, kinds)
    assert float(found.float().mean()) < 0.6


def test_control_labels_are_one_for_each_type():
    kinds = torch.tensor([4, 4, 9, 9, 4])
    labels = control_labels(kinds, count=50, generator=seed())
    assert len(labels[kinds == 4].unique()) == len(labels[kinds == 9].unique()) == 1
    assert labels[0] != labels[2]


def test_a_strong_penalty_keeps_weights_small():
    states, labels, _ = blobs()
    weak, strong = (fit(states, labels, count=3, decay=its) for its in (1e-4, 1.0))
    assert strong.weight.norm() < weak.weight.norm()


@pytest.mark.parametrize(("right", "of", "bound"), [(170, 200, 0.80), (334, 400, 0.80)])
def test_the_lower_bound_is_that_of_the_table(right, of, bound):
    assert lower_bound(right, of) == pytest.approx(bound, abs=0.006)


def test_the_lower_bound_of_nothing_right_is_zero_and_of_all_right_below_one():
    assert lower_bound(0, 50) == 0.0
    assert 0.9 < lower_bound(50, 50) < 1.0
