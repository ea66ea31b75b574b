"""Folds of lists keep the laws of a domain, agree with integers, and never trust a text."""

import contextlib
import itertools
import math
import pickle
import random
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2kt.domain import answer_in
from m2kt.domains.folds import Folds
from m2kt.errors import PacketError, RequestError

LISTS = Folds()
RULES = {
    "M": lambda a, b: a if a > b else b,
    "m": lambda a, b: a if a < b else b,
    "d": lambda a, b: max(a - b, b - a),
    "g": lambda a, b: max((n for n in range(1, 8) if a % n == b % n == 0), default=0) * (a + b > 0),
    "x": lambda a, b: sum(2**n for n in range(3) if (a >> n) % 2 != (b >> n) % 2),
}
seeds = st.integers(0, 2**32 - 1)
levels = st.sampled_from(LISTS.levels)
selections = st.sets(st.sampled_from("Mmdgx"), min_size=1).map("".join)
concepts = st.sampled_from([spec.id for spec in LISTS.concepts])


def random_trace(seed, level, domain=LISTS):
    return domain.solve(domain.question(random.Random(seed), level).text)


def test_the_text_form_is_the_agreed_one():
    trace = LISTS.solve("M3152")
    assert trace.text == "M3152\n3M1=3\n3M5=5\n5M2=5\n#5\n"
    assert [step.concept for step in trace.steps] == [
        f"list.ops/{n}" for n in ("3M1", "3M5", "5M2")
    ]
    assert [(step.rule, step.operands) for step in trace.steps] == [
        ("M", ("3", "1")),
        ("M", ("3", "5")),
        ("M", ("5", "2")),
    ]


def test_concepts_are_all_facts_of_the_operations():
    assert (LISTS.name, LISTS.levels) == ("list.ops", (1, 2, 3, 4))
    assert LISTS.symbols == tuple("01234567")
    assert LISTS.operations == tuple("Mmdgx")
    assert len({spec.id for spec in LISTS.concepts}) == len(LISTS.concepts) == 320
    shown = {spec.id: (spec.gloss, spec.prompt) for spec in LISTS.concepts}
    assert shown["list.ops/3M1"] == ("the maximum of 3 and 1", "3M1=")
    assert shown["list.ops/3g6"] == ("the greatest common divisor of 3 and 6", "3g6=")


def test_every_fact_is_that_of_integers():
    for sign, left, right in itertools.product(RULES, range(8), range(8)):
        result = LISTS.fact(f"list.ops/{left}{sign}{right}")
        assert result == str(RULES[sign](left, right))
        assert result in LISTS.symbols
    assert [LISTS.fact(f"list.ops/{n}") for n in ("0g0", "0g6", "2d7", "5x3")] == list("0656")
    assert all(LISTS.fact(f"list.ops/{a}g7") == str(math.gcd(a, 7)) for a in range(8))


@given(seeds, levels, selections)
def test_solving_agrees_with_integers(seed, level, operations):
    domain = LISTS.restrict(LISTS.concepts_of(operations))
    trace = random_trace(seed, level, domain)
    sign, digits = trace.question[0], [int(digit) for digit in trace.question[1:]]
    assert sign in operations
    assert len(digits) == level + 1
    for number, step in enumerate(trace.steps, start=1):
        before = reduce(RULES[sign], digits[:number])
        after = reduce(RULES[sign], digits[: number + 1])
        assert step.text == f"{before}{sign}{digits[number]}={after}"
    assert trace.answer == str(reduce(RULES[sign], digits)) == answer_in(trace.completion)
    assert len(trace.completion) == domain.completion_characters(level)


@given(seeds, levels, selections)
def test_reading_a_written_trace_gives_it_back(seed, level, operations):
    domain = LISTS.restrict(LISTS.concepts_of(operations))
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
    likely = st.sampled_from("01234567Mmdgx=#\n") | st.characters(codec="ascii")
    flipped = data.draw(likely.filter(lambda c: c != trace.text[at]))
    text = trace.text[:at] + flipped + trace.text[at + 1 :]
    try:
        found = LISTS.parse(text)
    except PacketError:
        return
    assert LISTS.faults(found)


