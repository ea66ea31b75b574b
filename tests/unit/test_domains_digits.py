"""Sums and differences of many digits keep the laws of a domain, and never trust a text."""

import contextlib
import pickle
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2kt.domain import answer_in
from m2kt.domains.digits import Digits
from m2kt.errors import PacketError, RequestError

DIGITS = Digits()
CARRIES = "ABCDEFGHIJ"
seeds = st.integers(0, 2**32 - 1)
levels = st.sampled_from(DIGITS.levels)
selections = st.sets(st.sampled_from("+-"), min_size=1).map("".join)
concepts = st.sampled_from([spec.id for spec in DIGITS.concepts])

# Texts between spaces; a slash is a line break, a tilde a carriage return.
FAULTY = """
    47+85/4+8'=D/#132/  47+85/7+5=C/4+8=C/#122/  47+85/4+8=C/7+5'=D/#132/  9+9/9+9=I/#8/
    47+81/7+1=8/4+8'=D/#138/  1+2/1+2'=4/#4/  5-3/5+3=8/#8/  1+2/1+2=3/#03/
"""
REFUSED = """
    3+5  3+5/#8/  3+5/3+5=8/#8  3+5/3+5=8/#8//  3+5~/3+5=8/#8/  3+15/3+5=8/#18/  3-5/3-5=I/#8/
    100-101/0-1=J/0-0'=J/1-1'=J/#999/  3*5/3*5=8/#8/  3+5/3+5=K/#8/  3+5/3+5=a/#8/  3+5//#8/
    3+5/3+5=13/#8/  3+5/3+5''=9/#9/  3+5/3'+5=9/#9/  3+5/3+5=8/#/  3+5/3+5=8/#H/  3+5/3+5=8/8/
    3+5/3+5=8/#000008/  3+\u0665/3+5=8/#8/  3+5/3+\u0665=8/#8/  3+5/3+5=8/#\u0668/
    00000+00000/0+0=0/0+0=0/0+0=0/0+0=0/#00000/  00+00/0+0=0/0+0=0/0+0=0/0+0=0/0+0=0/#00/
"""
UNASKED = "12+3  1+2+3  -1+1  12345+12345  3+\u0665  3*5  2-13  0100-0101  00-01"


def random_trace(seed, level, domain=DIGITS):
    return domain.solve(domain.question(random.Random(seed), level).text)


def numbers(question):
    upper, sign, lower = re.fullmatch(r"([0-9]+)([-+])([0-9]+)", question).groups()
    assert len(upper) == len(lower)
    assert sign == "+" or int(upper) >= int(lower)
    return upper, sign, lower


def pair(concept):
    """Sign and digits of a concept, with or without a carry in."""
    return concept.removeprefix("arith.digits/")[:3]


def test_the_text_form_is_the_agreed_one():
    trace = DIGITS.solve("472+851")
    assert trace.text == "472+851\n2+1=3\n7+5=C\n4+8'=D\n#1323\n"
    assert [pair(step.concept) for step in trace.steps] == ["2+1", "7+5", "4+8"]
    assert trace.steps[2].concept == "arith.digits/4+8'"
    assert [step.operands for step in trace.steps] == [("2", "1"), ("7", "5"), ("4", "8", "'")]
    assert DIGITS.solve("0402-0399").text == "0402-0399\n2-9=D\n0-9'=A\n4-3'=0\n0-0=0\n#0003\n"
    assert DIGITS.solve("024-018").text == "024-018\n4-8=G\n2-1'=0\n0-0=0\n#006\n"
    assert DIGITS.solve("002+003").answer == "005"
    assert DIGITS.fact("arith.digits/4-8'") == "F"


def test_the_vocabulary_is_the_agreed_one():
    assert (DIGITS.name, DIGITS.levels) == ("arith.digits", (1, 2, 3, 4))
    assert "".join(DIGITS.symbols) == "0123456789ABCDEFGHIJ"
    assert len({spec.id for spec in DIGITS.concepts}) == len(DIGITS.concepts) == 400
    by_id = {spec.id: spec for spec in DIGITS.concepts}
    assert by_id["arith.digits/7+5"].gloss == "7 plus 5"
    assert by_id["arith.digits/7+5'"].gloss == "7 plus 5 with a carry in"
    assert by_id["arith.digits/7+5'"].prompt == "7+5'="
    assert by_id["arith.digits/2-9'"].gloss == "2 minus 9 with a borrow in"
    firsts = " ".join(spec.prompt for spec in DIGITS.concepts[::100])
    assert firsts + " " + DIGITS.concepts[-1].prompt == "0+0= 0+0'= 0-0= 0-0'= 9-9'="


