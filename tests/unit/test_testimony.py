"""What traces say together: one voice for each voter, none for a tie, maps of what is learnt."""

import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from m2kt import domains
from m2kt.domain import Trace
from m2kt.packet import ActivationMaps, KnowledgePacket, ScreenedPacket
from m2kt.reading import View
from m2kt.testimony import mapped, remaining, told
from m2kt.vocabulary import found_spec
from tests.packets import TEACHER
from tests.screening import DOMAIN, authentic, lying, passed, tiny_packet

VIEW = View(DOMAIN, torch.eye(len(DOMAIN.symbols)))
EVERY = tiny_packet(concepts=147, traces=0)
"""A packet of all facts and no trace."""


def traces(count: int, seed: int = 0) -> tuple[Trace, ...]:
    """True ones of different questions, two steps each."""
    rng = random.Random(seed)
    found = {DOMAIN.question(rng, 2).text for _ in range(4 * count)}
    return tuple(DOMAIN.solve(text) for text in sorted(found)[:count])


def filled(*its: Trace) -> KnowledgePacket:
    """Of all facts and these traces; each step's map is of the fact that it recalls."""
    facts = EVERY.facts
    steps = [facts[step.concept] for trace in its for step in trace.steps]
    indices = torch.tensor(steps, dtype=torch.int32)[:, None]
    return replace(EVERY, traces=its, maps=ActivationMaps(indices, torch.ones(len(steps), 1)))


def telling(voter: str, *its: Trace, name: str = "") -> ScreenedPacket:
    """A packet of an organisation; `name` tells its packets apart."""
    return passed(filled(*its), name or voter, voter, check_traces=False)


def facts(*its: Trace) -> dict[str, str]:
    return {step.concept: step.result for trace in its for step in trace.steps}


ONE, TWO, THREE = traces(3)
WRONG = lying(ONE)


def test_a_trace_that_nobody_contradicts_remains_and_tells_its_facts():
    packets = [telling("a", ONE, TWO), telling("b", THREE)]
    assert remaining(packets) == {ONE, TWO, THREE}
    assert told(packets, VIEW) == facts(ONE, TWO, THREE)


def test_nobody_tells_anything_to_a_student_that_cannot_look():
    assert told([telling("a", ONE)], None) == {}


def test_the_answer_that_most_voters_give_remains():
    packets = [telling("a", ONE), telling("b", WRONG), telling("c", ONE)]
    assert remaining(packets) == {ONE}
    assert told(packets, VIEW) == facts(ONE), "what was outvoted tells nothing"


def test_a_tie_leaves_none():
    packets = [telling("a", ONE), telling("b", WRONG)]
    assert remaining(packets) == frozenset()
    assert told(packets, VIEW) == {}


@given(st.integers(1, 5), st.integers(1, 5))
def test_a_voter_has_one_voice_however_often_it_repeats_itself(copies, repeats):
    """As many packets as it likes, each with its trace as often as it likes."""
    loud = [telling("loud", *[WRONG] * repeats, name=f"loud {n}") for n in range(copies)]
    assert remaining([*loud, telling("a", ONE)]) == frozenset()
    assert remaining([*loud, telling("a", ONE), telling("b", ONE)]) == {ONE}


def test_who_answers_both_ways_decides_nothing():
    two_faced = telling("two-faced", ONE, WRONG)
    assert remaining([two_faced]) == frozenset()
    assert remaining([two_faced, telling("a", ONE)]) == {ONE}


RIGHT = DOMAIN.solve("1+2+3")
FACT = RIGHT.steps[0].concept


def mistaken(question: str) -> Trace:
    """A trace that begins by 1 + 2 = 6."""
    its = DOMAIN.solve(question)
    first = its.steps[0]
    assert first.concept == FACT
    return replace(its, steps=(replace(first, result="6"), *its.steps[1:]))


def test_of_a_fact_that_several_questions_recall_most_voters_tell_the_symbol():
    wrong = mistaken("1+2-5")
    packets = [telling("a", RIGHT), telling("b", wrong)]
    assert remaining(packets) == {RIGHT, wrong}, "they answer different questions"
    assert set(told(packets, VIEW)) == set(facts(RIGHT, wrong)) - {FACT}
    assert told([*packets, telling("c", RIGHT)], VIEW)[FACT] == "3"
    assert told([*packets, telling("c", wrong)], VIEW)[FACT] == "6"


def test_a_fact_is_not_told_more_by_telling_it_in_more_traces():
    often = [mistaken(f"1+2-{number}") for number in range(5)]
    packets = [telling("a", RIGHT), telling("b", RIGHT), telling("c", *often)]
    assert told(packets, VIEW)[FACT] == "3"


def slots_of(*its: Trace) -> dict[str, int]:
    return {name: number for number, name in enumerate(sorted(facts(*its)))}


def test_a_trace_about_a_concept_that_is_not_learnt_is_dropped():
    packets = [telling("a", ONE, TWO)]
    slots = slots_of(ONE, TWO)
    assert set(mapped(packets, slots)) == {ONE, TWO}
    unshared = next(name for name in facts(TWO) if name not in facts(ONE))
    del slots[unshared]
    assert set(mapped(packets, slots)) == {ONE}


