from dataclasses import replace

import pytest
import torch

from m2kt.align import align
from m2kt.losses import LossWeights
from m2kt.progress import silent
from m2kt.tensors import digest_state
from tests.lessons import FAST, lesson, multiplication, pupil

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
