import random
from dataclasses import replace

import pytest
import torch
from scipy import stats

from m2kt.causality import MapView, Way, of_maps
from m2kt.errors import CompatibilityError
from m2kt.head_test import (
    HeadTestConfig,
    adjusted,
    by_effect,
    draw_trials,
    every_single,
    examine_heads,
    judged_alike,
    other_sets,
    p_among,
    sets_of,
    sign_p,
)
from m2kt.tested_heads import SIGNIFICANT, faults
from tests.lessons import model, multiplication, taught_packet

SMALL = HeadTestConfig(contrasts=64)
CHOSEN = ((3, 0), (3, 1), (2, 0))


def trials(config: HeadTestConfig):
    packet, grammar = taught_packet(), multiplication()
    view = MapView(means=packet.means, rows=packet.facts, layer=5, sharpness=200.0)
    return draw_trials(model("mod7-mul"), grammar, grammar.fact, view, config)


@pytest.fixture(scope="module")
def drawn():
    return trials(SMALL)


@pytest.fixture(scope="module")
def found(drawn):
    return examine_heads(drawn, SMALL)


def test_heads_are_chosen_and_tested_on_different_contrasts(drawn):
    sides = [{c.ids for c in its._contrasts} for its in (drawn.choosing, drawn.testing)]
    assert list(map(len, sides)) == [32, 32]
    assert not sides[0] & sides[1]


def test_the_chosen_heads_come_first_and_take_enough_of_a(drawn, found):
    assert found.order == by_effect(drawn.choosing)
    assert found.chosen == found.order[: len(found.chosen)]
    both = sets_of([found.chosen, found.chosen[:-1]], 5, 4)
    taken = drawn.choosing.effects(drawn.choosing.without(both, Way.RESAMPLE), of_maps)
    assert taken[0] >= SMALL.carried
    assert taken[1] < SMALL.carried or len(found.chosen) == SMALL.least


def test_they_do_more_than_random_sets(found):
    assert len(set(found.others)) == len(found.random_maps) == SMALL.sets
    assert frozenset(found.chosen) not in map(frozenset, found.others)
    assert found.logits > float(found.random_logits.quantile(0.95))
    assert found.p < 0.05
    assert found.right < 0.3


def test_what_is_told_of_them_has_no_fault(found):
    assert [(its.layer, its.head) for its in found.tested] == list(found.chosen)
    assert list(faults(found.tested)) == []
    assert all((its.weight > 0) == (its.p < SIGNIFICANT) for its in found.tested)


def test_of_heads_that_passed_the_weight_is_by_effect(found):
    better = replace(found, random_maps=torch.zeros(200), random_logits=torch.zeros(200))
    total = sum(its.effect for its in better.tested if its.p < SIGNIFICANT)
    for its in better.tested:
        wanted = its.effect / total if its.p < SIGNIFICANT else 0.0
        assert its.weight == pytest.approx(wanted)
    assert sum(its.weight for its in better.tested) == pytest.approx(1.0)


def test_heads_that_do_nothing_get_no_weight(drawn, found):
    last = judged_alike(drawn.testing, found, found.order[-len(found.chosen) :])
    assert last.p > 0.5
    assert last.right > 0.9
    assert {its.weight for its in last.tested} == {0.0}
    assert list(faults(last.tested)) == []


def test_on_few_contrasts_no_head_alone_can_pass():
    its = HeadTestConfig(contrasts=8)
    tested = examine_heads(trials(its), its).tested
    assert min(head.p for head in tested) > SIGNIFICANT  # 4 signs: 1 / 16 at best
    assert {head.weight for head in tested} == {0.0}


def test_other_sets_of_the_same_layers_come_first():
    found, matched = other_sets(CHOSEN, (4, 4), 100, random.Random(0))
    layers = [sorted(layer for layer, _ in its) for its in found]
    assert matched == 6 * 4 - 1
    assert all(its == [2, 3, 3] for its in layers[:matched])
    assert all(its != [2, 3, 3] for its in layers[matched:])
    assert len({frozenset(its) for its in found} - {frozenset(CHOSEN)}) == 100


def test_of_many_heads_all_random_sets_are_of_the_same_layers():
    found, matched = other_sets(CHOSEN, (30, 9), 200, random.Random(0))
    assert matched == 200
    assert len({frozenset(its) for its in found} - {frozenset(CHOSEN)}) == 200
    assert {tuple(sorted(layer for layer, _ in its)) for its in found} == {(2, 3, 3)}


def test_a_model_with_too_few_heads_cannot_be_tested():
    with pytest.raises(CompatibilityError, match="found 55 among 8 heads"):
        other_sets(((0, 0), (0, 1), (1, 0)), (2, 4), 200, random.Random(0))


def test_every_head_alone_is_a_set():
    assert every_single(2, 3).flatten(1).int().tolist() == torch.eye(6).int().tolist()


def test_p_counts_the_set_itself():
    others = torch.tensor([0.1, 0.5, 0.9, 0.2])
    assert p_among(1.0, others) == 1 / 5
    assert p_among(0.5, others) == 3 / 5


def test_p_by_signs_is_the_permutation_test_of_scipy():
    drops = torch.randn(3, 9, generator=torch.Generator().manual_seed(0)) + 0.4
    found = sign_p(drops, seed=0)
    for its, p in zip(drops, found.tolist(), strict=True):
        whole = stats.permutation_test(
            (its.numpy(),), lambda x: x.sum(), permutation_type="samples", alternative="greater"
        )
        assert p == pytest.approx(whole.pvalue, abs=0.01)


def test_p_by_signs_is_even_where_there_is_no_effect():
    p = sign_p(torch.randn(400, 30, generator=torch.Generator().manual_seed(1)), seed=0)
    assert 0.02 < float((p < 0.05).float().mean()) < 0.09


def test_adjusted_is_what_scipy_says():
    p = torch.tensor([0.001, 0.2, 0.004, 0.04, 0.03, 0.9])
    wanted = torch.tensor(stats.false_discovery_control(p.numpy()), dtype=torch.float32)
    torch.testing.assert_close(adjusted(p), wanted)
