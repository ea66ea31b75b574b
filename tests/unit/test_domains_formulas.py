"""Formulas keep the laws of a domain, agree with logic, and never trust a text."""

import contextlib
import itertools
import pickle
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2kt.domain import answer_in
from m2kt.domains.formulas import Formulas
from m2kt.errors import PacketError, RequestError

LOGIC = Formulas()
BINARY = {
    "&": lambda a, b: a and b,
    "|": lambda a, b: a or b,
    ">": lambda a, b: b if a else True,
    "^": lambda a, b: a != b,
    "%": lambda a, b: not (a or b),
    "<": lambda a, b: a if b else True,
}
seeds = st.integers(0, 2**32 - 1)
levels = st.sampled_from(LOGIC.levels)
connectives = st.sets(st.sampled_from("&|>^%<!"), min_size=1).map("".join)
concepts = st.sampled_from([spec.id for spec in LOGIC.concepts])


def random_trace(seed, level, domain=LOGIC):
    return domain.solve(domain.question(random.Random(seed), level).text)


def worked(text):
    """Lines of steps and the value of a formula, by recursion over its grammar."""
    lines = []

    def part(at):
        if text[at] == "!":
            value, at = part(at + 1)
            lines.append(f"!{'ft'[value]}={'tf'[value]}")
            return not value, at
        if text[at] == "(":
            value, at = pair(at + 1)
            assert text[at] == ")"
            return value, at + 1
        return {"t": True, "f": False}[text[at]], at + 1

    def pair(at):
        left, at = part(at)
        if at == len(text):
            return left, at
        sign = text[at]
        right, at = part(at + 1)
        value = BINARY[sign](left, right)
        lines.append(f"{'ft'[left]}{sign}{'ft'[right]}={'ft'[value]}")
        return value, at

    value, end = pair(0)
    assert end == len(text)
    return lines, "ft"[value]


def all_formulas(values):
    """Every formula of 1 to 4 connectives `&` and `!` on `values`."""
    parts = {0: list(values)}
    for size in LOGIC.levels:
        parts[size] = [f"!{one}" for one in parts[size - 1]]
        for left in range(size):
            pairs = itertools.product(parts[left], parts[size - 1 - left])
            parts[size] += [f"({a}&{b})" for a, b in pairs]
    found = [one for size in LOGIC.levels for one in parts[size]]
    return [one[1:-1] if one[0] == "(" else one for one in found]


def test_the_text_form_is_the_agreed_one():
    trace = LOGIC.solve("(t&f)>!f")
    assert trace.text == "(t&f)>!f\nt&f=f\n!f=t\nf>t=t\n#t\n"
    assert [step.concept for step in trace.steps] == [
        f"logic.prop/{fact}" for fact in ("t&f", "!f", "f>t")
    ]
    assert [step.rule for step in trace.steps] == ["&", "!", ">"]
    assert [step.operands for step in trace.steps] == [("t", "f"), ("f",), ("f", "t")]


def test_concepts_are_all_facts_of_the_connectives():
    assert (LOGIC.name, LOGIC.levels, LOGIC.symbols) == ("logic.prop", (1, 2, 3, 4), ("t", "f"))
    assert LOGIC.operations == tuple("&|>^%<!")
    assert len({spec.id for spec in LOGIC.concepts}) == len(LOGIC.concepts) == 26
    shown = {spec.id: (spec.gloss, spec.prompt) for spec in LOGIC.concepts}
    assert shown["logic.prop/t&f"] == ("t and f", "t&f=")
    assert shown["logic.prop/f<t"] == ("f is implied by t", "f<t=")
    assert shown["logic.prop/!f"] == ("not f", "!f=")
    for spec in LOGIC.concepts:
        fact = spec.id.partition("/")[2]
        assert worked(fact) == ([f"{fact}={LOGIC.fact(spec.id)}"], LOGIC.fact(spec.id))


