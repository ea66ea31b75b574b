import pytest

from m2kt.bench.experiments.baseline_alignment import (
    CONTROLLED,
    FULL,
    QUICK,
    SUMS,
    ZERO_SHOT,
    Course,
    courses_of,
    findings,
    followed,
)
from m2kt.bench.experiments.experiment import Scope, record_of
from m2kt.bench.experiments.lecture import domain_of
from m2kt.progress import silent

COURSE = Course(
    student="mod7-addsub",
    seeds=(0,),
    reading=(1, 8),
    rehearsing=(0,),
    per_level=2,
    steps=1,
    traces_per_level=2,
)


@pytest.fixture(scope="module")
def runs():
    return followed(COURSE, silent)


def test_there_are_a_hundred_concepts():
    assert len(domain_of(SUMS).concepts) == 100


def test_every_course_ends_with_the_usual_phase_a():
    assert all(course.reading[-1] == 60 for course in (*FULL, *QUICK))


def test_somebodys_student_and_seeds_go_through_the_first_course():
    (its,) = courses_of(Scope(student="mod7-addsub", seeds=(4, 5)))
    assert (its.student, its.seeds, its.reading) == ("mod7-addsub", (4, 5), FULL[0].reading)
    assert courses_of(Scope()) == FULL
    assert courses_of(Scope(quick=True)) == QUICK


def test_everything_is_run_once_a_seed_and_more_steps_leave_less(runs):
    assert set(runs) == {"read 1", "read 8", "rehearse 0", ZERO_SHOT, *CONTROLLED}
    assert {len(its) for its in runs.values()} == {1}
    assert runs["read 8"][0]["loss_geometry"] < runs["read 1"][0]["loss_geometry"]
    assert runs["rehearse 0"][0]["steps"] == 0


def test_the_way_of_l_geo_has_every_step_of_both_rounds(runs):
    assert len(runs["read 8"][0]["way"]) == 2 * 8
    assert runs["read 8"][0]["way"][0] > 1


def test_the_record_says_what_was_found_first_and_last(runs):
    found = findings([(COURSE, runs)])
    its = record_of("baseline-alignment", Scope(), found)["alignment"]
    assert its["concepts"] == 100
    assert its["l_geo_first"] == runs["read 8"][0]["way"][0]
    assert its["l_geo_last"] == runs["read 8"][0]["loss_geometry"]
    assert its["accuracy"] == runs["read 8"][0]["mean"]
    assert set(its["controls"]) == {ZERO_SHOT, *CONTROLLED}
    assert its["spearman"]["points"] == 2
    assert [claim.what for claim in found.claims if not claim.holds] != []  # one step of rehearsal
