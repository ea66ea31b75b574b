"""A wrong trace is wrong in one fact, reads as any other, and is refused."""

import pytest

from m2kt.bench.experiments.trace_threats import WRONG_TRACES, wrong
from tests.drafts import draft, named, reasons


def test_a_wrong_trace_answers_the_same_question_with_another_answer():
    for seed in range(10):
        its = draft(seed)
        right = its.packet.traces[seed % len(its.packet.traces)]
        made = wrong(its, right)
        assert (made.question, made.answer == right.answer) == (right.question, False)
        assert its.base.domain.faults(made)
        assert not its.base.domain.faults(right)


@pytest.mark.parametrize("name", ["one wrong trace", "half of the traces wrong"])
def test_wrong_traces_are_refuted(name):
    family = named(WRONG_TRACES, name)
    for seed in range(4):
        assert reasons(family.make(draft(seed))) & family.reasons


def test_a_share_of_the_traces_is_changed():
    its = draft(1)
    made = named(WRONG_TRACES, "half of the traces wrong").make(its).packet
    changed = [one != old for one, old in zip(made.traces, its.packet.traces, strict=True)]
    assert sum(changed) == round(0.5 * len(changed))


@pytest.mark.parametrize(
    "name", ["steps that name another concept", "traces of a concept that is not sent"]
)
def test_traces_that_do_not_fit_their_packet_are_malformed(name):
    family = named(WRONG_TRACES, name)
    for seed in range(4):
        assert reasons(family.make(draft(seed))) & family.reasons
