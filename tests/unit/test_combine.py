"""Laws of combining: order and copies do not matter, shares sum to one, ties are dropped."""

import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from m2kt.combine import combine
from m2kt.combine_config import CombineRules
from m2kt.consensus import Decision, Fate
from m2kt.digest import digest_of
from m2kt.errors import PacketError, RequestError
from m2kt.identity import AgentId, PacketId
from m2kt.packet import ActivationMaps, Lesson, ScreenedPacket
from m2kt.strategies import STRATEGIES
from tests.assembly import (
    FACTS,
    HIDDEN,
    RULES,
    TOLD,
    VIEW,
    believed,
    honest,
    liars,
    shifted,
    teacher,
    truth,
)
from tests.screening import lying, passed, tiny_packet


def named(name: str, **content) -> ScreenedPacket:
    return passed(tiny_packet(**content), name, name, check_traces=False)


def telling(name: str, *traces) -> ScreenedPacket:
    """A packet with one concept for each step and just these traces."""
    packet = tiny_packet(concepts=147, traces=0, seed=1)
    steps = sum(len(trace.steps) for trace in traces)
    maps = ActivationMaps(torch.zeros(steps, 1, dtype=torch.int32), torch.ones(steps, 1))
    return passed(replace(packet, traces=traces, maps=maps), name, name, check_traces=False)


def content(lesson: Lesson):
    """All of a lesson that can be compared."""
    return lesson.domain, lesson.lineage, lesson.concepts, lesson.traces, lesson.maps


@settings(max_examples=25)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.randoms())
def test_neither_the_order_of_arrival_nor_copies_matter(seeds, rng: random.Random):
    packets = [named(f"p{seed}", seed=seed) for seed in set(seeds)]
    arrived = [packets[sorted(set(seeds)).index(seed)] for seed in seeds]
    rng.shuffle(arrived)
    for strategy in STRATEGIES:
        rules = CombineRules(strategy=strategy)
        assert content(combine(arrived, rules)) == content(combine(packets, rules))


def test_of_copies_under_several_ids_the_same_one_stays_in_any_order():
    one = named("a")
    other = ScreenedPacket(
        replace(one.authentic, packet_id=PacketId(digest_of(b"signed again"))), one.rules
    )
    lessons = [combine(order, CombineRules()) for order in ([one, other], [other, one])]
    assert lessons[0].lineage == lessons[1].lineage
    assert len(lessons[0].packets) == 1


def test_a_lesson_names_every_id_under_which_its_content_came():
    one, two = named("a"), named("b", seed=1)
    signed_again = PacketId(digest_of(b"signed again"))
    copy = ScreenedPacket(replace(one.authentic, packet_id=signed_again), one.rules)
    lesson = combine([one, two, copy, copy], CombineRules())
    ids = {one.authentic.packet_id, two.authentic.packet_id, signed_again}
    assert set(lesson.lineage) == ids
    assert len(lesson.lineage) == len(ids)
    assert len(lesson.packets) == 2


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_lesson_holds_the_union_and_says_who_taught_what(strategy):
    packets = [named(f"p{seed}", seed=seed, concepts=60, traces=seed) for seed in range(3)]
    lesson = combine(packets, CombineRules(strategy=strategy))
    union = {spec.id for one in packets for spec in one.packet.concepts}
    assert [concept.spec.id for concept in lesson.concepts] == sorted(union)
    assert lesson.strategy == strategy
    shared = 0
    for concept in lesson.concepts:
        assert sum(source.weight for source in concept.sources) == pytest.approx(1)
        shared += len(concept.sources) > 1
        for source in concept.sources:
            its = lesson.packets[source.packet].packet
            assert its.concepts[source.row] == concept.spec
    assert shared > 10


def test_without_a_view_of_concepts_shares_are_equal():
    packets = [named("few", seed=1, concepts=147, traces=0), named("many", concepts=147, traces=8)]
    lesson = combine(packets, CombineRules())
    assert {source.weight for one in lesson.concepts for source in one.sources} == {0.5}
    assert lesson.consensus.decisions[Decision.UNOPPOSED] == 147


def test_maps_speak_of_the_lessons_concepts():
    packets = [named(f"p{seed}", seed=seed) for seed in range(2)]
    lesson = combine(packets, CombineRules())
    assert len(lesson.maps) == len(lesson.traces)
    for trace, maps in zip(lesson.traces, lesson.maps, strict=True):
        assert len(maps) == len(trace.steps)
        for step, weights in zip(trace.steps, maps, strict=True):
            assert sum(weights.values()) == pytest.approx(1)
            heaviest = max(weights, key=weights.__getitem__)
            assert lesson.concepts[heaviest].spec.id == step.concept


