"""Every subject's teachers give a lesson that a student may learn from."""

from dataclasses import replace

import pytest

from m2kt import domains
from m2kt.bench.subjects import SUBJECTS, draw_lesson, subject
from m2kt.errors import CompatibilityError, RequestError
from m2kt.extract import ExtractConfig

FEW = ExtractConfig(traces_per_level=2)


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_subjects_lesson_holds_every_concept_of_its_domain(name):
    lesson = draw_lesson(subject(name), FEW)
    assert {c.spec.id for c in lesson.concepts} == {c.id for c in domains.get(name).concepts}
    assert len(lesson.packets) == len(subject(name).teachers)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["arith.digits", "logic.prop"])
def test_a_whole_packet_of_a_teacher_that_slips_passes_a_students_own_rules(name):
    domain, lesson = domains.get(name), draw_lesson(subject(name), ExtractConfig())
    assert not any(domain.faults(trace) for trace in lesson.traces)
    assert len(lesson.traces) > 200


def test_teachers_of_one_subject_share_it_out():
    its = subject("arith.mod7")
    parts = [{c.id for c in its.taught(name).concepts} for name in its.teachers]
    assert not parts[0] & parts[1]
    assert len(parts[0] | parts[1]) == 147


def test_what_screening_refuses_is_no_lesson():
    def broken(packet, _model, _grammar):
        return replace(packet, means=packet.means + 1.0)

    with pytest.raises(CompatibilityError, match="passes screening"):
        draw_lesson(subject("group.s3"), FEW, change=broken)


def test_a_teacher_that_is_named_teaches_its_domain_alone():
    its = subject("group.s3", "s3-neox")
    assert set(its.teachers) == {"s3-neox"}
    lesson = draw_lesson(its, FEW)
    assert {c.spec.id for c in lesson.concepts} == {c.id for c in domains.get("group.s3").concepts}
    [packet] = lesson.packets
    assert packet.authentic.packet.provenance.family == "gpt_neox"


def test_nobody_teaches_an_unknown_domain():
    with pytest.raises(RequestError, match=r"arith\.mod7.*colours"):
        subject("colours")
