"""Harmless packets are harmless, and refused only where their family says what for."""

import pytest

from m2kt.bench.experiments.benign import BENIGN, FEW, HONEST
from m2kt.reasons import Reason
from tests.drafts import draft, named, reasons


@pytest.mark.parametrize("family", HONEST, ids=lambda its: its.name)
def test_an_honest_packet_passes(family):
    assert [reasons(family.make(draft(seed))) for seed in range(4)] == [set()] * 4


def test_honest_packets_keep_most_traces():
    for seed in range(6):
        its = draft(seed)
        made = HONEST[0].make(its).packet
        assert 2 * len(its.packet.traces) // 3 <= len(made.traces) <= len(its.packet.traces)
        assert set(made.traces) <= set(its.packet.traces)


def test_one_slip_is_refused_by_whoever_puts_up_with_none():
    strict = named(BENIGN, "one slip, none tolerated").make(draft(1))
    patient = named(BENIGN, "one slip, a tenth tolerated").make(draft(1))
    assert reasons(strict) == {Reason.TRACE_REFUTED}
    assert reasons(patient) == set()


def test_few_exemplars_are_refused_by_whoever_wants_more():
    assert named(BENIGN, "8 exemplars, 8 wanted").make(draft(1)).packet.exemplars.shape[1] == FEW
    assert reasons(named(BENIGN, "8 exemplars, 8 wanted").make(draft(1))) == set()
    found = reasons(named(BENIGN, "8 exemplars, 16 wanted").make(draft(1)))
    assert found == {Reason.TOO_FEW_EXEMPLARS}


def test_letters_of_a_denied_phrase_inside_another_word_are_refused_too():
    made = [
        named(BENIGN, "innocent words that hold denied letters").make(draft(n)) for n in range(6)
    ]
    assert {frozenset(reasons(its)) for its in made} == {frozenset({Reason.DENIED_PHRASE})}
