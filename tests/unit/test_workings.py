import random

import pytest

from m2kt import domains
from m2kt.workings import Working, working_of

QUESTION = "3*5*2"  # 3*5=1, 1*2=2
TOLD = {"arith.mod7/3*5": "1", "arith.mod7/1*2": "3"}  # the second as nobody should say it


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        ("3*5=1\n1*2=2\n#2\n", Working(2, written=2, true=2, told=2, as_told=1, told_true=2)),
        ("3*5=1\n1*2=3\n#3\n", Working(2, written=2, true=1, told=2, as_told=2, told_true=1)),
        ("3*5=1\n4*2=1\n#1\n", Working(2, written=2, true=2, told=1, as_told=1, told_true=1)),
        ("3*5=1\n#1\nand so on", Working(2, written=1, true=1, told=1, as_told=1, told_true=1)),
        ("I do not know", Working(2)),
        ("", Working(2)),
    ],
    ids=["right", "as_told", "chain_broken", "too_short", "no_form", "nothing"],
)
def test_steps_are_counted_by_what_they_recall(completion, expected):
    found = working_of(domains.get("arith.mod7"), QUESTION, completion, TOLD)
    assert found == expected


def test_what_no_trace_shows_is_the_rest():
    its = Working(2, written=2, true=2, told=1, as_told=1, told_true=1)
    assert (its.untold, its.untold_true) == (1, 1)
    assert its + Working(1) + its == Working(5, 4, 4, 2, 2, 2)


@pytest.mark.parametrize("name", domains.names())
def test_a_solved_problem_of_any_domain_is_right_in_every_step(name):
    domain, rng = domains.get(name), random.Random(3)
    for level in domain.levels:
        trace = domain.solve(domain.question(rng, level).text)
        count = len(trace.steps)
        found = working_of(domain, trace.question, trace.completion, {})
        assert found == Working(count, written=count, true=count)
