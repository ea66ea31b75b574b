from dataclasses import replace

import pytest
import torch

from m2kt.align import _Alignment, align
from m2kt.cal import CALConfig
from m2kt.combine import combine
from m2kt.combine_config import CombineRules
from m2kt.domains.relations import Relations
from m2kt.domains.tables import modular
from m2kt.extract import ExtractConfig, extract_packet
from m2kt.losses import LossWeights
from m2kt.packet import ScreenedPacket
from m2kt.probes import draw_probes
from m2kt.progress import silent
from m2kt.relating import RelationPlan
from m2kt.screen import ScreenRules, screen
from m2kt.student import Student
from m2kt.tensors import digest_state
from m2kt.verify import examine
from tests.lessons import (
    EXTRACT,
    FAST,
    PUPIL,
    TEACHER,
    authentic,
    lesson,
    model,
    multiplication,
    pupil,
)

BRIEF = replace(FAST, readout_steps=4, steps=4, traces=4, own=4, report_every=1)


def test_the_same_seed_trains_the_same_layer_bit_for_bit():
    first, second = (align(pupil(), lesson(), multiplication(), BRIEF, silent) for _ in range(2))
    assert digest_state(first.cal.tensors()) == digest_state(second.cal.tensors())


def test_all_terms_fall_while_it_learns():
    config = replace(FAST, readout_steps=15, steps=30, report_every=1)
    history = align(pupil(), lesson(), multiplication(), config, silent).history
    reading = [h["loss_geometry"] for h in history if h["phase"] == 0.0]
    practice = [h for h in history if h["phase"] == 1.0]
    assert reading[-1] < 0.5 * reading[0]
    assert practice[-1]["loss_reason"] < 0.5 * practice[0]["loss_reason"]
    assert practice[-1]["loss_structure"] < practice[0]["loss_structure"]


def test_where_addresses_are_drawn_the_structure_term_helps_to_find_them():
    drawn = replace(FAST, addressed=False, readout_steps=4, steps=40, report_every=1)
    off = replace(drawn, weights=replace(drawn.weights, structure=0.0))
    left = [
        [its["loss_structure"] for its in candidate.history if its["phase"] == 1.0]
        for candidate in (
            align(pupil(), lesson(), multiplication(), config, silent) for config in (drawn, off)
        )
    ]
    assert left[0][0] == left[1][0]
    assert left[0][-1] < 0.7 * left[1][-1], left
    closed = align(pupil(), lesson(), multiplication(), BRIEF, silent)
    assert closed.history[-1]["loss_structure"] < left[0][0]


def test_what_is_left_between_the_teachers_maps_and_the_memory_shrinks_with_learning():
    short, long = (
        align(
            pupil(), lesson(), multiplication(), replace(BRIEF, addressed=False, steps=its), silent
        )
        for its in (1, 40)
    )
    left = [its.figures["divergence_structure"] for its in (short, long)]
    assert 0.0 <= left[1] < left[0]


def test_the_safety_term_moves_the_projected_concepts():
    unsafe = replace(BRIEF, unsafe_phrases=("3*5=",), unsafe_margin=-1.0, readout_steps=12)
    off = replace(unsafe, weights=LossWeights(safety=0.0))
    with_term = align(pupil(), lesson(), multiplication(), unsafe, silent)
    without = align(pupil(), lesson(), multiplication(), off, silent)
    assert with_term.history[-1]["loss_safety"] < without.history[-1]["loss_safety"]


@pytest.mark.parametrize("kind", ["linear", "low_rank"])
def test_every_kind_of_projection_trains(kind):
    config = replace(BRIEF, cal=replace(BRIEF.cal, projection=kind, projection_width=8))
    candidate = align(pupil(), lesson(), multiplication(), config, silent)
    assert all(bool(torch.isfinite(t).all()) for t in candidate.cal.tensors().values())


def test_what_no_trace_shows_is_read_and_then_said_by_a_phi_that_began_anew():
    extract = replace(EXTRACT, reveal=0.3)
    packet = extract_packet(
        model("mod7-mul"), multiplication(), extract, agent=TEACHER, now_s=1_800_000_000.0
    )
    found = screen(authentic(packet), multiplication(), ScreenRules())
    assert isinstance(found, ScreenedPacket), found
    taught = combine([found], CombineRules())
    told = []
    its, hot = (_Alignment(pupil(), taught, multiplication(), FAST, told.append) for _ in range(2))
    read, figures = its.read_out()
    steps = [news.figures["step"] for news in told]
    assert figures["concepts_shown"] == 15 < len(read) == 49
    right = [read[name] == multiplication().fact(name) for name in read]
    assert sum(right) / len(right) > 0.6
    assert its.reading.read()[1]["readout_agreement"] > 0.9
    assert steps == sorted(set(steps)), "steps are numbered through"
    hot.learn_to_read(FAST.reading_rate)
    assert its.cal.values().norm() < hot.cal.values().norm() / 2
    slow = replace(FAST, learning_rate=1e-9)
    _, left = _Alignment(pupil(), taught, multiplication(), slow, told.append).read_out()
    assert left["readout_agreement"] < 0.5, "of the phi that is kept, not of the one that read"


def test_a_relational_lesson_is_learnt_from_elements_operators_and_some_facts():
    domain = Relations(modular(7, "+-", longest=1))
    teacher, extract = model("mod7-addsub"), ExtractConfig(reveal=0.8)
    packet = extract_packet(teacher, domain, extract, agent=TEACHER, now_s=1_800_000_000.0)
    assert [spec.prompt for spec in packet.concepts] == [*"0123456", "+", "-"]
    assert packet.provenance.layer == 0
    found = screen(authentic(packet), domain, ScreenRules())
    assert isinstance(found, ScreenedPacket), found
    taught = combine([found], CombineRules())
    config = replace(
        FAST, relation=RelationPlan(steps=100), steps=120, cal=replace(FAST.cal, relation_rank=7)
    )
    student = Student(PUPIL, model("mod7-flipped"))  # has every fact wrong
    probes = draw_probes(domain, seed=5, per_level=98)
    before = examine(student, domain, probes, None)
    candidate = align(student, taught, domain, config, silent)
    after = examine(student, domain, probes, candidate.cal)
    shown = {trace.question for trace in taught.traces}
    right = [
        right for right, its in zip(after.right, probes.items, strict=True) if its.question in shown
    ]
    assert before.mean < 0.1
    assert sum(right) / len(right) > 0.9
    assert candidate.figures["facts_shown"] == len(shown) == 78
    assert candidate.figures["relation_agreement"] == 1.0


@pytest.mark.parametrize(("name", "early"), [("symbols-student", True), ("mod7-addsub", False)])
def test_the_memory_looks_early_in_a_student_that_recognises_concepts_there(name, early):
    config = replace(FAST, cal=CALConfig(), readout_steps=2, steps=2)
    candidate = align(Student(PUPIL, model(name)), lesson(), multiplication(), config, silent)
    assert candidate.cal.config.looks_early is early
    assert (candidate.figures["recognised"] >= config.recognised) is early
