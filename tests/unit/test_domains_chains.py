"""Chains of operations keep the laws of a domain, and never trust a text."""

import contextlib
import pickle
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2kt import domains
from m2kt.domain import answer_in
from m2kt.domains.tables import modular
from m2kt.errors import DomainError, PacketError, RequestError
from m2kt.probes import draw_probes

SEVEN = modular(7)
seeds = st.integers(0, 2**32 - 1)
levels = st.sampled_from(SEVEN.levels)
moduli = st.integers(2, 10)
selections = st.sets(st.sampled_from("+-*"), min_size=1).map("".join)
concepts = st.sampled_from([spec.id for spec in SEVEN.concepts])


def random_trace(seed, level, domain=SEVEN):
    return domain.solve(domain.question(random.Random(seed), level).text)


def test_known_domains_come_by_name_and_unknown_ones_are_told_the_list():
    assert "arith.mod7" in domains.names()
    for name in domains.names():
        assert domains.get(name).name == name
    assert len(domains.get("arith.mod7").concepts) == 147
    with pytest.raises(DomainError, match=r"arith\.mod7.*mod6"):
        domains.get("arith.mod6")


def test_the_text_form_is_the_agreed_one():
    trace = SEVEN.solve("3+5*2")
    assert trace.text == "3+5*2\n3+5=1\n1*2=2\n#2\n"
    assert [step.concept for step in trace.steps] == ["arith.mod7/3+5", "arith.mod7/1*2"]
    assert SEVEN.concepts[0].prompt == "0+0="
    assert SEVEN.concepts[0].gloss == "0 plus 0 modulo 7"


@given(seeds, levels, moduli, selections)
def test_solving_agrees_with_integers(seed, level, modulus, operations):
    domain = modular(modulus, operations)
    trace = random_trace(seed, level, domain)
    value = int(trace.question[0])
    for step in trace.steps:
        assert step.operands[0] == str(value)
        assert step.rule in operations
        value = {
            "+": value + int(step.operands[1]),
            "-": value - int(step.operands[1]),
            "*": value * int(step.operands[1]),
        }[step.rule] % modulus
        assert step.result == str(value)
    assert trace.answer == str(value) == answer_in(trace.completion)
    assert "".join("".join(s.rule + s.operands[1]) for s in trace.steps) == trace.question[1:]
    assert len(trace.completion) == domain.completion_characters(level)


@given(seeds, levels, moduli)
def test_reading_a_written_trace_gives_it_back(seed, level, modulus):
    domain = modular(modulus)
    trace = random_trace(seed, level, domain)
    assert domain.parse(trace.text) == trace
    assert domain.faults(trace) == ()


@given(seeds, levels)
def test_results_stand_where_they_are_due(seed, level):
    trace = random_trace(seed, level)
    assert len(trace.due()) == level
    for step, at in zip(trace.steps, trace.due(), strict=True):
        assert trace.text[at] == step.result
        assert trace.text[:at].endswith("\n" + step.stem)


@given(seeds, levels, st.data())
def test_any_single_flip_after_the_question_is_a_fault(seed, level, data):
    trace = random_trace(seed, level)
    at = data.draw(st.integers(len(trace.prompt), len(trace.text) - 1))
    flipped = data.draw(st.characters(codec="ascii").filter(lambda c: c != trace.text[at]))
    text = trace.text[:at] + flipped + trace.text[at + 1 :]
    try:
        found = SEVEN.parse(text)
    except PacketError:
        return
    assert SEVEN.faults(found)


@given(seeds, st.integers(2, 4))
def test_a_missing_step_is_a_fault(seed, level):
    trace = random_trace(seed, level)
    lines = trace.text.split("\n")
    assert SEVEN.faults(SEVEN.parse("\n".join(lines[:1] + lines[2:])))


@given(st.text(max_size=60) | st.text(alphabet="0123456789+-*=#\n", max_size=60))
def test_any_text_is_read_exactly_or_refused(text):
    with contextlib.suppress(PacketError):
        assert SEVEN.parse(text).text == text
    with contextlib.suppress(PacketError):
        assert SEVEN.work(text, SEVEN.fact).question == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3+5",
        "3+5\n#1\n",
        "3+5\n3+5=1\n#1",
        "3+5\n3+5=1\n#1\n\n",
        "3+5\r\n3+5=1\n#1\n",
        "3+7\n3+7=3\n#3\n",
        "3+5\n3+5=7\n#0\n",
        "3+5\n3+5=1\n#11\n",
        "3+\u0665\n3+5=1\n#1\n",
        "3/5\n3/5=1\n#1\n",
        "1+1+1+1+1+1\n1+1=2\n#2\n",
        "3+5\n" + "3+5=1\n" * 5 + "#1\n",
        "3+5\n" * 1_000_000,
    ],
)
def test_a_text_of_another_form_is_refused(text):
    with pytest.raises(PacketError, match="expected"):
        SEVEN.parse(text)


@pytest.mark.parametrize("result", ["7", "", "12", "a", "\u0663"])
def test_a_recalled_result_must_be_a_state_symbol(result):
    with pytest.raises(PacketError, match="expected one of"):
        SEVEN.work("3+5", lambda _: result)


