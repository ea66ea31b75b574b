"""Runs: what is counted in this process, and what comes back from another one."""

from dataclasses import replace

import pytest

from m2kt.bench.contenders import OURS
from m2kt.bench.course import load_student
from m2kt.bench.runs import counted_run, planned, timed_run
from m2kt.bench.watch import READOUT, REHEARSAL
from m2kt.errors import AlignmentError
from m2kt.progress import silent
from tests.courses import CAL, PUPIL, course, lesson


def adapted(layer) -> list:
    """The matrices of a GPT-2 layer that get an adapter."""
    return [layer.attn.c_attn.weight, layer.attn.c_proj.weight, layer.mlp.c_proj.weight]


def memory_flops(width: int, tokens: float) -> float:
    """Of one step: 6 for a product of which both factors have a gradient, else 4."""
    rank, inner, concepts = CAL.key_rank, CAL.projection_width, len(lesson().concepts)
    read = 6 * tokens * (width * rank + rank * concepts + concepts * width)
    phi = sum(
        len(its.packet.means) * inner * (4 * its.packet.means.shape[1] + 6 * width)
        for its in lesson().packets
    )
    return read + 4 * concepts * width * rank + phi


def test_operations_are_those_of_the_formula():
    """The whole model forward, and backward down to the lowest adapter; head and memory, too."""
    brief = course().brief(3)
    run, model = counted_run("bare_loop", brief), load_student(PUPIL).language_model
    layers, lowest = model.model.transformer.h, CAL.prefix(4)
    sizes = [sum(p.numel() for p in its.parameters() if p.dim() == 2) for its in layers]
    head, lowest_input = model.model.lm_head.weight.numel(), layers[lowest].attn.c_attn.weight
    forward = 2 * (sum(sizes) + head)
    backward = 2 * (sum(sizes[lowest:]) + head - lowest_input.numel())
    ranks = [sum(p.shape) for its in layers[lowest:] for p in adapted(its)]
    adapters = CAL.adapter_rank * (6 * sum(ranks) - 2 * model.width)
    ids = [[model.encode_trace(trace).ids for trace in batch] for batch in brief.batches[1:]]
    tokens = sum(len(batch) * max(map(len, batch)) for batch in ids) / len(ids)
    expected = tokens * (forward + backward + adapters) + memory_flops(model.width, tokens)
    assert run.flops_per_step(REHEARSAL) == expected


def test_a_cached_prefix_makes_alignment_s_steps_cheaper_than_the_whole_model():
    align = replace(course().align, steps=12)
    whole = replace(course(), align=align, batches=course().batches * 3, examine_every=12)
    ours, bare = (counted_run(name, whole) for name in (OURS, "bare_loop"))  # mean of many texts
    assert ours.flops_per_step(REHEARSAL) < bare.flops_per_step(REHEARSAL)
    assert ours.flops_per_step(READOUT) < ours.flops_per_step(REHEARSAL)


def test_alignment_s_steps_are_its_settings_and_the_others_their_batches():
    longer = replace(course(), batches=course().batches * 3)
    assert planned(OURS, READOUT, longer) == course().align.readout_steps
    assert planned(OURS, REHEARSAL, longer) == course().align.steps
    assert planned("bare_loop", REHEARSAL, longer) == 12


@pytest.mark.slow
def test_a_run_in_another_process_does_the_same_as_here():
    heard = []
    run = timed_run("bare_loop", course(), None, heard.append)
    here = counted_run("bare_loop", course())
    assert run.name == "bare_loop"
    assert (run.trainable, run.tokens, run.threads) == (here.trainable, here.tokens, 1)
    assert [(m.steps, m.accuracy) for m in run.marks] == [(m.steps, m.accuracy) for m in here.marks]
    assert [news.figures["steps"] for news in heard] == [0.0, 2.0, 4.0]
    assert run.peak_mib >= run.loaded_mib > 50
    assert run.reached(2.0) is None


@pytest.mark.slow
def test_a_process_that_ends_without_a_result_is_an_error(tmp_path, capfd):
    empty = replace(course(), student=str(tmp_path))
    with pytest.raises(AlignmentError, match="exit code 1"):
        timed_run(OURS, empty, None, silent)
    assert str(tmp_path) in capfd.readouterr().err
