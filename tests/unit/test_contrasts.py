import random
from dataclasses import replace
from functools import cache

import pytest

from m2kt.completion import greedy
from m2kt.contrasts import draw_contrasts
from m2kt.errors import CompatibilityError
from tests.lessons import model, multiplication

TEACHER = model("mod7-mul")


@cache
def drawn(count: int = 24, recall=None, seed: int = 0):
    recall = recall or multiplication().fact
    rng = random.Random(seed)
    return draw_contrasts(TEACHER, multiplication(), recall, count=count, rng=rng)


def test_texts_of_a_contrast_have_one_form_and_different_results():
    found, asked = drawn()
    assert len({its.ids for its in found}) == len(found) == 24
    assert asked >= 2 * len(found)
    for its in found:
        assert len(its.ids) == len(its.other_ids)
        assert its.ids != its.other_ids
        assert its.ids[-1] == its.other_ids[-1]
        assert its.result != its.other_result
        assert its.concept != its.other_concept


def test_the_teacher_itself_gives_both_results():
    found, _ = drawn()
    texts = [its.ids for its in found] + [its.other_ids for its in found]
    said = [first for first, *_ in greedy(TEACHER.model, texts, max_new_tokens=1, pad=0)]
    assert said == [its.result for its in found] + [its.other_result for its in found]


def test_contrasts_are_of_first_and_of_later_steps():
    lines = {TEACHER.tokenizer.decode(its.ids).count("\n") for its in drawn()[0]}
    assert {1, 2} <= lines


def test_the_same_seed_draws_the_same():
    assert drawn() == drawn.__wrapped__()
    assert drawn() != drawn(seed=1)


def test_a_fact_that_nobody_told_is_in_no_contrast():
    known = {spec.id: multiplication().fact(spec.id) for spec in multiplication().concepts[14:28]}
    found, _ = drawn(8, known.__getitem__)
    assert {its.concept for its in found} | {its.other_concept for its in found} <= set(known)


def test_there_is_a_way_back():
    first, *_ = drawn()[0]
    assert first.backward.backward == first
    assert replace(first.backward, ids=first.ids).other_ids == first.ids


def test_what_the_teacher_does_not_know_cannot_be_contrasted():
    with pytest.raises(CompatibilityError, match="that mod7-mul knows, found 0"):
        drawn(2, lambda _: "0")