def test_recall_is_asked_for_each_fact_with_what_was_recalled_before():
    asked = []

    def recall(concept):
        asked.append(concept)
        return "6"

    trace = SEVEN.work("3+5*2-0", recall)
    assert asked == ["arith.mod7/3+5", "arith.mod7/6*2", "arith.mod7/6-0"]
    assert trace.answer == "6"
    assert SEVEN.parse(trace.text) == trace


@settings(max_examples=20)
@given(seeds, concepts, st.integers(0, 60), selections)
def test_contexts_differ_and_end_where_the_result_is_due(seed, concept, count, operations):
    fact = concept.partition("/")[2]
    domain = modular(7, "".join(set(operations) | {fact[1]}))
    texts = domain.contexts(random.Random(seed), concept, count)
    assert len(set(texts)) == len(texts) == count
    for text in texts:
        assert text.endswith(f"\n{fact}=")
        trace = domain.work(text.partition("\n")[0], domain.fact)
        assert text == trace.text[: trace.due()[0]]
        assert trace.steps[0].concept == concept


def test_there_are_only_so_many_contexts():
    lonely = SEVEN.restrict(frozenset({"arith.mod7/3+5"}))
    texts = lonely.contexts(random.Random(0), "arith.mod7/3+5", 100)
    assert sorted(texts) == [f"3+5{'+5' * n}\n3+5=" for n in range(4)]
    with pytest.raises(PacketError, match="expected one of 1 concepts"):
        lonely.contexts(random.Random(0), "arith.mod7/4+5", 1)


@settings(max_examples=20)
@given(seeds, levels, selections)
def test_questions_of_whole_operations_recall_nothing_else(seed, level, operations):
    known = SEVEN.concepts_of(operations)
    domain = SEVEN.restrict(known)
    assert {spec.id for spec in domain.concepts} == known
    assert set(domain.operations) == set(operations)
    assert {step.concept for step in random_trace(seed, level, domain).steps} <= known


@settings(max_examples=20)
@given(seeds, levels, st.sets(concepts, min_size=1))
def test_questions_of_a_share_of_facts_begin_with_one_of_them(seed, level, known):
    domain = SEVEN.restrict(frozenset(known))
    steps = random_trace(seed, level, domain).steps
    assert steps[0].concept in known
    assert {step.concept[-2:] for step in steps} <= {concept[-2:] for concept in known}
    again = domain.restrict(frozenset({steps[0].concept, "arith.mod7/6*6", "elsewhere/1+1"}))
    assert {spec.id for spec in again.concepts} <= known


def test_a_restricted_domain_keeps_the_order_and_refuses_other_operations():
    domain = SEVEN.restrict(SEVEN.concepts_of("-*"))
    assert domain.concepts == tuple(s for s in SEVEN.concepts if "+" not in s.prompt)
    with pytest.raises(PacketError, match="expected a chain"):
        domain.solve("3+5")
    with pytest.raises(PacketError, match="expected a step"):
        domain.parse("3-5\n3+5=1\n#1\n")
    with pytest.raises(PacketError, match="found none"):
        SEVEN.restrict(frozenset({"arith.mod10/1+1"}))


@pytest.mark.parametrize("concept", ["arith.mod7/3+7", "arith.mod5/1+1", "3+5", "arith.mod7/3+5*2"])
def test_there_is_no_fact_of_an_unknown_concept(concept):
    with pytest.raises(PacketError, match="expected a concept"):
        SEVEN.fact(concept)


@pytest.mark.parametrize(("modulus", "operations"), [(1, "+"), (98, "+"), (7, ""), (7, "+/")])
def test_a_domain_out_of_range_is_refused(modulus, operations):
    with pytest.raises(RequestError, match="expected"):
        modular(modulus, operations)


@pytest.mark.parametrize("level", [0, 5, -1])
def test_there_is_no_question_of_an_unknown_level(level):
    with pytest.raises(RequestError, match="expected a level"):
        SEVEN.question(random.Random(0), level)


@settings(max_examples=20)
@given(seeds)
def test_probes_keep_clear_of_what_was_trained_on(seed):
    exclude = {SEVEN.question(random.Random(n), 1 + n % 2).text for n in range(100)}
    probes = draw_probes(SEVEN, seed=seed, per_level=12, exclude=exclude)
    texts = [item.question for item in probes.items]
    assert not exclude & set(texts)
    assert len(set(texts)) == len(texts) == 48
    assert all(item.answer == SEVEN.solve(item.question).answer for item in probes.items)


def test_a_domain_survives_a_journey_between_processes():
    copy = pickle.loads(pickle.dumps(SEVEN.restrict(SEVEN.concepts_of("+"))))
    assert copy.parse("3+5\n3+5=1\n#1\n") == SEVEN.parse("3+5\n3+5=1\n#1\n")
    assert copy.question(random.Random(1), 3) == SEVEN.restrict(SEVEN.concepts_of("+")).question(
        random.Random(1), 3
    )
