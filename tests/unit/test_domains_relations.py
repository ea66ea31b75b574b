"""Relations have the texts of chains, and states and operations for concepts."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2kt import domains
from m2kt.domains.chains import Chains, Operation
from m2kt.domains.relations import Relations
from m2kt.domains.tables import NUMERALS, modular
from m2kt.errors import PacketError, RequestError

CHAINS = modular(7, "+-")
DOMAIN = Relations(CHAINS)
seeds = st.integers(0, 2**32 - 1)
levels = st.sampled_from(DOMAIN.levels)


def test_concepts_are_states_and_operations_and_facts_relate_them():
    assert [spec.prompt for spec in DOMAIN.concepts] == [*"0123456", "+", "-"]
    assert len(DOMAIN.facts) == 98
    parts = DOMAIN.parts("arith.mod7/3-5")
    assert (parts.left, parts.operator, parts.right) == (
        "arith.mod7/3",
        "arith.mod7/-",
        "arith.mod7/5",
    )
    assert DOMAIN.fact("arith.mod7/3-5") == "5"


@given(seeds, levels)
def test_texts_are_those_of_chains(seed, level):
    question = DOMAIN.question(random.Random(seed), level)
    assert question == CHAINS.question(random.Random(seed), level)
    trace, plain = DOMAIN.solve(question.text), CHAINS.solve(question.text)
    assert trace.text == plain.text
    assert DOMAIN.parse(trace.text) == trace
    for its, fact in zip(trace.steps, plain.steps, strict=True):
        assert its.concept == DOMAIN.element(its.result)
        assert DOMAIN.recalled(its) == fact.concept
        left, right = its.operands
        named = {DOMAIN.element(symbol) for symbol in (left, right, its.result)}
        assert DOMAIN.names(its) == named | {f"arith.mod7/{its.rule}"}


@pytest.mark.parametrize("spec", DOMAIN.concepts, ids=lambda spec: spec.prompt)
def test_a_concept_is_read_where_its_name_has_just_been_read(spec):
    found = DOMAIN.contexts(random.Random(0), spec.id, 40)
    assert len(set(found)) == 40
    for text in found:
        assert text.endswith(spec.prompt)
        rest = "" if spec.prompt in DOMAIN.symbols else "3"
        assert CHAINS.solve(text + rest).question == text + rest


def test_restricted_to_facts_it_asks_for_these_alone():
    wanted = frozenset({"arith.mod7/3-5", "arith.mod7/6+6"})
    narrowed = DOMAIN.restrict(wanted)
    assert set(narrowed.facts) == wanted
    asked = {narrowed.question(random.Random(seed), 1).text for seed in range(50)}
    assert asked == {"3-5", "6+6"}
    assert [spec.prompt for spec in narrowed.concepts] == [*"0123456", "+", "-"]


def test_restricted_to_an_operation_it_keeps_every_state():
    narrowed = DOMAIN.restrict(frozenset({"arith.mod7/+"}))
    assert [spec.prompt for spec in narrowed.concepts] == [*"0123456", "+"]
    assert len(narrowed.facts) == 49
    with pytest.raises(PacketError, match="none of them"):
        DOMAIN.restrict(frozenset({"arith.mod7/3"}))


def test_what_it_does_not_have_is_refused():
    with pytest.raises(PacketError, match="98 facts"):
        DOMAIN.parts("arith.mod7/3*5")
    with pytest.raises(PacketError, match="7 symbols"):
        DOMAIN.element("7")
    with pytest.raises(PacketError, match="9 concepts"):
        DOMAIN.contexts(random.Random(0), "arith.mod7/3+5", 1)


def test_a_domain_of_facts_has_no_relations():
    assert not CHAINS.relational
    with pytest.raises(PacketError, match="relates concepts"):
        CHAINS.parts("arith.mod7/3+5")
    with pytest.raises(PacketError, match="names a concept"):
        CHAINS.element("3")


def test_an_operation_that_takes_no_state_relates_nothing():
    flip = Operation("!", "the opposite of {left}", ("",), {("a", ""): "b", ("b", ""): "a"})
    with pytest.raises(RequestError, match="that take states"):
        Relations(Chains("flips", "ab", [flip]))


def test_arithmetic_modulo_97_has_a_character_for_each_number():
    domain = domains.get("arith.mod97")
    assert domain.relational
    assert domain.symbols == tuple(NUMERALS)
    assert len(set(NUMERALS)) == len(domain.symbols) == 97
    assert len(domain.facts) == 2 * 97**2
    assert domain.fact("arith.mod97/т+т") == NUMERALS[95]
