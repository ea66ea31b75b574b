import random
from functools import cache

import pytest
import torch

from m2kt import domains
from m2kt.activations import decoder, record
from m2kt.errors import CompatibilityError
from m2kt.survey import BACK, Site, Survey, survey
from tests.lessons import model, multiplication


@cache
def asked() -> Survey:
    return survey(model("mod7-mul"), multiplication(), prompts=40, rng=random.Random(0))


def test_places_are_where_the_teacher_decides_and_said_is_its_own_choice():
    its = asked()
    with torch.no_grad():
        for number in range(0, len(its.places), 7):
            text, at = its.places[number].tolist()
            logits = its.teacher.model(torch.tensor([its.rows[text].ids])).logits[0, at]
            token = its.teacher.symbol_ids(multiplication().symbols)[int(its.said[number])]
            assert int(logits.argmax()) == token == its.rows[text].ids[at + 1]


def test_states_are_those_of_the_model_at_layer_and_position():
    its, chosen = asked(), torch.tensor([0, 5, 11])
    sites = [Site(0), Site(2, 1), Site(5, 2)]
    found = its.states(sites, chosen)
    for row, number in enumerate(chosen.tolist()):
        text, at = its.places[number].tolist()
        ids = torch.tensor([its.rows[text].ids])
        with torch.no_grad(), record(its.teacher.model, layers=range(6)) as recording:
            decoder(its.teacher.model)(input_ids=ids)
        for site in sites:
            wanted = recording.states[site.layer][0, at - site.back]
            assert torch.allclose(found[site][row], wanted, atol=1e-4)


def test_every_layer_and_position_is_a_site():
    assert len(asked().sites) == len(set(asked().sites)) == 6 * BACK


def test_some_places_are_of_different_texts():
    texts = asked().places[asked().some(15), 0].tolist()
    assert len(texts) == len(set(texts)) == 15


def test_attributions_are_those_of_finite_differences():
    its, chosen, site = asked(), torch.tensor([3]), Site(4)
    state = its.states([site], chosen)[site][0]
    text, at = its.places[3].tolist()
    ids = torch.tensor([its.rows[text].ids])
    found = its.attributions([site], chosen)[0][site][0]

    def logit(change: float) -> float:
        layer = its.teacher.model.gpt_neox.layers[site.layer]

        def scaled(_module, args):
            states = args[0].clone()
            states[0, at] = state * (1 + change)
            return (states, *args[1:])

        handle = layer.register_forward_pre_hook(scaled)
        try:
            with torch.no_grad():
                return float(its.teacher.model(ids).logits[0, at, its.rows[text].ids[at + 1]])
        finally:
            handle.remove()

    slope = (logit(1e-2) - logit(-1e-2)) / 2e-2
    assert float(found.sum()) == pytest.approx(slope, rel=0.05, abs=1e-2)


def test_in_the_last_layer_all_attribution_is_at_the_place_itself():
    sites = [Site(5, back) for back in range(BACK)]
    shares = asked().attributions(sites, asked().some(20))[1]
    assert shares[Site(5)] == pytest.approx(1.0, abs=1e-4)
    assert max(shares[site] for site in sites[1:]) < 1e-4


def test_a_teacher_that_writes_nothing_of_the_domain_is_no_teacher():
    with pytest.raises(CompatibilityError, match="right teacher"):
        survey(model("mod7-mul"), domains.get("group.s3"), prompts=5, rng=random.Random(0))


def test_texts_about_facts_that_the_teacher_does_not_teach_are_left_out():
    some = [spec.id for spec in multiplication().concepts if "0" not in spec.prompt][:20]
    part = multiplication().restrict(frozenset(some))
    its = survey(model("mod7-mul"), part, prompts=200, rng=random.Random(0))
    assert set(its.facts) <= set(part.facts)
    assert len(its.rows) >= 20


def test_a_handful_of_texts_is_too_few():
    with pytest.raises(CompatibilityError, match="raise `prompts`"):
        survey(model("mod7-mul"), multiplication(), prompts=10, rng=random.Random(0))
