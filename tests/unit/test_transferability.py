"""m2kt.transferability: what a sample tells, what a student recognises, and what both foretell."""

from dataclasses import replace

import pytest
import torch
from lessons import model, multiplication
from packets import tiny_packet

from m2kt import domains
from m2kt.errors import PacketError
from m2kt.transferability import (
    MOST_BYTES,
    SHARE,
    ConceptSample,
    Outlook,
    outlook,
    recognition,
    sample_of,
    steadiness,
)

CONCEPTS, WIDTH = 40, 16


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def sample(states: torch.Tensor, **changes: int) -> ConceptSample:
    named = {"of": 10_000, "layer": 3, "depth": 4, **changes}
    return ConceptSample(states=states, **named)


def noisy(noise: float) -> torch.Tensor:
    """Pairs of exemplars around random concepts, Float [P, 2, D]."""
    return drawn(CONCEPTS, 1, WIDTH) + noise * drawn(CONCEPTS, 2, WIDTH, seed=1)


def test_concepts_that_are_the_same_in_every_context_are_wholly_steady():
    assert steadiness(sample(noisy(0.0))) == pytest.approx(1.0)


def test_the_more_contexts_add_the_less_steady_concepts_are():
    shares = [steadiness(sample(noisy(noise))) for noise in (0.1, 0.5, 1.0, 2.0)]
    assert shares == sorted(shares, reverse=True)
    # Of unit variance between and noise^2 within: 1 / (1 + noise^2).
    assert shares[2] == pytest.approx(0.5, abs=0.1)


def test_states_that_have_nothing_to_do_with_their_concept_are_not_steady():
    assert steadiness(sample(drawn(CONCEPTS, 2, WIDTH))) == pytest.approx(0.0, abs=0.1)


def test_states_that_are_all_the_same_tell_no_concepts_apart():
    assert steadiness(sample(torch.ones(CONCEPTS, 2, WIDTH))) == 0.0


def test_one_concept_alone_shows_nothing():
    assert steadiness(sample(noisy(0.1)[:1])) == 0.0


@pytest.mark.parametrize("factor", [1e-30, 1e-6, 1.0, 1e6, 1e30])
def test_steadiness_is_of_the_pattern_and_not_of_the_unit(factor):
    # The square of 1e30 is no float32.
    assert steadiness(sample(factor * noisy(0.5))) == pytest.approx(
        steadiness(sample(noisy(0.5))), abs=1e-4
    )


def test_a_common_part_of_all_states_does_not_count():
    assert steadiness(sample(noisy(0.5) + 3.0)) == pytest.approx(
        steadiness(sample(noisy(0.5))), abs=1e-4
    )


@pytest.mark.parametrize("concepts", [1, 2, 8, 147])
@pytest.mark.parametrize("exemplars", [2, 16])
def test_a_sample_is_one_per_cent_of_the_vectors_or_two_concepts(concepts, exemplars):
    packet = tiny_packet(concepts=concepts, exemplars=exemplars)
    its = sample_of(packet, depth=6)
    count = len(packet.concepts)
    assert its.of == count * exemplars
    assert its.states.shape[1:] == (2, 12)
    assert 2 * len(its.states) <= max(4, SHARE * its.of)
    assert len(its.states) == min(count, max(2, int(SHARE * its.of) // 2))
    assert (its.layer, its.depth, its.width) == (packet.provenance.layer, 6, 12)


def test_a_sample_holds_exemplars_of_the_packet_and_is_the_same_for_the_same_seed():
    packet = tiny_packet(concepts=147)
    first, again, other = (sample_of(packet, depth=6, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.states, again.states)
    assert not torch.equal(first.states, other.states)
    pairs = {pair.numpy().tobytes() for pair in packet.exemplars[:, :2]}
    assert {pair.numpy().tobytes() for pair in first.states} <= pairs


def test_a_sample_of_a_wide_teacher_has_no_more_bytes_than_a_message_may_carry():
    packet, width = tiny_packet(concepts=147), MOST_BYTES // 16
    wide = replace(
        packet,
        means=packet.means[:, :1].expand(-1, width),
        exemplars=packet.exemplars[:, :, :1].expand(-1, -1, width),  # no bytes of its own
    )
    states = sample_of(wide, depth=6).states
    assert len(states) == 2
    assert 4 * states.numel() == MOST_BYTES


def test_concepts_with_one_exemplar_each_cannot_be_compared():
    with pytest.raises(PacketError, match=r"expected 2 .* found 1; extract"):
        sample_of(tiny_packet(exemplars=1), depth=6)


@pytest.mark.parametrize(
    ("states", "changes"),
    [
        (torch.zeros(0, 2, 4), {}),
        (torch.zeros(51, 2, 4), {}),  # 102 of 10,000 vectors
        (torch.zeros(3, 2, 4), {"of": 100}),
        (torch.zeros(2, 2, 4), {"layer": 5}),
        (torch.zeros(2, 2, 4), {"layer": -1}),
        (torch.zeros(2, 2, 4), {"layer": 0, "depth": 0}),
        (torch.full((2, 2, 4), torch.nan), {}),
        (torch.full((2, 2, 4), -torch.inf), {}),
    ],
    ids=["empty", "large", "of few", "too late", "too early", "no layers", "nan", "inf"],
)
def test_a_sample_that_is_none_is_refused(states, changes):
    with pytest.raises(PacketError, match=r"expected .*, found .*; "):
        sample(states, **changes)


def test_two_concepts_are_a_sample_of_whatever_there_is():
    assert len(sample(torch.zeros(2, 2, 4), of=4).states) == 2


def test_a_student_recognises_concepts_that_its_model_was_trained_on():
    domain = domains.get("arith.mod7")
    known = recognition(model("mod7-addsub"), domain.restrict(domain.concepts_of("+")))
    foreign = recognition(model("mod7-addsub"), multiplication())
    assert known > 0.9
    assert 0.0 <= foreign < known - 0.2
    assert recognition(model("mod7-addsub"), multiplication()) == foreign


def test_recognition_is_not_asked_of_a_relational_domain():
    assert recognition(model("mod7-addsub"), domains.get("relation.chain")) < 1.0
    relational = [d for name in domains.names() if (d := domains.get(name)).relational]
    assert relational
    assert recognition(model("mod7-addsub"), relational[0]) == 1.0


def test_the_gain_is_the_product_of_its_parts():
    its = Outlook(before=0.2, recognised=0.5, depth=0.5, steadiness=0.8)
    assert its.gain == pytest.approx(0.8 * 0.5 * 0.5**4 * 0.8)
    assert Outlook(before=0.0, recognised=1.0, depth=1.0, steadiness=1.0).gain == 1.0
    for name, nothing in {
        "before": 1.0,
        "recognised": 0.0,
        "depth": 0.0,
        "steadiness": 0.0,
    }.items():
        assert replace(its, **{name: nothing}).gain == 0.0


def test_an_outlook_takes_depth_and_steadiness_from_the_sample():
    its = sample(noisy(0.5), layer=3, depth=4)
    assert outlook(its, before=0.1, recognised=0.9) == Outlook(
        before=0.1, recognised=0.9, depth=0.75, steadiness=steadiness(its)
    )


def test_concepts_that_are_embeddings_are_not_foretold_to_say_nothing():
    its = sample(noisy(0.5), layer=0, depth=4)
    assert outlook(its, before=0.1, recognised=1.0).gain == 0.0
    assert outlook(its, before=0.1, recognised=1.0, relational=True).gain > 0.3
