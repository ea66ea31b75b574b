import pytest

from m2kt import domains
from m2kt.align_config import AlignConfig
from m2kt.bench.experiments.lecture import domain_of, lecture_of, lesson_of, result_of
from m2kt.bench.spread import summary
from m2kt.bench.subjects import Subject, subject

SUMS = Subject("arith.mod7", {"mod7-addsub": "+"})


@pytest.fixture(scope="module")
def lecture():
    return lecture_of("mod7-addsub", SUMS, lesson_of(SUMS, seed=0, traces_per_level=4))


def test_the_domain_is_what_its_teachers_teach_and_no_more():
    assert {spec.id for spec in domain_of(SUMS).concepts} == {
        spec.id for spec in domains.get("arith.mod7").concepts if "+" in spec.prompt
    }
    assert domain_of(subject("arith.mod7")) is domains.get("arith.mod7")


def test_traces_show_a_fifth_of_the_facts(lecture):
    assert len(lecture.shown) == round(0.2 * 49)
    assert len(lecture.lesson.concepts) == 49


def test_an_exam_asks_nothing_that_a_trace_shows_and_is_a_result(lecture):
    exam = lecture.exam(None, per_level=5)
    assert exam.mean > 0.9  # the student is the teacher, who knows sums
    result = result_of(exam)
    assert summary([result])["accuracy"] == exam.mean


def test_a_control_changes_what_is_learnt_from(lecture):
    shuffled = lesson_of(SUMS, seed=0, way="shuffled_c", traces_per_level=4)
    theirs, real = (its.packets[0].packet for its in (shuffled, lecture.lesson))
    assert theirs.traces == real.traces
    assert not (theirs.means == real.means).all()


def test_a_lesson_that_is_learnt_gives_a_candidate(lecture):
    candidate = lecture.learn(AlignConfig(readout_steps=2, steps=0))
    assert len(candidate.cal.values()) == 49
    assert candidate.figures["steps"] == 0
