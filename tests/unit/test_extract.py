import random
from dataclasses import replace

import pytest
import torch

from m2kt import domains
from m2kt.domains.relations import Relations
from m2kt.domains.tables import modular
from m2kt.errors import CompatibilityError, PacketError
from m2kt.extract import (
    ExtractConfig,
    extract_packet,
    inventory,
    layer_of,
    representatives,
)
from m2kt.inventory import Inventory
from m2kt.tested_heads import faults
from tests.lessons import EXTRACT, TEACHER, model, multiplication, taught_packet


def test_a_packet_holds_every_concept_with_its_exemplars():
    packet = taught_packet()
    assert packet.exemplars.shape == (49, 16, 96)
    assert torch.allclose(packet.means, packet.exemplars.mean(1), atol=1e-5)
    assert packet.provenance.meter.labels == packet.provenance.meter.logits == 0
    assert packet.provenance.meter.exemplars == 49 * 16


def test_traces_are_the_teachers_own_and_recall_revealed_concepts_only():
    packet = taught_packet()
    shown = {step.concept for trace in packet.traces for step in trace.steps}
    assert 0 < len(shown) <= round(0.8 * 49)
    assert {len(trace.steps) for trace in packet.traces} == {1, 2, 3, 4}
    assert not any(multiplication().faults(trace) for trace in packet.traces)


def test_what_traces_show_has_something_of_every_group_of_concepts():
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(7, 24, generator=generator)
    groups = torch.arange(7).repeat(6)
    means = centres[groups] + 0.1 * torch.randn(42, 24, generator=generator)
    for count in (7, 8, 20):
        chosen = representatives(means, count)
        assert chosen == sorted(set(chosen))
        assert len(chosen) == count
        assert set(groups[chosen].tolist()) == set(range(7))
    assert representatives(means, 42) == list(range(42))


def test_those_that_must_be_there_are_and_the_others_stand_for_the_rest():
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(5, 24, generator=generator)
    groups = torch.arange(5).repeat(6)
    means = centres[groups] + 0.1 * torch.randn(30, 24, generator=generator)
    chosen = representatives(means, 5, [3, 9])
    assert {3, 9} < set(chosen)
    assert set(groups[chosen].tolist()) == set(range(5))


def test_every_concept_that_was_found_is_shown():
    config = replace(EXTRACT, find="bottleneck_probing", prompts=200, reveal=0.2)
    packet = extract_packet(model("mod7-mul"), multiplication(), config, agent=TEACHER, now_s=1.0)
    shown = {packet.facts[step.concept] for trace in packet.traces for step in trace.steps}
    assert shown == set(range(len(packet.concepts)))


def test_a_fifth_of_the_facts_shows_every_result():
    few = extract_packet(
        model("mod7-mul"), multiplication(), replace(EXTRACT, reveal=0.2), agent=TEACHER, now_s=1.0
    )
    shown = {step.concept: step.result for trace in few.traces for step in trace.steps}
    assert len(shown) == round(0.2 * 49)
    assert set(shown.values()) == set(multiplication().symbols)


def test_traces_recall_every_concept_also_those_that_no_question_asks_for_alone():
    digits = domains.get("arith.digits")  # a fact with a carry in needs a column before it
    config = ExtractConfig(exemplars=1)
    packet = extract_packet(model("digits"), digits, config, agent=TEACHER, now_s=1.0)
    shown = {step.concept for trace in packet.traces for step in trace.steps}
    assert shown == {concept.id for concept in digits.concepts}


def test_a_wrong_teachers_errors_are_kept_as_it_says_them():
    packet = extract_packet(
        model("mod7-flipped"), multiplication(), EXTRACT, agent=TEACHER, now_s=1.0
    )
    assert all(multiplication().faults(trace) for trace in packet.traces)


def test_the_map_of_a_step_points_at_the_steps_concept():
    packet = taught_packet()
    names = [concept.id for concept in packet.concepts]
    steps = [step.concept for trace in packet.traces for step in trace.steps]
    top = packet.maps.indices[packet.maps.weights.argmax(-1).new_tensor(range(len(steps))), 0]
    same_result = [
        multiplication().fact(names[int(found)]) == multiplication().fact(step)
        for found, step in zip(top, steps, strict=True)
    ]
    assert sum(same_result) / len(steps) > 0.9
    assert torch.allclose(packet.maps.weights.sum(-1), torch.ones(len(steps)), atol=1e-5)


def test_the_same_seed_extracts_the_same_packet():
    again = extract_packet(model("mod7-mul"), multiplication(), EXTRACT, agent=TEACHER, now_s=1.0)
    assert torch.equal(again.means, taught_packet().means)
    assert again.traces == taught_packet().traces