def test_a_concept_that_a_map_names_twice_has_the_sum():
    packet = tiny_packet(traces=1)
    maps = ActivationMaps(
        torch.tensor([[2, 2, 5]], dtype=torch.int32), torch.tensor([[0.5, 0.5, 0.0]])
    )
    lesson = combine([passed(replace(packet, maps=maps))], CombineRules())
    assert lesson.maps == (({2: 1.0},),)


def test_a_trace_that_several_give_is_there_once():
    trace = tiny_packet().traces[0]
    lesson = combine([telling("a", trace), telling("b", trace, trace)], CombineRules())
    assert lesson.traces == (trace,)


def test_the_majority_decides_what_a_question_leads_to_and_a_tie_nothing():
    right, other = tiny_packet(traces=12).traces[0], tiny_packet(traces=12, seed=5).traces[0]
    wrong = lying(right)
    majority = [telling("a", right), telling("b", wrong), telling("c", right, other)]
    assert set(combine(majority, CombineRules()).traces) == {right, other}
    tie = [telling("a", right), telling("b", wrong, other)]
    assert combine(tie, CombineRules()).traces == (other,)
    assert combine([telling("a", right, wrong)], CombineRules()).traces == ()
    stuffed = [telling("a", right), telling("b", *[wrong] * 9)]
    assert combine(stuffed, CombineRules()).traces == (), "repeating oneself is no majority"


def test_packets_of_several_domains_or_none_at_all_are_an_error():
    one = named("a")
    about = replace(one.packet.provenance, domain="arith.mod5")
    alien = replace(one.authentic, packet=replace(one.packet, provenance=about))
    other = replace(alien, content_digest=digest_of(b"other"))
    with pytest.raises(PacketError, match=r"arith\.mod5"):
        combine([one, ScreenedPacket(other, ())], CombineRules())
    with pytest.raises(PacketError, match="one domain"):
        combine([], CombineRules())


def test_two_descriptions_of_one_concept_are_an_error():
    one = named("a")
    spec = replace(one.packet.concepts[0], prompt="other words")
    content = replace(one.packet, concepts=(spec, *one.packet.concepts[1:]))
    other = replace(one.authentic, packet=content, content_digest=digest_of(b"other"))
    with pytest.raises(PacketError, match="one description"):
        combine([one, ScreenedPacket(other, ())], CombineRules())


def test_an_unknown_strategy_is_an_error_that_names_the_known_ones():
    with pytest.raises(RequestError, match="mean"):
        CombineRules(strategy="loudest")


def test_with_a_view_the_order_of_arrival_changes_no_bit():
    packets = [*honest(4), *liars(1), teacher("mistaken", shifted(only=HIDDEN[:1]))]
    first = combine(packets, RULES, VIEW)
    for seed in range(4):
        arrived = random.Random(seed).sample(packets, len(packets))
        again = combine(arrived, RULES, VIEW)
        assert content(again) == content(first)
        assert again.consensus == first.consensus


def test_five_copies_of_one_honest_teacher_equal_one():
    packets = honest(3)
    same = packets[0].authentic
    copies = [
        ScreenedPacket(
            replace(
                same, packet_id=PacketId(digest_of(str(n).encode())), teacher=AgentId(f"copy-{n}")
            ),
            (),
        )
        for n in range(4)
    ]
    one, many = combine(packets, RULES, VIEW), combine([*packets, *copies], RULES, VIEW)
    assert len(many.packets) == len(one.packets) == 3
    for its, other in zip(one.concepts, many.concepts, strict=True):
        assert [s.weight for s in its.sources] == pytest.approx(
            [s.weight for s in other.sources], abs=1e-6
        )
    assert set(many.lineage) - set(one.lineage) | set(one.lineage) == {
        *(packet.authentic.packet_id for packet in packets),
        *(copy.authentic.packet_id for copy in copies),
    }


def test_one_organisation_under_many_names_has_one_vote():
    sybils = [teacher(f"sybil-{n}", shifted(), organisation="sybils") for n in range(8)]
    lesson = combine([*honest(5), *sybils], RULES, VIEW)
    assert believed(lesson) == {fact: truth(fact) for fact in HIDDEN}
    assert {its.voter for its in lesson.consensus.standings if its.fate is not Fate.USED} == {
        "sybils"
    }


def test_who_is_kept_out_is_not_in_the_lineage_nor_are_its_traces():
    liar = teacher("liar", shifted(), told=TOLD[:-1])
    others = honest(5, told=TOLD[1:])
    assert liar.packet.traces[0] not in others[0].packet.traces
    lesson = combine([*others, liar], RULES, VIEW)
    assert liar.authentic.packet_id not in lesson.lineage
    assert set(lesson.traces) == set(others[0].packet.traces)


def test_nothing_is_learnt_where_nobody_is_to_be_believed():
    lesson = combine([*honest(1), *liars(1)], RULES, VIEW)
    assert {concept.spec.id for concept in lesson.concepts} == set(TOLD)
    assert lesson.consensus.unsettled == len(HIDDEN) / len(FACTS)
