"""Which dresses of a phrase are seen through, and that nothing else is taken for it."""
# ruff: noqa: RUF001  # look-alikes are the point

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2kt.phrases import Phrase, folded

LOOK_ALIKES = {
    "a": "аαɑ",
    "c": "сϲ",
    "e": "еҽ",
    "i": "іι",
    "o": "оοօ",
    "p": "рρ",
    "s": "ѕꓢ",
    "x": "х",
    "y": "уγ",
    "n": "ոη",
    "v": "νѵ",
    "t": "тТΤ",
    "h": "һнН",
}
words = st.text(string.ascii_lowercase + " ", min_size=1, max_size=12).filter(str.strip)
plain = st.text(string.ascii_letters + string.digits + " +-*=", max_size=40)


def found(phrase: str, text: str) -> bool:
    return Phrase(phrase).within(folded(text))


@given(words, plain, plain, st.data())
def test_a_phrase_is_found_whichever_of_its_letters_are_look_alikes(phrase, before, after, data):
    dressed = "".join(
        data.draw(st.sampled_from([letter, letter.upper(), *LOOK_ALIKES.get(letter, "")]))
        for letter in phrase
    )
    assert found(phrase, before + dressed + after)


@given(
    words, st.lists(st.sampled_from("\u0301\u0336\u20dd\u200b\u00ad\u2060\u202e\x00"), max_size=6)
)
def test_marks_and_what_cannot_be_seen_make_no_difference(phrase, added):
    dressed = phrase[0] + "".join(added) + phrase[1:] + "".join(added)
    assert found(phrase, dressed)


@given(words, plain)
def test_in_ascii_nothing_is_found_but_the_phrase(phrase, text):
    assert found(phrase, text) == (" ".join(phrase.split()) in " ".join(text.lower().split()))


@given(st.text(max_size=20))
def test_folding_twice_is_folding_once(text):
    assert folded(folded(text)) == folded(text)


@given(st.text(min_size=1, max_size=10).filter(folded), st.text(max_size=5), st.text(max_size=5))
def test_a_phrase_of_any_script_is_found_in_itself(phrase, before, after):
    assert found(phrase, f"{before} {phrase} {after}")


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("нервный газ", "НЕРВНЫЙ ГАЗ"),
        ("нервный газ", "нepвный гaз"),  # Latin p, e and a
        ("straße", "STRASSE"),
        ("한국", unicodedata.normalize("NFD", "한국")),
        ("ｎerve", "nerve"),
        ("10", "\U0001d7cf\U0001d7ce"),  # bold digits
    ],
)
def test_phrases_of_other_scripts_are_seen_through_too(phrase, text):
    assert found(phrase, text)


@pytest.mark.parametrize(
    "text", ["n3rve agent", "nerve-agent", "nerve agcnt", "nervе", "reverse agent", "нерв агент"]
)
def test_what_is_not_claimed_to_be_found_is_not(text):
    assert not found("nerve agent", text)


@pytest.mark.parametrize("text", ["", " ", "\u200b", "\u0301", "\u3164", "\u2800", "\x00"])
def test_a_phrase_of_which_nothing_can_be_seen_is_empty(text):
    assert Phrase(text).text == ""