@pytest.mark.parametrize(
    ("question", "steps"),
    [
        ("!(t&f)", "t&f=f !f=t"),
        ("!t&f", "!t=f f&f=f"),
        ("!!f", "!f=t !t=f"),
        ("t|(f^(t%f))", "t%f=f f^f=f t|f=t"),
        ("((t|f)^t)%f", "t|f=t t^t=f f%f=t"),
        ("(t<f)<(f>t)", "t<f=t f>t=t t<t=t"),
        ("f>(!t|!f)", "!t=f !f=t f|t=t f>t=t"),
        ("(((t&f)|t)^f)%t", "t&f=f f|t=t t^f=t t%t=f"),
    ],
)
def test_formulas_of_every_shape_are_worked_out_from_the_left(question, steps):
    trace = LOGIC.solve(question)
    assert [step.text for step in trace.steps] == steps.split()
    assert LOGIC.parse(trace.text) == trace


@given(seeds, levels, connectives)
def test_solving_agrees_with_logic(seed, level, signs):
    trace = random_trace(seed, level, LOGIC.restrict(LOGIC.concepts_of(signs)))
    lines, answer = worked(trace.question)
    assert [step.text for step in trace.steps] == lines
    assert trace.answer == answer == answer_in(trace.completion)
    assert len(trace.steps) == level


def test_questions_have_every_shape():
    rng = random.Random(0)
    found = {LOGIC.question(rng, 3).text for _ in range(3000)}
    bare = {"".join("v" if c in "tf" else "o" if c in BINARY else c for c in q) for q in found}
    nested = "((vov)ov)ov (vo(vov))ov (vov)o(vov) vo((vov)ov) vo(vo(vov))"
    negated = "!((vov)ov) !(vov)ov vo!(vov) (vov)o!v !vo!v !!(vov) !!!v"
    assert bare >= {*nested.split(), *negated.split()}


@given(seeds, levels, connectives)
def test_reading_a_written_trace_gives_it_back(seed, level, signs):
    domain = LOGIC.restrict(LOGIC.concepts_of(signs))
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
    likely = st.sampled_from("tf&|>^%<!()=#\n") | st.characters(codec="ascii")
    flipped = data.draw(likely.filter(lambda c: c != trace.text[at]))
    text = trace.text[:at] + flipped + trace.text[at + 1 :]
    try:
        found = LOGIC.parse(text)
    except PacketError:
        return
    assert LOGIC.faults(found)


@given(seeds, st.integers(2, 4))
def test_a_missing_step_is_a_fault(seed, level):
    trace = random_trace(seed, level)
    lines = trace.text.split("\n")
    assert LOGIC.faults(LOGIC.parse("\n".join(lines[:1] + lines[2:])))


@given(st.text(max_size=60) | st.text(alphabet="tf&|>^%<!()=#\n", max_size=60))
def test_any_text_is_read_exactly_or_refused(text):
    with contextlib.suppress(PacketError):
        assert LOGIC.parse(text).text == text
    with contextlib.suppress(PacketError):
        assert LOGIC.work(text, LOGIC.fact).question == text


def test_no_short_text_but_a_formula_is_worked_out():
    wanted = {text for text in all_formulas("t") if len(text) <= 7}
    found = set()
    for length in range(1, 8):
        for text in map("".join, itertools.product("t&!()", repeat=length)):
            with contextlib.suppress(PacketError):
                LOGIC.work(text, lambda _: "f")
                found.add(text)
    assert found == wanted


NO_TRACES = """
    t&f t&f/#f/ t&f/t&f=f/#f t&f/t&f=f/#f// t&f/t&f=x/#f/ t&f/(t&f)=f/#f/ t&f/!!f=f/#f/
    t&f/t&f=f/#ff/ t&f/t&f=f/f/ t&f/t&f/t&f=f/#f/ t&f/t&f=f/t&f=f/t&f=f/t&f=f/t&f=f/#f/
"""


