"""Threat: vectors so long that they drown all others, or so short that they vanish."""

import pytest
import torch

from m2kt.reasons import Reason
from tests import siege as lies
from tests.screening import passed, refused, tiny_packet, with_vectors
from tests.siege import Siege, over_grpc


@pytest.mark.parametrize("factor", [0.0, 1e-3, 100.0, 1e30])
def test_a_concept_out_of_all_proportion_is_refused(factor):
    packet = tiny_packet()
    exemplars = packet.exemplars.clone()
    exemplars[2] *= factor
    found = refused(with_vectors(packet, exemplars))
    assert found.reasons == (Reason.NORM_OUT_OF_RANGE,)
    assert packet.concepts[2].id in found.details[0]


def test_huge_exemplars_whose_mean_is_harmless_are_refused():
    packet = tiny_packet()
    exemplars, push = packet.exemplars.clone(), torch.full((packet.width,), 1e4)
    exemplars[0, 0] += push
    exemplars[0, 1] -= push
    assert refused(with_vectors(packet, exemplars)).reasons == (Reason.NORM_OUT_OF_RANGE,)


@pytest.mark.parametrize("factor", [1e-12, 1e12, 1e-30, 1e30])
def test_vectors_that_float32_cannot_square_are_refused_even_if_all_are_alike(factor):
    packet = tiny_packet()
    found = refused(with_vectors(packet, packet.exemplars * factor))
    assert Reason.NORM_OUT_OF_RANGE in found.reasons


@pytest.mark.parametrize("factor", [1e-2, 1.0, 1e3])
def test_the_scale_of_a_teacher_is_its_own_affair(factor):
    packet = tiny_packet()
    passed(with_vectors(packet, packet.exemplars * factor))


@over_grpc
@pytest.mark.parametrize("factor", [1e-3, 100.0])
async def test_over_grpc_a_concept_out_of_all_proportion_is_declined(siege: Siege, factor):
    packet = lies.worth_learning()
    exemplars = packet.exemplars.clone()
    exemplars[2] *= factor
    await siege.declines(with_vectors(packet, exemplars), Reason.NORM_OUT_OF_RANGE)
