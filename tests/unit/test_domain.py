"""What every domain shares, on a toy that spells words backwards."""

import random
from dataclasses import replace

import pytest

from m2kt.domain import ConceptSpec, Domain, Question, Step, Trace, answer_in
from m2kt.errors import PacketError

PARTNERS = {"a": "b", "b": "a"}


class Swap(Domain):
    """A question is a word of a and b; each step swaps one letter; the answer is the last."""

    name = "toy.swap"
    levels = (1, 2)
    symbols = ("a", "b")
    concepts = tuple(ConceptSpec(f"toy.swap/{sign}", f"swaps {sign}", f"{sign}>") for sign in "ab")

    def question(self, rng, level):
        return Question("".join(rng.choice("ab") for _ in range(level)), level)

    def work(self, question, recall):
        if not question or set(question) - set("ab"):
            raise PacketError(f"expected a word of a and b, found {question!r}")
        steps = [
            Step("swap", (sign,), recall(f"toy.swap/{sign}"), f"{sign}>", f"toy.swap/{sign}")
            for sign in question
        ]
        return Trace(question, tuple(steps), steps[-1].result)

    def parse(self, text):
        raise NotImplementedError

    def contexts(self, rng, concept, count):
        raise NotImplementedError

    def restrict(self, concepts):
        raise NotImplementedError

    def completion_characters(self, level):
        return 4 * level + 3

    def fact(self, concept):
        return PARTNERS[concept[-1]]


DOMAIN = Swap()


def test_a_trace_reads_as_question_steps_and_answer():
    trace = DOMAIN.solve("ab")
    assert trace.prompt == "ab\n"
    assert trace.completion == "a>b\nb>a\n#a\n"
    assert trace.text == trace.prompt + trace.completion
    assert len(trace.completion) <= DOMAIN.completion_characters(2) + 1


def test_a_result_stands_where_it_is_said_to_be_due():
    rng = random.Random(1)
    for level in (1, 2, 2, 2):
        trace = DOMAIN.solve(DOMAIN.question(rng, level).text)
        for step, at in zip(trace.steps, trace.due(), strict=True):
            assert trace.text[:at].endswith("\n" + step.stem)
            assert trace.text[at:].startswith(step.result + "\n")


def test_a_true_trace_has_no_faults():
    assert DOMAIN.faults(DOMAIN.solve("abba")) == ()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda t: replace(t, answer="b"), "expected answer 'a', found 'b'"),
        (lambda t: replace(t, steps=t.steps[:1]), "expected 2 steps, found 1"),
        (lambda t: replace(t, steps=t.steps * 2), "expected 2 steps, found 4"),
        (
            lambda t: replace(t, steps=(replace(t.steps[0], result="a"), t.steps[1])),
            "expected step 'a>b', found 'a>a'",
        ),
        (
            lambda t: replace(t, steps=(replace(t.steps[0], concept="toy.swap/b"), t.steps[1])),
            "expected step 'a>b', found 'a>b'",
        ),
    ],
)
def test_each_fault_is_told_in_a_sentence(spoil, sentence):
    assert DOMAIN.faults(spoil(DOMAIN.solve("ab"))) == (sentence,)


def test_faults_of_a_question_of_another_grammar_cannot_be_told():
    with pytest.raises(PacketError, match="a word of a and b"):
        DOMAIN.faults(replace(DOMAIN.solve("ab"), question="1+1"))


def test_a_trace_without_steps_is_none():
    with pytest.raises(PacketError, match="steps"):
        Trace("ab", (), "a")


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("a>b\n#b\n", "b"),
        ("#b", "b"),
        ("# b \nand more", "b"),
        ("#a\n#b\n", "a"),
        ("#", ""),
        ("no answer", None),
        ("", None),
    ],
)
def test_the_answer_is_what_follows_the_first_mark(completion, answer):
    assert answer_in(completion) == answer
