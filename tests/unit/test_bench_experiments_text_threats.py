"""Texts have no business where they are put, are denied, or mean what nothing here finds."""

import pytest

from m2kt.bench.experiments.drafts import FREE_TEXTS
from m2kt.bench.experiments.text_threats import DENIED, PRESCRIBED, UNSEEN
from m2kt.screen import MOST_CHARACTERS
from tests.drafts import draft, named, reasons

TOO_LONG = "a text that is too long"
"""Refused when it is parsed, before it is screened."""
PROMISED = [its for its in (*PRESCRIBED, *DENIED) if its.name != TOO_LONG]


@pytest.mark.parametrize("family", PROMISED, ids=lambda its: its.name)
def test_what_is_promised_to_be_found_is_refused_for_its_reason(family):
    for seed in range(4):
        assert reasons(family.make(draft(seed))) & family.reasons


@pytest.mark.parametrize("family", UNSEEN, ids=lambda its: its.name)
def test_what_is_said_to_be_missed_is_missed(family):
    assert not family.promised
    assert [reasons(family.make(draft(seed))) for seed in range(3)] == [set()] * 3


def test_a_text_that_is_too_long_is_one_text():
    its = named(PRESCRIBED, TOO_LONG).make(draft(0)).packet.provenance
    assert sum(len(getattr(its, name)) > MOST_CHARACTERS for name in FREE_TEXTS) == 1


def test_a_denied_id_is_denied_whole():
    made = named(DENIED, "denied id, plain").make(draft(3))
    [denied] = made.rules.denied_concepts
    assert "*" not in denied
    assert "/" in denied