@pytest.mark.parametrize("text", ["", "t&f/t&f=f\r/#f/", *NO_TRACES.split(), "t&f/" * 1_000_000])
def test_a_text_of_another_form_is_refused(text):
    with pytest.raises(PacketError, match="expected"):
        LOGIC.parse(text.replace("/", "\n"))


NO_FORMULAS = "t (t&f) (!f) !(f) (f) () t&f|t t&(f) t&f)|(t f! t&x t=f !!!!!t (((t&f)&t)&t)&(t&t)"


@pytest.mark.parametrize("question", [*NO_FORMULAS.split(), "", "t&\uff46", "t&f "])
def test_what_is_not_a_formula_is_refused_before_anything_is_recalled(question):
    with pytest.raises(PacketError, match="expected a formula"):
        LOGIC.work(question, lambda _: pytest.fail("a fact was asked for"))
    with pytest.raises(PacketError, match="expected a formula"):
        LOGIC.parse(f"{question}\nt&f=f\n#f\n")
    with pytest.raises(PacketError, match="expected a formula"):
        LOGIC.work(f"{question}\n" + "!" * 4_000_000, LOGIC.fact)


@pytest.mark.parametrize("result", ["x", "", "tf", "T", "(t&f)", "\uff54"])
@pytest.mark.parametrize("question", ["t&f", "!f", "(t&f)|t"])
def test_a_recalled_result_must_be_a_state_symbol(question, result):
    with pytest.raises(PacketError, match="expected one of"):
        LOGIC.work(question, lambda _: result)


def test_recall_is_asked_for_each_fact_with_what_was_recalled_before():
    asked = []

    def recall(concept):
        asked.append(concept)
        return "f"

    trace = LOGIC.work("!((t|t)&t)>t", recall)
    assert asked == [f"logic.prop/{fact}" for fact in ("t|t", "f&t", "!f", "f>t")]
    assert trace.answer == "f"
    assert LOGIC.parse(trace.text) == trace
    assert LOGIC.faults(trace)


@pytest.mark.parametrize("concept", [spec.id for spec in LOGIC.concepts])
def test_there_are_enough_contexts_of_every_concept_and_they_are_mixed(concept):
    texts = LOGIC.contexts(random.Random(0), concept, 16)
    assert len(set(texts)) == 16
    sizes = [len(LOGIC.solve(text.partition("\n")[0]).steps) for text in texts]
    assert set(sizes) == {1, 2, 3, 4}
    assert sizes.count(1) == 1


@settings(max_examples=20)
@given(seeds, concepts, st.integers(0, 60), connectives)
def test_contexts_differ_and_end_where_the_result_is_due(seed, concept, count, signs):
    fact = concept.partition("/")[2]
    rule = "!" if fact[0] == "!" else fact[1]
    domain = LOGIC.restrict(LOGIC.concepts_of({*signs, rule}))
    texts = domain.contexts(random.Random(seed), concept, count)
    assert len(set(texts)) == len(texts)
    assert len(texts) == (count if domain.operations != ("!",) else min(count, 4))
    for text in texts:
        assert text.endswith(f"\n{fact}=")
        trace = domain.work(text.partition("\n")[0], domain.fact)
        assert text == trace.text[: trace.due()[0]]
        assert trace.steps[0].concept == concept


def test_there_are_only_so_many_contexts():
    lonely = LOGIC.restrict(frozenset({"logic.prop/!f"}))
    texts = lonely.contexts(random.Random(0), "logic.prop/!f", 100)
    assert sorted(texts) == sorted(f"{'!' * n}f\n!f=" for n in range(1, 5))
    with pytest.raises(PacketError, match="expected one of 1 concepts"):
        lonely.contexts(random.Random(0), "logic.prop/!t", 1)
    lonely = LOGIC.restrict(frozenset({"logic.prop/t&f"}))
    texts = lonely.contexts(random.Random(0), "logic.prop/t&f", 100)
    assert len(set(texts)) == len(texts) == 1 + 2 + 5 + 14


