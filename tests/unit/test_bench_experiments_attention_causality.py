from dataclasses import replace
from statistics import fmean

import pytest
import torch

from m2kt.bench.experiments.attention_causality import FULL, QUICK, above_random, findings
from m2kt.bench.experiments.experiment import FALLS_SHORT, Scope, record_of
from m2kt.bench.experiments.head_ward import examined
from m2kt.bench.subjects import SUBJECTS
from m2kt.head_test import HeadTestConfig


@pytest.fixture(scope="module")
def ward():
    return examined("mod7-addsub", HeadTestConfig(contrasts=24))


def test_every_teacher_is_somebodys_and_quick_has_two_families():
    teachers = {name for its in SUBJECTS.values() for name in its.teachers}
    assert set(QUICK) < set(FULL) <= teachers
    assert {*teachers} - {*FULL} == {"mod97"}  # 8 heads


def test_the_record_tells_p_effect_and_heads(ward):
    record = record_of("attention-causality", Scope(quick=True), findings([ward], (0,)))
    its = record["causality"]
    sent = [head.p for head in ward.found.tested if head.weight > 0]
    assert its["p"] == (max(sent) if sent else 1.0)
    assert its["p_of_chosen"] == ward.found.p
    assert its["effect"] == ward.found.logits
    assert len(its["heads"]) == len(ward.found.chosen)
    assert set(its["heads"][0]) == {"teacher", "layer", "head", "effect", "p", "weight"}
    assert record["by_teacher"]["mod7-addsub"]["draws"][0]["control"][0]["weight"] == 0.0
    assert [len(table["rows"]) for table in record["tables"]] == [1, 1, 16]
    assert len(record["plots"][-1]["series"]["random sets"]) == 200


def test_claims_are_the_worst_of_all(ward):
    better = replace(ward, teacher="another")
    worse = replace(ward, found=replace(ward.found, random_logits=torch.full((200,), 2.0)), seed=1)
    found = findings([better, worse], (0, 1))
    _, draws, passed, above, control, _ = found.claims
    assert passed.found == fmean([ward.found.p < 0.01, False])
    assert control.found == ward.control.logits / ward.found.logits
    assert draws.found == float(any(head.weight > 0 for head in ward.found.tested))
    assert above.found == pytest.approx(ward.found.logits - 2.0)
    assert not above.holds
    assert found.verdict == FALLS_SHORT


def test_where_every_set_fails_nothing_is_sent_and_no_claim_is_made_of_it(ward):
    failed = replace(ward, found=replace(ward.found, random_logits=torch.full((200,), 2.0)))
    sent, draws, passed, *_ = findings([failed], (0,)).claims
    assert (sent.found, draws.found, passed.found) == (1.0, 0.0, 0.0)
    assert not sent.holds
    assert not draws.holds


def test_heads_in_order_take_more_than_drawn_ones(ward):
    dose = findings([ward], (0,)).claims[-1]
    assert dose.what.startswith("dose-response")
    assert dose.holds
    turned = replace(ward, doses=[(drawn, own) for own, drawn in ward.doses])
    assert findings([ward, turned], (0,)).claims[-1].found == pytest.approx(-dose.found)


def test_heads_of_a_set_that_failed_are_told_without_weight(ward):
    failed = replace(ward.found, random_logits=torch.full((200,), 2.0))
    its = findings([replace(ward, found=failed)], (0,)).figures["causality"]["heads"]
    assert len(its) == len(ward.found.chosen)
    assert {head["weight"] for head in its} == {0.0}


def test_above_random_is_of_both_margins(ward):
    maps, logits = above_random(ward.found)
    assert maps == pytest.approx(
        ward.found.maps - float(torch.quantile(ward.found.random_maps, 0.95))
    )
    assert logits == pytest.approx(
        ward.found.logits - float(torch.quantile(ward.found.random_logits, 0.95))
    )
