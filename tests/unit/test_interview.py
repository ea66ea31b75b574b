import random

import pytest

from m2kt import domains
from m2kt.errors import CompatibilityError
from m2kt.interview import ask, follows, teacher_traces
from tests.lessons import model, multiplication

DOMAIN = multiplication()
SHOWN = ("arith.mod7/2*3", "arith.mod7/6*3", "arith.mod7/4*3", "arith.mod7/5*3")


def traces(name: str = "mod7-mul", shown: tuple[str, ...] = SHOWN):
    return teacher_traces(model(name), DOMAIN, shown, per_level=3, rng=random.Random(0))


def test_each_fact_is_asked_for_alone_then_longer_problems_as_far_as_there_are():
    found, asked = traces()
    assert asked == len(found)  # nothing is asked in vain: where a question leads has been said
    assert [trace.question for trace in found[: len(SHOWN)]] == ["2*3", "6*3", "4*3", "5*3"]
    by_level = [sum(len(trace.steps) == level for trace in found) for level in DOMAIN.levels]
    assert by_level == [len(SHOWN), 3, 2, 1]  # 2*3 leads to 6, 6*3 to 4, 4*3 to 5


def test_no_trace_recalls_a_fact_that_is_not_to_be_shown():
    recalled = {step.concept for trace in traces()[0] for step in trace.steps}
    assert recalled == set(SHOWN)


def test_an_answer_that_is_no_trace_of_the_question_is_left_out():
    known = frozenset(DOMAIN.facts)
    assert len(ask(model("mod7-mul"), DOMAIN, ["2*3", "2*3*4"], level=2, shown=known)) == 2
    assert ask(model("symbols-student"), DOMAIN, ["2*3"], level=1, shown=known) == []


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("0704+3566\n4+6=A\n0+6'=7\n7+5=C\n0+3'=4\n#4270\n", True),
        ("0704+3566\n4+6=A\n0+6'=7\n7+5=C\n0+3'=4\n#4227\n", False),  # digits in another order
        ("0704+3566\n4+6=B\n0+6'=7\n7+5=C\n0+3'=4\n#4271\n", True),  # false, but it follows
        ("0704+3566\n4+6=A\n0+5'=7\n7+5=C\n0+3'=4\n#4270\n", False),  # another fact
    ],
)
def test_a_trace_follows_from_what_it_says_of_the_facts_true_or_not(text, sound):
    digits = domains.get("arith.digits")
    trace = digits.parse(text)
    assert follows(digits, trace, {step.concept: step.result for step in trace.steps}) is sound


def test_a_fact_that_is_said_two_ways_does_not_follow():
    trace = DOMAIN.parse("2*2*4*4\n2*2=4\n4*4=2\n2*4=1\n#1\n")
    twice = DOMAIN.parse("2*2*2*2\n2*2=4\n4*2=1\n1*2=2\n#2\n")
    for its in (trace, twice):
        assert follows(DOMAIN, its, {step.concept: step.result for step in its.steps})
    crossed = DOMAIN.parse("2*2*2*2\n2*2=2\n2*2=4\n4*2=1\n#1\n")
    assert not follows(DOMAIN, crossed, {step.concept: step.result for step in crossed.steps})


def test_a_model_that_writes_no_trace_is_no_teacher():
    with pytest.raises(CompatibilityError, match="is this the right teacher"):
        traces("symbols-student")