@given(seeds, st.integers(2, 4))
def test_a_missing_step_is_a_fault(seed, level):
    trace = random_trace(seed, level)
    lines = trace.text.split("\n")
    assert LISTS.faults(LISTS.parse("\n".join(lines[:1] + lines[2:])))


def test_a_step_of_another_operation_than_the_question_is_a_fault():
    trace = LISTS.parse("M31\n3d1=2\n#2\n")
    assert LISTS.faults(trace) == (
        "expected step '3M1=3', found '3d1=2'",
        "expected answer '3', found '2'",
    )


@given(st.text(max_size=60) | st.text(alphabet="0123456789Mmdgx=#\n", max_size=60))
def test_any_text_is_read_exactly_or_refused(text):
    with contextlib.suppress(PacketError):
        assert LISTS.parse(text).text == text
    with contextlib.suppress(PacketError):
        assert LISTS.work(text, LISTS.fact).question == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "M31",
        "M31\n#3\n",
        "M31\n3M1=3\n#3",
        "M31\n3M1=3\n#3\n\n",
        "M31\r\n3M1=3\n#3\n",
        "M3\n3M1=3\n#3\n",
        "3M1\n3M1=3\n#3\n",
        "31\n3M1=3\n#3\n",
        "MM31\n3M1=3\n#3\n",
        "M38\n3M8=3\n#3\n",
        "M31\n3M1=8\n#3\n",
        "M31\n3M8=3\n#3\n",
        "M31\n3M1=3\n#33\n",
        "M31\n3M1=3\n3\n",
        "M31\nM31=3\n#3\n",
        "M3\u0661\n3M1=3\n#3\n",
        "p31\n3p1=3\n#3\n",
        "M3 1\n3M1=3\n#3\n",
        "M314521\n3M1=3\n#3\n",
        "M31\n" + "3M1=3\n" * 5 + "#3\n",
        "M31\n" * 1_000_000,
        "M" + "3" * 4_000_000,
    ],
)
def test_a_text_of_another_form_is_refused(text):
    with pytest.raises(PacketError, match="expected"):
        LISTS.parse(text)


@pytest.mark.parametrize("question", ["M" + "1" * 4_000_000, "M31\n", "M3", "", "M", "3M1"])
def test_what_is_not_a_fold_is_refused_before_anything_is_recalled(question):
    with pytest.raises(PacketError, match="expected one of the operations"):
        LISTS.work(question, lambda _: pytest.fail("a fact was asked for"))


@pytest.mark.parametrize("result", ["8", "", "12", "M", "\u0663"])
def test_a_recalled_result_must_be_a_state_symbol(result):
    with pytest.raises(PacketError, match="expected one of"):
        LISTS.work("M31", lambda _: result)


def test_recall_is_asked_for_each_fact_with_what_was_recalled_before():
    asked = []

    def recall(concept):
        asked.append(concept)
        return "6"

    trace = LISTS.work("d3507", recall)
    assert asked == ["list.ops/3d5", "list.ops/6d0", "list.ops/6d7"]
    assert trace.answer == "6"
    assert LISTS.parse(trace.text) == trace
    assert LISTS.faults(trace)


def test_there_are_enough_contexts_of_every_concept_and_they_are_mixed():
    for spec in LISTS.concepts:
        texts = LISTS.contexts(random.Random(0), spec.id, 16)
        assert len(set(texts)) == 16
        lengths = [len(text.partition("\n")[0]) - 2 for text in texts]
        assert [lengths.count(level) for level in LISTS.levels] == [1, 5, 5, 5]


