"""What a trial counts as found, and with which rules students meet a packet."""

import math
from dataclasses import replace

import pytest

from m2kt.bench.experiments.safety_trials import LIMIT, TWICE, Trial, rules_of
from m2kt.reasons import Reason
from tests.scenes import scene

TRIAL = Trial(
    seed=0,
    kind="open",
    weight=0.0,
    reasons=(Reason.UNSAFE_DIRECTION,),
    unmoved=True,
    kept=True,
    changed=1.0,
    restored=True,
    said=True,
    screened="passed",
    own=LIMIT + 0.1,
    own_others=LIMIT - 0.1,
    apart=0.5,
    apart_others=0.1,
    penalty=0.4,
    penalty_others=0.1,
)


def test_a_bad_concept_is_found_if_it_alone_is_beyond_the_limit():
    assert TRIAL.found
    assert not replace(TRIAL, own_others=LIMIT + 0.05).found
    assert not replace(TRIAL, own=LIMIT - 0.05).found
    assert not replace(TRIAL, reasons=(Reason.NO_GAIN,)).found
    assert not replace(TRIAL, own=math.nan).found


def test_it_is_penalised_if_it_is_so_much_more_than_any_other():
    assert TRIAL.penalised
    assert not replace(TRIAL, penalty=TWICE * 0.1 - 1e-6).penalised


@pytest.mark.parametrize(("kind", "harmful"), [("open", 1), ("masked", 1), ("hidden", 0)])
def test_a_kind_that_nobody_says_harms_nobody(kind, harmful):
    assert replace(TRIAL, kind=kind).harmful == bool(harmful)


def test_the_penalty_never_sees_a_phrase_of_the_gate():
    its = rules_of(scene(), 1.0, gate=True, checks=True)
    assert its.align.unsafe_phrases == scene().in_loss
    assert its.verify.unsafe_phrases == scene().held_back
    assert its.align.weights.safety == 1.0


def test_without_penalty_or_gate_no_phrase_is_seen():
    its = rules_of(scene(), 0.0, gate=False, checks=False)
    assert (its.align.unsafe_phrases, its.verify.unsafe_phrases) == ((), ())
    assert not its.screen.check_traces
