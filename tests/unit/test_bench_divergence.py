"""A student is far from its teachers where it was not sent what they hold, or something else."""

from dataclasses import replace

import pytest
import torch

from m2kt import domains
from m2kt.align_config import AlignConfig
from m2kt.bench.cells import Cell, run_cell
from m2kt.bench.divergence import _known

USUAL = Cell(
    student="symbols-student",
    domain="group.s3",
    way="with_c",
    reveal=0.3,
    per_level=2,
    traces_per_level=10,
    align=AlignConfig(steps=2, traces=2, own=2),
    diverged=True,
)


@pytest.fixture(scope="module")
def far():
    cells = {
        "whole": USUAL,
        "half": replace(USUAL, held=0.5),
        "none": replace(USUAL, held=0.0),
        "shuffled": replace(USUAL, way="shuffled_c"),
    }
    return {name: run_cell(cell)["figures"] for name, cell in cells.items()}


@pytest.mark.slow
def test_what_a_student_was_not_sent_is_far_from_it(far):
    for name in ("divergence_attention", "divergence_said"):
        assert far["whole"][name] < far["half"][name] < far["none"][name]
    assert far["none"]["divergence_geometry"] < 1, "of what it was sent it is sure"


@pytest.mark.slow
def test_what_is_sent_under_another_name_is_found_and_says_another_thing(far):
    assert far["shuffled"]["divergence_said"] > 10 * far["whole"]["divergence_said"]
    apart = far["shuffled"]["divergence_attention"] - far["whole"]["divergence_attention"]
    assert abs(apart) < 0.5


def test_a_lesson_is_measured_only_if_that_is_asked_for():
    found = run_cell(replace(USUAL, diverged=False))["figures"]
    assert "divergence_structure" in found
    assert not {"divergence_attention", "divergence_said"} & found.keys()


def test_what_a_teacher_says_and_attends_to_are_distributions_over_all_that_it_teaches():
    known = _known("arith.mod7", "mod7-mul", "*")
    assert len(known.names) == 49
    for its in (known.maps, known.chances):
        assert torch.allclose(its.sum(dim=-1), torch.ones(len(its)), atol=1e-4)
    domain, best = domains.get("arith.mod7"), known.chances.argmax(dim=-1).tolist()
    right = [
        domain.symbols[at] == domain.fact(name) for name, at in zip(known.names, best, strict=True)
    ]
    assert sum(right) > 0.9 * len(right)