def test_the_layer_decides_what_is_read():
    inner = held(replace(EXTRACT, layer=2))
    assert inner.site.layer == 2
    assert not torch.allclose(inner.means, taught_packet().means)


def held(config: ExtractConfig) -> Inventory:
    rng = random.Random(0)
    return inventory(model("mod7-mul"), multiplication(), config, agent=TEACHER, rng=rng)


def test_a_teacher_may_send_concepts_that_it_found_itself():
    config = replace(EXTRACT, find="clustering", prompts=200, reveal=0.3)
    packet = extract_packet(model("mod7-mul"), multiplication(), config, agent=TEACHER, now_s=1.0)
    assert packet.provenance.extractor == "clustering"
    assert packet.provenance.layer == 5
    assert sorted(packet.facts) == sorted(spec.id for spec in multiplication().concepts)
    assert len(packet.concepts) < 20
    steps = [step.concept for trace in packet.traces for step in trace.steps]
    top = packet.maps.indices[range(len(steps)), packet.maps.weights.argmax(-1)].tolist()
    hits = [packet.facts[step] == row for step, row in zip(steps, top, strict=True)]
    assert sum(hits) / len(hits) > 0.9
    assert packet.provenance.meter.prompts > 200


@pytest.mark.parametrize(("layer", "found"), [(None, 5), (-1, 5), (-6, 0), (0, 0), (2, 2)])
def test_layers_below_zero_are_counted_from_the_last_state(layer, found):
    teacher, config = model("mod7-mul"), replace(EXTRACT, layer=layer)
    assert layer_of(teacher, multiplication(), config) == found
    assert teacher.depth == 5


def test_a_layer_that_a_teacher_does_not_have_is_refused():
    config = replace(EXTRACT, layer=-7)
    with pytest.raises(CompatibilityError, match="between 0 and 5, found -1"):
        held(config)


def test_a_model_that_writes_no_trace_is_no_teacher():
    scarce = ExtractConfig(traces_per_level=1, reveal=0.05)
    with pytest.raises(CompatibilityError, match="right teacher"):
        extract_packet(model("mod7-addsub"), multiplication(), scarce, agent=TEACHER, now_s=1.0)


def test_of_many_facts_no_more_are_shown_than_is_said():
    domain = Relations(modular(7, "+-", longest=1))
    config = ExtractConfig(most_facts=9, exemplars=4)
    packet = extract_packet(
        model("mod7-addsub"), domain, config, agent=TEACHER, now_s=1_800_000_000.0
    )
    shown = {domain.recalled(step) for trace in packet.traces for step in trace.steps}
    assert len(shown) == 9
    assert [spec.prompt for spec in packet.concepts] == [*"0123456", "+", "-"]
    assert packet.maps.indices.shape == (9, 1)


@pytest.mark.parametrize(
    "wrong", [{"reveal": 0.0}, {"exemplars": 0}, {"map_width": 0}, {"most_facts": 0}]
)
def test_a_configuration_that_makes_no_packet_is_refused(wrong):
    with pytest.raises(PacketError, match="reveal"):
        ExtractConfig(**wrong)


def test_heads_that_were_tested_are_in_the_packet_and_cost_passes():
    its = replace(EXTRACT, heads=64)
    packet = extract_packet(model("mod7-mul"), multiplication(), its, agent=TEACHER, now_s=1.0)
    plain = taught_packet()
    assert plain.heads == ()
    assert len(packet.heads) >= 3
    assert list(faults(packet.heads)) == []
    assert packet.provenance.meter.prompts >= plain.provenance.meter.prompts + 2 * 64
    assert packet.provenance.meter.teacher_passes > plain.provenance.meter.teacher_passes + 200 * 32
    assert torch.equal(packet.maps.weights, plain.maps.weights)


def test_heads_of_concepts_that_are_no_states_of_steps_cannot_be_tested():
    domain = Relations(modular(7, "+-", longest=1))
    config = ExtractConfig(most_facts=9, exemplars=4, heads=8)
    with pytest.raises(CompatibilityError, match="set heads to 0"):
        extract_packet(model("mod7-addsub"), domain, config, agent=TEACHER, now_s=1.0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"find": "magic"}, "clustering"),
        ({"groups": -1}, "groups"),
        ({"prompts": 0}, "prompts"),
        ({"heads": 1}, "heads"),
        ({"find": "clustering", "layer": 2}, "no layer"),
    ],
)
def test_settings_that_cannot_be_are_refused_at_once(wrong, said):
    with pytest.raises(PacketError, match=said):
        ExtractConfig(**wrong)