@given(seeds, levels)
def test_solving_agrees_with_integers(seed, level):
    trace = random_trace(seed, level)
    upper, sign, lower = numbers(trace.question)
    left, right = int(upper), int(lower)
    total = left + right if sign == "+" else left - right
    assert len(trace.steps) == len(upper) == level
    assert trace.answer == str(total).zfill(level) == answer_in(trace.completion)
    came = False
    for column, step in enumerate(trace.steps):
        digits = (upper[-1 - column], lower[-1 - column])
        assert (step.rule, *step.operands) == (sign, *digits, *("'" * came))
        power = 10 ** (column + 1)
        a, b = left % power, right % power
        came = a + b >= power if sign == "+" else a < b
        digit = total // 10**column % 10
        assert step.result == (CARRIES[digit] if came else str(digit))


@pytest.mark.parametrize("sign", "+-")
@pytest.mark.parametrize("mark", ["", "'"])
def test_each_concept_is_recalled_by_some_question_and_true(sign, mark):
    last = {"+": "9+9", "-": "0-1"}[sign] if mark else f"0{sign}0"
    for left in range(10):
        for right in range(10):
            step = DIGITS.solve(f"9{left}{last[0]}{sign}0{right}{last[2]}").steps[1]
            assert step.concept == f"arith.digits/{left}{sign}{right}{mark}"
            value = left + right + len(mark) if sign == "+" else left - right - len(mark)
            carried = value not in range(10)
            assert step.result == (CARRIES[value % 10] if carried else str(value))


@given(seeds, levels, selections)
def test_reading_a_written_trace_gives_it_back(seed, level, signs):
    domain = DIGITS.restrict(DIGITS.concepts_of(signs))
    trace = random_trace(seed, level, domain)
    assert domain.parse(trace.text) == trace
    assert domain.faults(trace) == ()


@given(seeds, levels)
def test_a_trace_of_invented_results_is_read_back_too(seed, level):
    rng = random.Random(seed)
    question = DIGITS.question(rng, level)
    trace = DIGITS.work(question.text, lambda _: rng.choice(DIGITS.symbols))
    assert DIGITS.parse(trace.text) == trace
    assert len(trace.completion) <= DIGITS.completion_characters(level)
    for before, after in zip(trace.steps, trace.steps[1:], strict=False):
        assert (before.result in CARRIES) == after.stem.endswith("'=")


@given(seeds, levels)
def test_results_stand_where_they_are_due(seed, level):
    trace = random_trace(seed, level)
    assert len(trace.due()) == level
    for step, at in zip(trace.steps, trace.due(), strict=True):
        assert trace.text[at] == step.result
        assert trace.text[:at].endswith("\n" + step.stem)


@settings(max_examples=300)
@given(seeds, levels, st.data())
def test_any_single_flip_after_the_question_is_a_fault(seed, level, data):
    trace = random_trace(seed, level)
    at = data.draw(st.integers(len(trace.prompt), len(trace.text) - 1))
    alike = st.sampled_from("0123456789ABCDEFGHIJ+-'=#\n")
    flips = (alike | st.characters(codec="ascii")).filter(lambda c: c != trace.text[at])
    text = trace.text[:at] + data.draw(flips) + trace.text[at + 1 :]
    with contextlib.suppress(PacketError):
        assert DIGITS.faults(DIGITS.parse(text))


@pytest.mark.parametrize("text", FAULTY.split())
def test_lines_that_do_not_follow_are_faults(text):
    assert DIGITS.faults(DIGITS.parse(text.replace("/", "\n")))


@given(st.text(max_size=60) | st.text(alphabet="0189+-'=#AJ\n", max_size=60))
def test_any_text_is_read_exactly_or_refused(text):
    with contextlib.suppress(PacketError):
        assert DIGITS.parse(text).text == text
    with contextlib.suppress(PacketError):
        assert DIGITS.work(text, DIGITS.fact).question == text


@pytest.mark.parametrize("text", ["", *REFUSED.split()])
def test_a_text_of_another_form_is_refused(text):
    text = text.replace("/", "\n").replace("~", "\r")
    with pytest.raises(PacketError, match=r"(?s)expected.*found"):
        DIGITS.parse(text)


@pytest.mark.parametrize("question", ["", *UNASKED.split(), "1+1\n"])
def test_what_is_no_question_cannot_be_worked(question):
    remedy = "the greater number first" if "-0" in question else "fill the shorter one up"
    with pytest.raises(PacketError, match=remedy):
        DIGITS.solve(question)


