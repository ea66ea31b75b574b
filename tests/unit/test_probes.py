"""Probes are apart from what was trained on, as many as there are, and the same for a seed."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2kt import domains
from m2kt.errors import RequestError
from m2kt.probes import Probe, ProbeSet, draw_probes

DOMAIN = domains.get("arith.mod5")
ALL_OF_LEVEL_ONE = {f"{a}{op}{b}" for a in range(5) for b in range(5) for op in "+-*"}


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(0, 2**32))
def test_no_probe_is_among_what_was_trained_on_and_none_comes_twice(seed, per_level, other):
    rng = random.Random(other)
    trained = {DOMAIN.question(rng, level).text for level in DOMAIN.levels for _ in range(9)}
    found = draw_probes(DOMAIN, seed=seed, per_level=per_level, exclude=trained)
    texts = [probe.question for probe in found.items]
    assert trained.isdisjoint(texts)
    assert len(set(texts)) == len(texts)
    assert [len(found.at(level)) for level in DOMAIN.levels] == [per_level] * 4


@given(st.integers(0, 2**32))
def test_a_seed_stands_for_one_set_and_answers_are_true(seed):
    found = draw_probes(DOMAIN, seed=seed, per_level=2)
    assert found == draw_probes(DOMAIN, seed=seed, per_level=2)
    assert found.domain == DOMAIN.name
    for probe in found.items:
        trace = DOMAIN.solve(probe.question)
        assert probe.answer == trace.answer
        assert probe.concepts == tuple(step.concept for step in trace.steps)
        assert len(probe.concepts) == probe.level


def test_another_seed_gives_another_set():
    one, other = (draw_probes(DOMAIN, seed=seed, per_level=20) for seed in (1, 2))
    assert one != other


def test_a_level_gives_all_that_training_left():
    left = {"1+1", "2*3", "4-4"}
    found = draw_probes(DOMAIN, seed=1, per_level=50, exclude=ALL_OF_LEVEL_ONE - left)
    assert {probe.question for probe in found.at(1)} == left
    assert len(found.at(2)) == 50


def test_an_exam_without_probes_is_no_exam():
    with pytest.raises(RequestError, match="at least one"):
        draw_probes(DOMAIN, seed=1, per_level=0)
    with pytest.raises(RequestError):
        ProbeSet("arith.mod5", ())
    assert ProbeSet("arith.mod5", (Probe("1+1", 1, "2", ()),)).at(2) == ()


@given(st.integers(1, 9), st.integers(1, 12))
def test_rounds_are_all_items_once_and_levels_take_turns(per_level, size):
    found = draw_probes(DOMAIN, seed=3, per_level=per_level)
    rounds = list(found.rounds(size))
    for level in DOMAIN.levels:
        in_turn = [its.at(level) for its in rounds]
        assert tuple(item for its in in_turn for item in its) == found.at(level)
        assert all(len(its) == size for its in in_turn[:-1])
    assert {its.domain for its in rounds} == {found.domain}


def test_a_level_with_fewer_items_is_done_earlier():
    left = {"1+1", "2*3", "4-4"}
    found = draw_probes(DOMAIN, seed=1, per_level=5, exclude=ALL_OF_LEVEL_ONE - left)
    assert [len(its.at(1)) for its in found.rounds(2)] == [2, 1, 0]
    with pytest.raises(RequestError, match="at least one item"):
        next(found.rounds(0))
