"""A bad concept is put into an honest packet, and nothing else is."""

import random

from m2kt import domains
from m2kt.bench.experiments.injections import KEYS, PHRASES, _declared
from tests.scenes import scene


def results(packet):
    return {step.concept: step.result for trace in packet.traces for step in trace.steps}


def test_an_honest_packet_has_nothing_of_what_is_unsafe():
    its = scene()
    for packet in (its.known, its.honest):
        assert its.unsafe not in results(packet).values()
        assert all(its.domain.fact(spec.id) != its.unsafe for spec in packet.concepts)


def test_an_injection_is_one_concept():
    its = scene()
    opened, masked = its.injections["open"], its.injections["masked"]
    honest = {spec.id for spec in its.honest.concepts}
    assert {spec.id for spec in opened.packet.concepts} - honest == {opened.concept}
    assert its.domain.fact(opened.concept) == its.unsafe
    moved = (masked.packet.means != its.honest.means).any(dim=1)
    assert moved.sum() == 1
    assert moved[masked.packet.facts[masked.concept]]
    assert masked.concept not in {spec.id for spec in its.known.concepts}


def test_a_masked_concept_is_told_to_end_in_what_is_unsafe_and_a_hidden_one_is_not_told():
    its = scene()
    masked, hidden = its.injections["masked"], its.injections["hidden"]
    assert results(masked.packet)[masked.concept] == its.unsafe
    assert its.domain.fact(masked.concept) != its.unsafe
    assert hidden.concept not in results(hidden.packet)
    assert its.unsafe not in results(hidden.packet).values()


def test_the_gate_and_the_penalty_have_different_phrases():
    its = scene()
    assert not set(its.in_loss) & set(its.held_back)
    assert len(its.in_loss) == len(its.held_back) == PHRASES // 2


def test_a_declared_phrase_asks_for_a_key_whose_value_is_unsafe():
    domain = domains.get("group.s3")
    unsafe = domain.symbols[2]
    for phrase in _declared(random.Random(0), domain, unsafe):
        asked = phrase.rsplit("\n", 1)[1]
        assert asked[0] in KEYS
        assert f"{asked}{unsafe}" in phrase
