import random

import pytest
import torch

from m2kt.attention import Change, HeadStates, attended
from m2kt.causality import HeadTrial, MapView, Way, of_logits, of_maps
from m2kt.contrasts import draw_contrasts
from tests.lessons import model, multiplication, taught_packet

LAYERS, HEADS, COUNT = 5, 4, 12
EVERY = torch.ones(1, LAYERS, HEADS, dtype=torch.bool)
MARGINS = (of_maps, of_logits)


def view() -> MapView:
    packet = taught_packet()
    rows = packet.facts
    return MapView(means=packet.means, rows=rows, layer=LAYERS, sharpness=200.0)


@pytest.fixture(scope="module")
def contrasts():
    rng = random.Random(0)
    grammar = multiplication()
    return draw_contrasts(model("mod7-mul"), grammar, grammar.fact, count=COUNT, rng=rng)[0]


@pytest.fixture(scope="module")
def trial(contrasts):
    return HeadTrial(model("mod7-mul"), contrasts, view())


def test_a_trial_knows_its_heads_and_that_texts_are_right(trial):
    assert (trial.layers, trial.heads) == (LAYERS, HEADS)
    assert trial.intact.right.all()
    assert not trial.other.right.any()
    assert (trial.intact.logits > 0).all()
    assert (trial.other.logits < 0).all()


@pytest.mark.parametrize("margin", MARGINS)
def test_all_heads_make_the_whole_difference_and_none_makes_none(trial, margin):
    found = trial.without(torch.cat([EVERY, ~EVERY]), Way.RESAMPLE)
    torch.testing.assert_close(trial.effects(found, margin), torch.tensor([1.0, 0.0]))
    assert found.right.float().mean(dim=1).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("margin", MARGINS)
def test_backward_the_other_text_is_the_text(trial, margin):
    back = trial.backward()
    torch.testing.assert_close(margin(back.intact), -margin(trial.other), atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(margin(back.other), -margin(trial.intact), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("number", range(0, COUNT, 4))
@torch.no_grad()
def test_a_place_worked_on_alone_says_what_it_says_in_the_whole_text(trial, contrasts, number):
    lm, its = model("mod7-mul").model, contrasts[number]
    last = torch.tensor([len(its.ids) - 1])
    heads = EVERY.clone()
    heads[0, :, 1:] = False
    with attended(lm) as seen:
        lm(torch.tensor([its.other_ids]))
    with attended(lm, Change(heads=heads, columns=last, source=seen.at(last))):
        logits = lm(torch.tensor([its.ids])).logits[0, -1]
    found = trial.without(heads, Way.RESAMPLE).logits[0, number]
    wanted = logits[its.result] - logits[its.other_result]
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-4)


def test_where_heads_look_is_less_than_what_they_say(trial):
    effects = {way: float(trial.effects(trial.without(EVERY, way), of_logits)) for way in Way}
    assert effects[Way.RESAMPLE] == pytest.approx(1.0)
    assert 0.0 < effects[Way.PATTERN] < 1.0
    assert 0.0 < effects[Way.UNIFORM] < 1.0


def test_attention_where_texts_differ_is_a_share(trial):
    found = trial.relevant()
    assert found.shape == (LAYERS, HEADS)
    assert ((found >= 0) & (found <= 1)).all()
    assert found.max() > 0.3


def test_attention_of_equal_texts_finds_nothing_else(contrasts):
    its = [type(c)(c.ids, c.result, c.concept, c.ids, c.other_result, c.concept) for c in contrasts]
    trial = HeadTrial(model("mod7-mul"), its, view())
    assert trial.relevant().max() == 0
    alike = trial.without(EVERY, Way.RESAMPLE)
    torch.testing.assert_close(alike.logits, trial.intact.logits, atol=1e-4, rtol=1e-4)


def test_passes_are_counted(contrasts):
    trial = HeadTrial(model("mod7-mul"), contrasts, view())
    before = trial.passes
    trial.without(torch.cat([EVERY, EVERY, EVERY]), Way.RESAMPLE)
    assert before == 4 * COUNT  # both texts, whole, then at their places
    assert trial.passes == before + 3 * COUNT


def test_sources_are_taken_row_by_row(trial):
    assert isinstance(trial._uniform(), HeadStates)
    sums = trial._uniform().patterns.sum(dim=-1)
    torch.testing.assert_close(sums, torch.ones_like(sums))
