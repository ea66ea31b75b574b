import pytest

from m2kt.bench.experiments.head_ward import HALF, examined
from m2kt.causality import Way
from m2kt.head_test import HeadTestConfig


@pytest.fixture(scope="module")
def ward():
    return examined("mod7-mul", HeadTestConfig(contrasts=40, seed=1))


def test_a_ward_is_named(ward):
    assert (ward.teacher, ward.family, ward.seed) == ("mod7-mul", "gpt_neox", 1)


def test_all_heads_make_the_whole_effect_and_more_heads_make_more(ward):
    own, drawn = zip(*ward.doses, strict=True)
    assert len(own) == 20
    assert own[-1] == drawn[-1] == pytest.approx(1.0, abs=1e-4)
    assert own[0] < own[4] < 1.01
    assert sum(own) > sum(drawn)
    assert ward.whole > 1


def test_the_control_looks_as_much_where_texts_are_the_same_and_does_less(ward):
    own, elsewhere = ward.masses
    assert len(ward.control.chosen) == len(ward.found.chosen)
    assert not set(ward.control.chosen) & set(ward.found.chosen)
    assert elsewhere >= min(HALF, own) - 0.1
    assert ward.control.logits < ward.found.logits
    assert ward.control.others is ward.found.others


def test_where_heads_look_is_told_beside_what_they_say(ward):
    assert set(ward.looks) == {Way.PATTERN, Way.UNIFORM}
    for effect, p in ward.looks.values():
        assert effect < ward.found.logits
        assert 1 / 201 <= p <= 1
    assert ward.backward[Way.RESAMPLE] == pytest.approx(ward.found.logits, abs=0.3)
    assert ward.backward[Way.PATTERN] < ward.backward[Way.RESAMPLE]
