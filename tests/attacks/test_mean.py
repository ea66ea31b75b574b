"""Threat: a concept vector that its own exemplars do not support."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from m2kt.reasons import Reason
from tests import siege as lies
from tests.screening import passed, refused, tiny_packet
from tests.siege import Siege, over_grpc


@pytest.mark.parametrize("shift", [0.05, 1.0])
def test_a_shifted_concept_is_refused(shift):
    packet = tiny_packet()
    means = packet.means.clone()
    means[3, 1] += shift
    found = refused(replace(packet, means=means))
    assert found.reasons == (Reason.MEAN_MISMATCH,)
    assert packet.concepts[3].id in found.details[0]


def test_a_small_coordinate_cannot_be_shifted_in_the_shadow_of_a_large_one():
    packet = tiny_packet()
    exemplars = packet.exemplars.clone()
    exemplars[:, :, 0] = 30.0
    means = exemplars.mean(dim=1)
    passed(replace(packet, exemplars=exemplars, means=means))
    means[0, 1] += 0.1
    found = refused(replace(packet, exemplars=exemplars, means=means))
    assert found.reasons == (Reason.MEAN_MISMATCH,)


def test_concepts_swapped_among_themselves_are_refused():
    packet = tiny_packet()
    assert refused(replace(packet, means=packet.means.roll(1, 0))).reasons == (
        Reason.MEAN_MISMATCH,
    )


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([torch.bfloat16, torch.float16, torch.float32]))
def test_rounding_for_the_wire_is_no_offence(seed, dtype):
    packet = tiny_packet(seed=seed, exemplars=16, width=8)
    rounded = packet.exemplars.to(dtype)
    passed(replace(packet, exemplars=rounded, means=packet.means.to(dtype)))
    passed(replace(packet, exemplars=rounded.float(), means=packet.means))
    passed(replace(packet, means=packet.means.to(dtype)))


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_rounding_to_int8_is_no_offence_and_no_licence(seed):
    packet = tiny_packet(seed=seed)
    steps = packet.exemplars.abs().amax(dim=-1, keepdim=True) / 127
    rounded = (packet.exemplars / steps).round() * steps
    passed(replace(packet, exemplars=rounded))
    means = packet.means.clone()
    means[0, 1] += 3 * float(steps[0].mean())
    assert refused(replace(packet, exemplars=rounded, means=means)).reasons == (
        Reason.MEAN_MISMATCH,
    )


@over_grpc
async def test_over_grpc_a_shifted_concept_is_declined(siege: Siege):
    packet = lies.worth_learning()
    means = packet.means.clone()
    means[3, 1] += 1
    await siege.declines(replace(packet, means=means), Reason.MEAN_MISMATCH)