def test_a_huge_text_is_refused_in_a_few_words():
    for read in (DIGITS.parse, DIGITS.solve):
        for text in ("3+5\n" * 1_000_000, "3" * 4_000_000):
            with pytest.raises(PacketError, match="expected") as caught:
                read(text)
            assert len(str(caught.value)) < 500


@pytest.mark.parametrize("result", ["K", "", "12", "a", "\u0663", "0A" * 1000])
def test_a_recalled_result_must_be_a_state_symbol(result):
    with pytest.raises(PacketError, match=r"expected one of 0 to 9 and A to J.*'3\+5'"):
        DIGITS.work("3+5", lambda _: result)


@pytest.mark.parametrize(("sign", "answer"), [("+", "1999"), ("-", "999")])
def test_recall_is_asked_for_each_column_with_the_carry_recalled_before(sign, answer):
    asked = []

    def recall(concept):
        asked.append(concept)
        return "J"

    trace = DIGITS.work(f"852{sign}471", recall)
    assert asked == [f"arith.digits/{its}" for its in (f"2{sign}1", f"5{sign}7'", f"8{sign}4'")]
    assert trace.answer == answer
    assert DIGITS.parse(trace.text) == trace


@pytest.mark.parametrize(("question", "operations"), [("9999+9999", "+-"), ("9000-0999", "-")])
def test_the_longest_completion_is_as_long_as_said(question, operations):
    domain = DIGITS.restrict(DIGITS.concepts_of(operations))
    for level in domain.levels:
        trace = domain.work(question[:level] + question[4 : 5 + level], lambda _: "J")
        assert len(trace.completion) == domain.completion_characters(level)


@settings(max_examples=30, deadline=None)
@given(seeds, concepts, st.integers(0, 60), selections)
def test_contexts_differ_and_end_where_the_result_is_due(seed, concept, count, signs):
    fact = concept.partition("/")[2]
    domain = DIGITS.restrict(DIGITS.concepts_of(signs + fact[1]))
    texts = domain.contexts(random.Random(seed), concept, count)
    assert len(set(texts)) == len(texts) == count
    for text in texts:
        assert text.endswith(f"\n{fact}=")
        question, *lines = text.split("\n")
        upper, sign, lower = numbers(question)
        assert len(lines) <= len(upper)
        came = ""
        for column, line in enumerate(lines, 1):
            stem = f"{upper[-column]}{sign}{lower[-column]}{came}="
            due = domain.symbols if column < len(lines) else ("",)
            assert line in [stem + result for result in due]
            came = "'" if line[-1] in CARRIES else ""
            assert "'" in fact or not came


