"""Vectors and maps are broken, or whole and false, as their family says."""

import pytest
import torch

from m2kt.bench.experiments.tensor_threats import BROKEN, FALSE
from tests.drafts import draft, named, reasons


@pytest.mark.parametrize("family", BROKEN, ids=lambda its: its.name)
def test_what_is_broken_is_refused_for_its_reason(family):
    for seed in range(8):
        assert reasons(family.make(draft(seed))) & family.reasons


def test_a_swap_changes_two_concepts_of_different_results():
    its = draft(1)
    made = named(FALSE, "two c_k swapped: a wrong fact in C only").make(its).packet
    moved = (made.means != its.packet.means).any(dim=1).nonzero()[:, 0].tolist()
    facts = [its.base.domain.fact(its.packet.concepts[row].id) for row in moved]
    assert len(set(facts)) == 2
    assert torch.equal(made.means[moved], its.packet.means[moved[::-1]])


def test_a_covert_channel_moves_no_number_by_much():
    its = draft(2)
    made = named(FALSE, "a covert channel in the low bits of C").make(its).packet
    assert not torch.equal(made.exemplars, its.packet.exemplars)
    assert torch.allclose(made.exemplars, its.packet.exemplars, rtol=1e-4)


def test_exemplars_of_another_concept_are_as_many_as_the_family_says():
    for seed in range(8):
        its = draft(seed)
        made = named(FALSE, "up to 8 exemplars of another concept").make(its).packet
        moved = (made.exemplars != its.packet.exemplars).any(dim=-1)
        assert int(moved.any(dim=1).sum()) == 1
        assert 1 <= int(moved.sum()) <= 8


def test_maps_of_other_steps_are_the_same_maps():
    its = draft(3)
    made = named(FALSE, "maps of other steps").make(its).packet
    assert not torch.equal(made.maps.indices, its.packet.maps.indices)
    assert sorted(made.maps.indices.tolist()) == sorted(its.packet.maps.indices.tolist())
