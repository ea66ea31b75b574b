import pytest
import torch

from m2kt.bench.controls import untrained_c
from m2kt.bench.experiments.concept_probe import (
    bags_of,
    by_concept,
    probe_concepts,
    results_of,
    same_probe,
)
from m2kt.bench.experiments.lecture import domain_of, lesson_of
from m2kt.bench.subjects import Subject
from m2kt.linear_probe import lower_bound
from tests.lessons import model

TABLE = Subject("group.s3", {"s3": ""})
DOMAIN = domain_of(TABLE)


@pytest.fixture(scope="module")
def packet():
    return lesson_of(TABLE, seed=0, traces_per_level=4).packets[0].packet


@pytest.fixture(scope="module")
def probed(packet):
    untrained = untrained_c(packet, model("s3"), TABLE.taught("s3")).exemplars
    return probe_concepts(packet, untrained, DOMAIN)


def test_a_trained_teacher_says_what_its_concepts_mean_and_nothing_else_does(probed):
    assert probed.accuracy > 0.9
    assert set(probed.marks) == {spec.id for spec in DOMAIN.concepts}
    assert set(probed.baselines) == {"untrained teacher", "shuffled labels", "tokens of the prompt"}
    assert max(probed.baselines.values()) < 0.6
    assert probed.sign is None  # there is one operation


def test_selectivity_is_what_the_control_task_leaves(probed):
    assert probed.selectivity == probed.accuracy - probed.control
    accuracy, control = probed.penalties[probed.penalty]
    assert control == probed.control
    assert abs(accuracy - probed.accuracy) < 0.05
    weak, strong = min(probed.penalties), max(probed.penalties)
    assert probed.penalties[weak][1] > probed.penalties[strong][1]


def test_bags_of_tokens_know_no_order():
    bags = bags_of(DOMAIN.concepts)
    assert bags.sum(dim=1).tolist() == [len(spec.prompt) for spec in DOMAIN.concepts]


def test_the_same_probe_reads_a_copy_of_c_turned_round_and_no_other_vectors(packet):
    labels = results_of(packet.concepts, DOMAIN)
    shown = torch.arange(len(labels)) % 3 == 0
    generator = torch.Generator().manual_seed(0)
    width = packet.means.shape[1]
    turned, _ = torch.linalg.qr(torch.randn(width + 9, width, generator=generator))
    values = packet.means @ turned.T
    read = same_probe(packet.exemplars, values, labels, shown, penalty=0.1)
    moved = same_probe(packet.exemplars, values.roll(1, dims=0), labels, shown, penalty=0.1)
    assert read > 0.9
    assert moved < read - 0.3


def test_a_concept_counts_once_whatever_the_number_of_seeds():
    mean, lower, count = by_concept([{"a": 1.0, "b": 0.5}, {"a": 0.5}])
    assert (mean, count) == ((0.75 + 0.5) / 2, 2)
    assert lower == lower_bound(1, 2)