@pytest.mark.parametrize("fact", ["2+9", "2-9", "9-2", "2+9'", "2-9'", "5-5'"])
def test_contexts_are_of_mixed_lengths_and_columns(fact):
    texts = DIGITS.contexts(random.Random(0), f"arith.digits/{fact}", 40)
    found = {(text.index("\n") // 2, text.count("\n")) for text in texts}
    last = 0 if fact[1] == "+" or fact[0] >= fact[2] else 1
    first = len(fact) - 2
    assert found == {(size, at) for size in (1, 2, 3, 4) for at in range(first, size + 1 - last)}


@pytest.mark.parametrize(("fact", "count"), [("0+0", 1234), ("7+5'", 4430), ("5-5", 1234)])
def test_there_are_only_so_many_contexts(fact, count):
    lonely = DIGITS.restrict(frozenset({f"arith.digits/{fact}"}))
    texts = lonely.contexts(random.Random(0), f"arith.digits/{fact}", 10_000)
    assert len(set(texts)) == len(texts) == count
    with pytest.raises(PacketError, match="expected one of 1 concepts"):
        lonely.contexts(random.Random(0), "arith.digits/4+5", 1)


def test_the_grammar_never_looks_at_a_fact(monkeypatch):
    def fact(self, concept):
        raise AssertionError(f"looked {concept} up")

    monkeypatch.setattr(Digits, "fact", fact)
    rng = random.Random(0)
    for level in DIGITS.levels:
        question = DIGITS.question(rng, level)
        trace = DIGITS.work(question.text, lambda _: rng.choice(DIGITS.symbols))
        assert DIGITS.parse(trace.text) == trace
    for spec in DIGITS.concepts[::37]:
        assert len(DIGITS.restrict(frozenset({spec.id})).contexts(rng, spec.id, 4)) == 4


def test_every_question_of_one_digit_is_drawn():
    drawn = {DIGITS.question(random.Random(seed), 1).text for seed in range(4000)}
    pairs = [(a, b) for a in range(10) for b in range(10)]
    assert drawn == {f"{a}+{b}" for a, b in pairs} | {f"{a}-{b}" for a, b in pairs if a >= b}


@settings(max_examples=20)
@given(seeds, levels, selections)
def test_questions_of_whole_operations_recall_nothing_else(seed, level, signs):
    known = DIGITS.concepts_of(signs)
    domain = DIGITS.restrict(known)
    assert {spec.id for spec in domain.concepts} == known
    assert set(domain.operations) == set(signs)
    assert {step.concept for step in random_trace(seed, level, domain).steps} <= known


@settings(max_examples=50)
@given(seeds, levels, st.sets(concepts, min_size=1, max_size=12), st.sampled_from(["9-1", "9+1"]))
def test_questions_of_a_share_of_facts_begin_with_one_of_them(seed, level, known, fact):
    known = known | {f"arith.digits/{fact}"}
    domain = DIGITS.restrict(frozenset(known))
    steps = random_trace(seed, level, domain).steps
    assert steps[0].concept in known
    assert {pair(step.concept) for step in steps} <= {pair(concept) for concept in known}
    again = domain.restrict(frozenset({steps[0].concept, "arith.digits/6*6", "elsewhere/1+1"}))
    assert {spec.id for spec in again.concepts} == {steps[0].concept}


@settings(max_examples=50, deadline=None)
@given(seeds, levels, st.sets(concepts, min_size=1, max_size=3))
def test_any_set_of_facts_can_be_asked_for_and_has_contexts(seed, level, known):
    domain = DIGITS.restrict(frozenset(known))
    question = domain.question(random.Random(seed), level)
    upper, sign, lower = numbers(question.text)
    digits = {pair(concept) for concept in known}
    for left, right in zip(upper, lower, strict=True):
        turned = right + sign + left
        assert left + sign + right in digits or (sign == "-" and turned in digits)
    for concept in known:
        assert len(domain.contexts(random.Random(seed), concept, 4)) == 4


def test_a_set_that_poses_nothing_is_lent_digits():
    carried = DIGITS.restrict(frozenset({"arith.digits/7+5'"}))
    assert carried.question(random.Random(0), 2).text == "77+55"
    smaller = DIGITS.restrict(frozenset({"arith.digits/2-9"}))
    assert smaller.question(random.Random(0), 1).text == "9-2"
    both = DIGITS.restrict(frozenset({"arith.digits/2-9", "arith.digits/5-2'"}))
    assert {both.question(random.Random(seed), 2).text for seed in range(20)} == {"52-29"}


def test_a_restricted_domain_keeps_the_order_and_refuses_other_operations():
    domain = DIGITS.restrict(DIGITS.concepts_of("-"))
    assert domain.concepts == tuple(s for s in DIGITS.concepts if "+" not in s.prompt)
    some = frozenset(spec.id for spec in DIGITS.concepts[::7])
    assert DIGITS.restrict(some).concepts == DIGITS.concepts[::7]
    with pytest.raises(PacketError, match="expected two numbers"):
        domain.solve("3+5")
    with pytest.raises(PacketError, match="expected a step"):
        domain.parse("5-3\n5+3=8\n#8\n")
    with pytest.raises(PacketError, match="found none"):
        DIGITS.restrict(frozenset({"arith.mod10/1+1"}))
    with pytest.raises(PacketError, match="found none"):
        domain.restrict(DIGITS.concepts_of("+"))


@pytest.mark.parametrize("fact", ["digits/13+7", "mod5/1+1", "digits/3+5''", "digits/3*5"])
def test_there_is_no_fact_of_an_unknown_concept(fact):
    with pytest.raises(PacketError, match="expected a concept"):
        DIGITS.fact(f"arith.{fact}")


@pytest.mark.parametrize("level", [0, 5, -1])
def test_there_is_no_question_of_an_unknown_level(level):
    with pytest.raises(RequestError, match="expected a level"):
        DIGITS.question(random.Random(0), level)


def test_a_domain_survives_a_journey_between_processes():
    domain = DIGITS.restrict(DIGITS.concepts_of("-"))
    copy = pickle.loads(pickle.dumps(domain))
    assert copy.parse("5-3\n5-3=2\n#2\n") == DIGITS.parse("5-3\n5-3=2\n#2\n")
    assert copy.question(random.Random(1), 3) == domain.question(random.Random(1), 3)
    assert copy.concepts == domain.concepts