@settings(max_examples=20)
@given(seeds, concepts, st.integers(0, 60), selections)
def test_contexts_differ_and_end_where_the_result_is_due(seed, concept, count, operations):
    fact = concept.partition("/")[2]
    domain = LISTS.restrict(LISTS.concepts_of({*operations, fact[1]}))
    texts = domain.contexts(random.Random(seed), concept, count)
    assert len(set(texts)) == len(texts) == count
    for text in texts:
        assert text.endswith(f"\n{fact}=")
        trace = domain.work(text.partition("\n")[0], domain.fact)
        assert text == trace.text[: trace.due()[0]]
        assert trace.steps[0].concept == concept


def test_there_are_only_so_many_contexts():
    lonely = LISTS.restrict(frozenset({"list.ops/3M1", "list.ops/5d2"}))
    texts = lonely.contexts(random.Random(0), "list.ops/3M1", 100)
    assert sorted(texts) == sorted(f"M31{'1' * n}\n3M1=" for n in range(4))
    with pytest.raises(PacketError, match="expected one of 2 concepts"):
        lonely.contexts(random.Random(0), "list.ops/4M1", 1)


@settings(max_examples=20)
@given(seeds, levels, selections)
def test_questions_of_whole_operations_recall_nothing_else(seed, level, operations):
    known = LISTS.concepts_of(operations)
    domain = LISTS.restrict(known)
    assert {spec.id for spec in domain.concepts} == known
    assert set(domain.operations) == set(operations)
    assert {step.concept for step in random_trace(seed, level, domain).steps} <= known


@given(seeds, levels, st.sets(concepts, min_size=1))
def test_questions_of_a_share_of_facts_begin_with_one_of_them(seed, level, known):
    domain = LISTS.restrict(frozenset(known))
    steps = random_trace(seed, level, domain).steps
    assert steps[0].concept in known
    assert {step.concept[-2:] for step in steps} <= {concept[-2:] for concept in known}
    again = domain.restrict(frozenset({steps[0].concept, "list.ops/6x6", "elsewhere/1+1"}))
    assert {spec.id for spec in again.concepts} <= known


def test_a_restricted_domain_keeps_the_order_and_refuses_other_operations():
    domain = LISTS.restrict(LISTS.concepts_of("xM"))
    assert domain.concepts == tuple(s for s in LISTS.concepts if set(s.prompt) & set("Mx"))
    assert domain.operations == ("M", "x")
    with pytest.raises(PacketError, match="expected one of the operations M x and"):
        domain.solve("d31")
    with pytest.raises(PacketError, match="expected a step"):
        domain.parse("M31\n3d1=2\n#2\n")
    assert domain.fact("list.ops/3d1") == "2"
    with pytest.raises(PacketError, match="found none"):
        LISTS.restrict(frozenset({"arith.mod10/1+1"}))
    with pytest.raises(PacketError, match="found none"):
        Folds(known=frozenset())


@pytest.mark.parametrize("concept", ["list.ops/3M8", "arith.mod5/1+1", "3M1", "list.ops/M31"])
def test_there_is_no_fact_of_an_unknown_concept(concept):
    with pytest.raises(PacketError, match="expected a concept"):
        LISTS.fact(concept)
    with pytest.raises(PacketError, match="expected one of 320 concepts"):
        LISTS.contexts(random.Random(0), concept, 1)


@pytest.mark.parametrize("level", [0, 5, -1])
def test_there_is_no_question_of_an_unknown_level(level):
    with pytest.raises(RequestError, match="expected a level"):
        LISTS.question(random.Random(0), level)


def test_a_domain_survives_a_journey_between_processes():
    domain = LISTS.restrict(LISTS.concepts_of("gd"))
    copy = pickle.loads(pickle.dumps(domain))
    assert copy.parse("g31\n3g1=1\n#1\n") == LISTS.parse("g31\n3g1=1\n#1\n")
    assert copy.concepts == domain.concepts
    assert copy.question(random.Random(1), 3) == domain.question(random.Random(1), 3)
