"""A control takes out what it says, leaves the rest, and passes screening."""

import pytest
import torch

from m2kt import domains
from m2kt.bench.controls import CONTROLS, thinned
from m2kt.bench.subjects import draw_lesson, subject
from m2kt.domain import Trace
from m2kt.extract import ExtractConfig
from m2kt.packet import KnowledgePacket

ITS = subject("group.s3")
EXTRACT = ExtractConfig(traces_per_level=4, reveal=0.5)


@pytest.fixture(scope="module")
def packets() -> dict[str, KnowledgePacket]:
    lessons = {
        way: draw_lesson(ITS, EXTRACT, change=change, rules=rules)
        for way, (change, rules) in CONTROLS.items()
    }
    return {way: lesson.packets[0].packet for way, lesson in lessons.items()}


def facts(traces: tuple[Trace, ...]) -> dict[str, str]:
    return {step.concept: step.result for trace in traces for step in trace.steps}


@pytest.mark.parametrize("way", ["shuffled_c", "random_c", "untrained_c", "without_c"])
def test_a_control_of_c_leaves_the_traces_and_changes_every_concept(packets, way):
    real, its = packets["with_c"], packets[way]
    assert its.traces == real.traces
    rows = {spec.id: row for row, spec in enumerate(real.concepts)}
    for row, spec in enumerate(its.concepts):
        assert not torch.allclose(its.means[row], real.means[rows[spec.id]])


def test_shuffling_moves_every_concept_and_loses_none(packets):
    real, its = packets["with_c"].means, packets["shuffled_c"].means
    distances = torch.cdist(its, real)
    found = distances.argmin(dim=1)
    assert sorted(found.tolist()) == list(range(len(real)))
    assert not (found == torch.arange(len(real))).any()


def test_random_concepts_have_the_moments_of_the_real_ones(packets):
    real, its = packets["with_c"].means, packets["random_c"].means
    assert torch.allclose(its.mean(), real.mean(), atol=0.2 * real.std())
    assert torch.allclose(its.std(), real.std(), rtol=0.2)
    assert (torch.nn.functional.cosine_similarity(its, real) < 0.99).all()


def test_without_c_there_is_nothing_but_what_traces_show(packets):
    its = packets["without_c"]
    assert {spec.id for spec in its.concepts} == set(facts(its.traces))
    assert len(its.concepts) < len(packets["with_c"].concepts)


def test_a_thinned_packet_keeps_what_traces_show_and_a_share_of_the_rest(packets):
    real, grammar = packets["with_c"], domains.get("group.s3")
    shown, every = set(facts(real.traces)), {spec.id for spec in real.concepts}
    held = {share: thinned(real, grammar, share) for share in (0.0, 0.5, 1.0)}
    found = {share: {spec.id for spec in its.concepts} for share, its in held.items()}
    assert found[0.0] == shown
    assert shown < found[0.5] < every
    assert len(found[0.5] - shown) == len(every - shown) / 2
    assert held[1.0] is real
    rows = {spec.id: row for row, spec in enumerate(real.concepts)}
    for row, spec in enumerate(held[0.5].concepts):
        assert torch.equal(held[0.5].means[row], real.means[rows[spec.id]])
        assert torch.equal(held[0.5].exemplars[row], real.exemplars[rows[spec.id]])


def test_wrong_facts_are_dealt_out_among_those_shown(packets):
    right, wrong = facts(packets["with_c"].traces), facts(packets["wrong_facts"].traces)
    assert set(wrong) <= set(right)
    assert sum(wrong[name] != right[name] for name in wrong) > len(wrong) / 2
    assert torch.equal(packets["wrong_facts"].means, packets["with_c"].means)
