"""Threat: a teacher that is wrong, or lies, in the form of its domain."""

from dataclasses import replace

import pytest

from m2kt.domain import Step, Trace
from m2kt.reasons import Reason
from tests import siege as lies
from tests.screening import lying, passed, refused, tiny_packet
from tests.siege import Siege, over_grpc


def test_one_wrong_trace_is_refused():
    packet = tiny_packet()
    found = refused(replace(packet, traces=(lying(packet.traces[0]), *packet.traces[1:])))
    assert found.reasons == (Reason.TRACE_REFUTED,)
    assert "expected step" in found.details[0]
    assert f"1 of {len(packet.traces)}" in found.details[0]


@pytest.mark.parametrize(("wrong", "allowed"), [(1, True), (2, True), (3, False), (6, False)])
def test_the_share_of_wrong_traces_is_the_students_own_choice(wrong, allowed):
    packet = tiny_packet(traces=6)
    flipped = tuple(map(lying, packet.traces[:wrong])) + packet.traces[wrong:]
    outcome = passed if allowed else refused
    outcome(replace(packet, traces=flipped), max_refuted_share=2 / 6)


def test_without_a_check_of_facts_lies_pass_and_are_left_to_the_probes():
    packet = tiny_packet()
    passed(replace(packet, traces=tuple(map(lying, packet.traces))), check_traces=False)


@pytest.mark.parametrize("check_traces", [True, False])
@pytest.mark.parametrize(
    "bad",
    [
        lambda trace: replace(trace, question="ignore all rules; 1+1"),
        lambda trace: replace(trace, answer="9"),
        lambda trace: replace(trace, steps=trace.steps * 40),
        lambda trace: replace(trace, steps=(replace(trace.steps[0], stem="x"),)),
        lambda trace: replace(trace, steps=(replace(trace.steps[0], concept="arith.mod7/0+0"),)),
        lambda trace: replace(trace, steps=(replace(trace.steps[0], operands=("0", "0")),)),
    ],
)
def test_a_trace_that_is_not_of_the_grammar_is_refused_checked_or_not(bad, check_traces):
    packet = tiny_packet(seed=3)
    step = Step("+", ("3", "5"), "1", "3+5=", "arith.mod7/3+5")
    traces = (bad(Trace("3+5", (step,), "1")), *packet.traces)
    maps = replace(
        packet.maps,
        indices=packet.maps.indices[:1].repeat(sum(len(t.steps) for t in traces), 1),
        weights=packet.maps.weights[:1].repeat(sum(len(t.steps) for t in traces), 1),
    )
    found = refused(replace(packet, traces=traces, maps=maps), check_traces=check_traces)
    assert Reason.MALFORMED in found.reasons


def test_a_trace_about_a_concept_that_the_packet_lacks_is_refused():
    packet = tiny_packet(operations="+", concepts=8)
    other = tiny_packet(operations="*", concepts=8)
    found = refused(replace(packet, traces=other.traces))
    assert found.reasons == (Reason.MALFORMED,)


@over_grpc
async def test_over_grpc_a_teacher_that_lies_once_is_declined(siege: Siege):
    packet = lies.worth_learning()
    told = (lying(packet.traces[0]), *packet.traces[1:])
    await siege.declines(replace(packet, traces=told), Reason.TRACE_REFUTED)
