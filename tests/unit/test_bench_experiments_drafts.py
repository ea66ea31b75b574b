"""Parts of a packet are replaced one at a time, and the rest of it stays what it was."""

import torch

from m2kt.bench.experiments.drafts import (
    FREE_TEXTS,
    saying,
    with_concept,
    with_traces,
    with_vectors,
)
from tests.drafts import draft, reasons


def test_an_honest_packet_has_nothing_against_it():
    its = draft()
    assert reasons(its.variant(its.packet)) == set()


def test_means_are_those_of_the_exemplars_that_are_put_in():
    packet = draft().packet
    other = with_vectors(packet, packet.exemplars + 1)
    assert torch.allclose(other.means, packet.means + 1)
    assert other.traces == packet.traces


def test_fewer_traces_have_as_many_maps_as_they_have_steps():
    packet = draft().packet
    kept = packet.traces[:3]
    other = with_traces(packet, kept)
    assert other.traces == kept
    assert len(other.maps.weights) == sum(len(trace.steps) for trace in kept)


def test_one_concept_gets_other_texts():
    packet = draft().packet
    other = with_concept(packet, 2, gloss="another")
    changed = [one != its for one, its in zip(other.concepts, packet.concepts, strict=True)]
    assert changed.index(True) == 2
    assert sum(changed) == 1
    assert other.concepts[2].gloss == "another"


def test_a_text_goes_to_one_of_the_fields_that_are_free():
    its = draft()
    before, after = its.packet.provenance, saying(its, "hello").provenance
    changed = [name for name in FREE_TEXTS if getattr(before, name) != getattr(after, name)]
    assert len(changed) == 1
    assert getattr(after, changed[0]) == "hello"


def test_a_draft_of_the_same_seed_draws_the_same():
    assert draft(5).row() == draft(5).row()
    assert torch.equal(
        torch.rand(3, generator=draft(5).noise()), torch.rand(3, generator=draft(5).noise())
    )
    assert len({draft(seed).phrase() for seed in range(20)}) > 1
