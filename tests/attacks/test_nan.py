"""Threat: numbers that are none, to poison training or to slip past comparisons."""

from dataclasses import replace

import pytest

from m2kt.packet import ActivationMaps
from m2kt.reasons import Reason
from tests import siege as lies
from tests.screening import refused, tiny_packet
from tests.siege import Siege, over_grpc


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", ["means", "exemplars"])
def test_one_number_that_is_not_finite_is_refused(place, value):
    packet = tiny_packet()
    tensor = getattr(packet, place).clone()
    tensor.view(-1)[5] = value
    assert Reason.NOT_FINITE in refused(replace(packet, **{place: tensor})).reasons


def test_nan_in_an_activation_map_is_refused():
    packet = tiny_packet()
    weights = packet.maps.weights.clone()
    weights[0, 0] = float("nan")
    maps = ActivationMaps(packet.maps.indices, weights)
    assert Reason.NOT_FINITE in refused(replace(packet, maps=maps)).reasons


def test_nan_does_not_hide_what_else_is_wrong():
    packet = tiny_packet()
    means = packet.means.clone()
    means[0, 0] = float("nan")
    means[1] *= 3
    reasons = refused(replace(packet, means=means)).reasons
    assert {Reason.NOT_FINITE, Reason.MEAN_MISMATCH} <= set(reasons)


@over_grpc
@pytest.mark.parametrize("place", ["means", "exemplars"])
async def test_over_grpc_one_nan_in_a_packet_is_declined(siege: Siege, place):
    packet = lies.worth_learning()
    tensor = getattr(packet, place).clone()
    tensor.view(-1)[-1] = float("nan")
    await siege.declines(replace(packet, **{place: tensor}), Reason.NOT_FINITE)


@over_grpc
@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
async def test_over_grpc_one_infinity_in_a_packet_is_declined(siege: Siege, value):
    packet = lies.worth_learning()
    means = packet.means.clone()
    means[0, 0] = value
    reasons = (Reason.NOT_FINITE, Reason.MEAN_MISMATCH, Reason.NORM_OUT_OF_RANGE)
    await siege.declines(replace(packet, means=means), *reasons)


@over_grpc
async def test_over_grpc_nan_in_an_activation_map_is_declined(siege: Siege):
    packet = lies.worth_learning()
    weights = packet.maps.weights.clone()
    weights[0, 0] = float("nan")
    maps = ActivationMaps(packet.maps.indices, weights)
    await siege.declines(replace(packet, maps=maps), Reason.NOT_FINITE)