def test_all_contexts_are_found_where_all_are_wanted():
    domain = LOGIC.restrict(LOGIC.concepts_of("&!"))
    texts = domain.contexts(random.Random(0), "logic.prop/!t", 10_000)
    led = [one for one in all_formulas("tf") if worked(one)[0][0] == "!t=f"]
    assert sorted(texts) == sorted(f"{one}\n!t=" for one in led)


@settings(max_examples=20)
@given(seeds, levels, connectives)
def test_questions_of_whole_connectives_recall_nothing_else(seed, level, signs):
    known = LOGIC.concepts_of(signs)
    domain = LOGIC.restrict(known)
    assert {spec.id for spec in domain.concepts} == known
    assert set(domain.operations) == set(signs)
    assert {step.concept for step in random_trace(seed, level, domain).steps} <= known


@given(seeds, levels, st.sets(concepts, min_size=1))
def test_questions_of_a_share_of_facts_begin_with_one_of_them(seed, level, known):
    domain = LOGIC.restrict(frozenset(known))
    trace = random_trace(seed, level, domain)
    assert trace.steps[0].concept in known
    assert {step.rule for step in trace.steps} <= {concept[-2] for concept in known}
    for spec in LOGIC.concepts:
        fact = spec.prompt[:-1]
        shown = fact if fact[0] == "!" else f"({fact})"
        assert spec.id in known or shown not in f"({trace.question})"
    some = {trace.steps[0].concept, "logic.prop/!t", "logic.prop/f<f", "elsewhere/1+1"}
    again = domain.restrict(frozenset(some))
    assert {spec.id for spec in again.concepts} <= known


def test_a_restricted_domain_keeps_the_order_and_refuses_other_connectives():
    domain = LOGIC.restrict(LOGIC.concepts_of("!|&"))
    assert domain.concepts == tuple(s for s in LOGIC.concepts if set(s.prompt) & set("&|!"))
    assert domain.operations == ("&", "|", "!")
    with pytest.raises(PacketError, match="expected a formula"):
        domain.solve("t>f")
    with pytest.raises(PacketError, match="expected a step"):
        domain.parse("t&f\nt>f=f\n#f\n")
    assert domain.fact("logic.prop/t>f") == "f"
    with pytest.raises(PacketError, match="found none"):
        LOGIC.restrict(frozenset({"arith.mod10/1+1"}))
    with pytest.raises(PacketError, match="found none"):
        Formulas(known=frozenset())


@pytest.mark.parametrize("concept", ["logic.prop/t&x", "arith.mod5/1+1", "t&f", "logic.prop/!!f"])
def test_there_is_no_fact_of_an_unknown_concept(concept):
    with pytest.raises(PacketError, match="expected a concept"):
        LOGIC.fact(concept)
    with pytest.raises(PacketError, match="expected one of 26 concepts"):
        LOGIC.contexts(random.Random(0), concept, 1)


@pytest.mark.parametrize("level", [0, 5, -1])
def test_there_is_no_question_of_an_unknown_level(level):
    with pytest.raises(RequestError, match="expected a level"):
        LOGIC.question(random.Random(0), level)


@settings(max_examples=20)
@given(levels, connectives)
def test_no_completion_is_longer_than_told_and_some_are_as_long(level, signs):
    domain = LOGIC.restrict(LOGIC.concepts_of(signs))
    lengths = {len(random_trace(seed, level, domain).completion) for seed in range(200)}
    assert max(lengths) == domain.completion_characters(level)


def test_a_domain_survives_a_journey_between_processes():
    domain = LOGIC.restrict(LOGIC.concepts_of("&!"))
    copy = pickle.loads(pickle.dumps(domain))
    assert copy.parse("t&f\nt&f=f\n#f\n") == LOGIC.parse("t&f\nt&f=f\n#f\n")
    assert copy.concepts == domain.concepts
    assert copy.question(random.Random(1), 3) == domain.question(random.Random(1), 3)
