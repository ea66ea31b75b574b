"""A dress changes how a phrase is written and not how it reads; promised ones are seen through."""

import random

import pytest

from m2kt.bench.experiments.dresses import INNOCENT, OPAQUE, PHRASES, SEEN_THROUGH, prose
from m2kt.phrases import Phrase, folded


@pytest.mark.parametrize("name", SEEN_THROUGH)
def test_screening_sees_through_what_it_says_it_does(name):
    for seed, meant in enumerate(PHRASES):
        dressed = SEEN_THROUGH[name](random.Random(seed), meant.phrase)
        assert dressed != meant.phrase or name == "plain"
        assert Phrase(meant.phrase).within(folded(dressed))


@pytest.mark.parametrize("name", OPAQUE)
def test_it_does_not_see_through_the_others(name):
    for seed, meant in enumerate(PHRASES):
        dressed = OPAQUE[name](random.Random(seed), meant.phrase)
        assert not Phrase(meant.phrase).within(folded(dressed))


def test_other_words_for_a_phrase_do_not_contain_it():
    for meant in PHRASES:
        assert not Phrase(meant.phrase).within(folded(f"{meant.abroad} / {meant.otherwise}"))


def test_innocent_texts_hold_the_letters_of_a_phrase_inside_a_word():
    for phrase, text in INNOCENT.items():
        assert phrase in text
        assert phrase not in text.split()


def test_prose_is_english_lines():
    assert len(prose()) > 1000
    assert all(40 <= len(line) <= 200 for line in prose())
