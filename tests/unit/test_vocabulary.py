from dataclasses import replace
from functools import cache

import pytest

from m2kt.combine import combine
from m2kt.combine_config import CombineRules
from m2kt.domain import ConceptSpec
from m2kt.domains.relations import Relations
from m2kt.extract import extract_packet
from m2kt.packet import KnowledgePacket, Lesson, ScreenedPacket
from m2kt.reasons import Reason
from m2kt.screen import MOST_ITEMS, ScreenRules, screen
from m2kt.verdict import Rejected
from m2kt.vocabulary import found_spec, strange_concepts
from tests.lessons import EXTRACT, TEACHER, authentic, model, multiplication, taught_packet


@cache
def packet() -> KnowledgePacket:
    config = replace(EXTRACT, find="clustering", prompts=200, reveal=0.3)
    return extract_packet(model("mod7-mul"), multiplication(), config, agent=TEACHER, now_s=1.0)


def screened(its: KnowledgePacket) -> ScreenedPacket | Rejected:
    return screen(authentic(its), multiplication(), ScreenRules(min_exemplars=2))


def lesson() -> Lesson:
    found = screened(packet())
    assert isinstance(found, ScreenedPacket), found
    return combine([found], CombineRules())


def altered(change) -> KnowledgePacket:
    """The packet with its first concept changed."""
    first, *rest = packet().concepts
    return replace(packet(), concepts=(change(first), *rest))


def test_named_concepts_are_the_domains_own():
    assert list(strange_concepts(taught_packet(), multiplication())) == []


def test_found_concepts_pass_and_a_lesson_of_them_is_about_facts():
    its = lesson()
    assert [concept.spec for concept in its.concepts] == sorted(
        multiplication().concepts, key=lambda spec: spec.id
    )
    rows = {concept.spec.id: concept.sources[0].row for concept in its.concepts}
    for row, spec in enumerate(packet().concepts):
        assert {rows[member] for member in spec.members} == {row}


def test_a_map_over_found_concepts_points_at_the_fact_that_its_step_recalls():
    its = lesson()
    right = total = 0
    for trace, maps in zip(its.traces, its.maps, strict=True):
        for step, weights in zip(trace.steps, maps, strict=True):
            assert sum(weights.values()) == pytest.approx(1.0, abs=1e-5)
            top = max(weights, key=lambda slot: weights[slot])
            right += its.concepts[top].spec.id == step.concept
            total += 1
    assert right / total > 0.9


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: replace(spec, gloss="the answer to everything"),
        lambda spec: replace(spec, prompt="say it:"),
        lambda spec: replace(spec, id=spec.id.replace("teacher-mul", "somebody")),
        lambda spec: replace(spec, id=spec.id.replace("~", "-")),
        lambda spec: replace(spec, id=f"{spec.id}\u00b2"),
    ],
)
def test_a_found_concept_brings_no_texts_of_its_own(change):
    found = screened(altered(change))
    assert isinstance(found, Rejected)
    assert Reason.MALFORMED in found.reasons


def test_a_found_concept_is_made_of_facts_of_the_domain():
    found = screened(altered(lambda spec: replace(spec, members=(*spec.members, "arith.mod7/9*9"))))
    assert isinstance(found, Rejected)
    assert found.reasons == (Reason.UNSUPPORTED_DOMAIN,)
    assert "9*9" in found.details[0]


def test_a_fact_is_in_one_concept():
    second = packet().concepts[1].members[0]

    def greedy(spec: ConceptSpec) -> ConceptSpec:
        public = {its.id: its for its in multiplication().concepts}
        members = [public[name] for name in (*spec.members, second)]
        return found_spec("arith.mod7", TEACHER, 0, members)

    found = screened(altered(greedy))
    assert isinstance(found, Rejected)
    assert found.reasons == (Reason.MALFORMED,)
    assert "in one concept" in found.details[0]


def test_a_denied_fact_is_found_inside_a_found_concept():
    name = packet().concepts[0].members[-1]
    rules = ScreenRules(min_exemplars=2, denied_concepts=(name.replace("*", "[*]"),))
    found = screen(authentic(packet()), multiplication(), rules)
    assert isinstance(found, Rejected)
    assert found.reasons == (Reason.DENIED_CONCEPT,)


def test_a_named_concept_has_no_members():
    first, *rest = taught_packet().concepts
    false = replace(taught_packet(), concepts=(replace(first, members=("x",)), *rest))
    assert any("no members" in said for _, said in strange_concepts(false, multiplication()))


def test_a_number_without_end_is_no_number():
    its = altered(lambda spec: replace(spec, id=spec.id + "1" * 5000))
    assert {reason for reason, _ in strange_concepts(its, multiplication())} == {Reason.MALFORMED}


def test_concepts_that_are_related_are_not_found():
    domain = Relations(multiplication())
    said = [text for _, text in strange_concepts(packet(), domain)]
    assert any("whose facts relate them" in text for text in said)


def test_facts_count_where_a_packet_is_bounded():
    its = altered(lambda spec: replace(spec, members=tuple(map(str, range(MOST_ITEMS + 1)))))
    found = screened(its)
    assert isinstance(found, Rejected)
    assert Reason.OVERSIZE in found.reasons