def test_a_trace_that_did_not_remain_has_no_map():
    packets = [telling("a", ONE, TWO), telling("b", WRONG)]
    assert set(mapped(packets, slots_of(ONE, TWO))) == {TWO}


def test_a_map_speaks_of_the_lessons_concepts():
    slots = {name: number + 100 for name, number in slots_of(ONE).items()}
    found = mapped([telling("a", ONE)], slots)[ONE]
    assert found == tuple({slots[step.concept]: 1.0} for step in ONE.steps)


def attending(trace: Trace, *rows: list[int], weights: list[float]) -> ScreenedPacket:
    """A packet of one trace whose steps look at these rows of the packet."""
    maps = ActivationMaps(
        torch.tensor(rows, dtype=torch.int32), torch.tensor([weights] * len(rows))
    )
    return passed(replace(filled(trace), maps=maps), "a", "a", check_traces=False)


def test_weights_are_scaled_up_for_concepts_that_are_not_learnt():
    its = attending(ONE, [0, 1, 2], [1, 0, 2], weights=[0.5, 0.25, 0.25])
    ids = [spec.id for spec in EVERY.concepts]
    slots = {name: number for number, name in enumerate({ids[0]: 0, ids[2]: 0} | facts(ONE))}
    first, second = mapped([its], slots)[ONE]
    assert first == pytest.approx({slots[ids[0]]: 2 / 3, slots[ids[2]]: 1 / 3})
    assert second == pytest.approx({slots[ids[0]]: 0.5, slots[ids[2]]: 0.5})


def test_a_map_of_nothing_that_is_learnt_is_empty():
    missing = [row for row, spec in enumerate(EVERY.concepts) if spec.id not in facts(ONE)][:2]
    its = attending(ONE, missing, missing, weights=[0.5, 0.5])
    assert mapped([its], slots_of(ONE))[ONE] == ({}, {})


@settings(max_examples=50)
@given(st.data())
def test_what_is_left_of_a_map_sums_to_one_or_is_nothing(data):
    row = st.integers(0, len(EVERY.concepts) - 1)
    rows = data.draw(st.lists(st.lists(row, min_size=4, max_size=4), min_size=2, max_size=2))
    parts = data.draw(st.lists(st.integers(0, 4), min_size=4, max_size=4).filter(any))
    its = attending(ONE, *rows, weights=[part / sum(parts) for part in parts])
    kept = data.draw(st.lists(st.sampled_from(EVERY.concepts), unique=True))
    slots = {name: n for n, name in enumerate({spec.id: 0 for spec in kept} | facts(ONE))}
    for found in mapped([its], slots)[ONE]:
        assert not found or sum(found.values()) == pytest.approx(1)
        assert all(weight > 0 for weight in found.values())


def test_of_one_trace_from_several_the_first_packets_map_is_kept():
    one = attending(ONE, [0, 1], [0, 1], weights=[0.5, 0.5])
    other = passed(filled(ONE), "b", "b", check_traces=False)
    slots = {spec.id: row for row, spec in enumerate(EVERY.concepts)}
    assert mapped([one, other], slots)[ONE] == ({0: 0.5, 1: 0.5},) * 2
    assert mapped([other, one], slots)[ONE] == mapped([other], slots)[ONE]


def test_a_concept_that_a_teacher_found_is_the_fact_that_a_step_recalls_else_all_of_its_facts():
    packet = filled(ONE)
    recalled = ONE.steps[0].concept
    members = (
        tuple(spec for spec in packet.concepts if spec.id == recalled)
        + tuple(spec for spec in packet.concepts if spec.id not in facts(ONE))[:3]
    )
    found = found_spec(DOMAIN.name, TEACHER, 0, members)
    concepts = (found, *packet.concepts[1:])
    maps = ActivationMaps(torch.zeros(2, 1, dtype=torch.int32), torch.ones(2, 1))
    its = ScreenedPacket(
        authentic(replace(packet, concepts=concepts, maps=maps)), (), {found.id: members}
    )
    slots = {spec.id: n for n, spec in enumerate(members)} | {ONE.steps[1].concept: 9}
    first, second = mapped([its], slots)[ONE]
    assert first == {slots[recalled]: 1.0}
    assert second == dict.fromkeys(range(4), 0.25)


def test_in_a_relational_domain_a_trace_tells_its_relation_not_its_operands():
    grammar = domains.get("arith.mod97")
    trace = grammar.solve(grammar.question(random.Random(0), grammar.levels[0]).text)
    steps = len(trace.steps)
    maps = ActivationMaps(torch.zeros(steps, 1, dtype=torch.int32), torch.ones(steps, 1))
    its = ScreenedPacket(authentic(replace(EVERY, traces=(trace,), maps=maps)), ())
    found = told([its], View(grammar, torch.eye(len(grammar.symbols))))
    assert found == {grammar.recalled(step): step.result for step in trace.steps}
    assert not set(found) & {step.concept for step in trace.steps}
