import pytest
import torch

from m2kt.align_config import AlignConfig
from m2kt.bench.experiments.lecture import lecture_of, lesson_of
from m2kt.bench.experiments.projected_probe import Place, drills_of, native_of, read
from m2kt.bench.subjects import Subject

TABLE = Subject("group.s3", {"s3": ""})
SHAPE = AlignConfig().cal


@pytest.fixture(scope="module")
def place():
    lecture = lecture_of("symbols-student", TABLE, lesson_of(TABLE, seed=0, traces_per_level=4))
    return Place(lecture, native_of(lecture, SHAPE), drills_of(lecture, SHAPE), 0.1)


@pytest.fixture(scope="module")
def values(place):
    cal = place.lecture.learn(AlignConfig(readout_steps=20, steps=0)).cal
    return (cal.gate * cal.values()).detach()


@pytest.fixture(scope="module")
def reading(place, values):
    return read(place, values, kind="phi", seed=0)


def test_concepts_that_no_trace_shows_are_read_and_none_else(place, reading):
    every = {concept.spec.id for concept in place.lecture.lesson.concepts}
    assert set(reading.marks) == every - place.lecture.shown
    assert len(reading.marks) == 36 - 7


def test_the_students_own_probe_reads_what_phi_says(place, reading):
    assert reading.accuracy > 0.9
    assert set(reading.by_layer) == set(place.native.probes)
    assert reading.displaced > 0.5


def test_it_reads_nothing_where_nothing_was_added_or_another_concept(place, values):
    nothing = read(place, torch.zeros_like(values), kind="nothing", seed=0)
    other = read(place, values.roll(1, dims=0), kind="other", seed=0)
    assert nothing.accuracy < 0.5
    assert other.accuracy < 0.5
