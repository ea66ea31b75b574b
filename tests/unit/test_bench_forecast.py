"""A forecast is what a few steps cost, times all steps."""

from dataclasses import replace

import pytest

from m2kt.bench.baselines import TextConfig
from m2kt.bench.cells import Cell
from m2kt.bench.forecast import Pace, forecast, pace_of, seconds
from tests.courses import ALIGN

CELL = Cell(
    student="mod7-flipped",
    domain="arith.mod7",
    way="with_c",
    per_level=4,
    traces_per_level=2,
    text=TextConfig(steps=10),
    align=replace(ALIGN, steps=100),
)
PACE = Pace(prepared=2.0, studied=3.0, step=0.5, problem=0.25)


@pytest.mark.parametrize(
    ("way", "examples", "expected"),
    [
        ("teacher", 0, 2 + 4 * 0.25),
        ("four_shot", 0, 2 + 4 * 0.25),
        ("with_c", 0, 2 + 3 + 100 * 0.5 + 4 * 0.25),
        ("shuffled_c", 0, 2 + 3 + 100 * 0.5 + 4 * 0.25),
        ("ridge", 0, 2 + 2 * 3 + 4 * 0.25),
        ("sequences", 12, 2 + 3 + 10 * 0.5 + 4 * 0.25),  # a step reads six, and there are ten
        ("distillation", 600, 2 + 3 + 100 * 0.5 + 4 * 0.25),
    ],
)
def test_a_cell_takes_its_steps_and_its_problems(way, examples, expected):
    assert seconds(replace(CELL, way=way, examples=examples), PACE) == pytest.approx(expected)


def test_a_pace_is_seconds_by_step_and_by_problem():
    figures = {
        "prepared_s": 2.0,
        "learning_s": 5.0,
        "rehearsal_s": 2.0,
        "steps": 4.0,
        "exam_s": 1.0,
    }
    assert pace_of({"figures": figures, "levels": [1] * 4 + [2] * 4}) == PACE


def test_a_lesson_is_begun_to_find_out():
    assert forecast([CELL], workers=1, threads=1) > 0
