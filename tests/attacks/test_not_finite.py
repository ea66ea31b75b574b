"""Threat: NaN or infinity in a tensor, which would spread through training.

The wire carries every bit pattern faithfully and judges none; refusing is screening's
business (tests/unit/test_screen.py). What must not happen is that it is lost on the way.
"""

from dataclasses import replace

import pytest
import torch
from packets import tiny_packet
from sealing import HEADER, Student, signer

from m2kt.packet import ActivationMaps
from m2kt.tensors import Dtype
from m2kt.wire.chunks import seal
from m2kt.wire.packets import encode_packet, parse_packet

VALUES = [float("nan"), float("inf"), float("-inf")]


def arrived(packet, dtype=Dtype.F32):
    sealed = seal(encode_packet(packet, exemplars_as=dtype), signer(), HEADER)
    return parse_packet(Student().receives(sealed.envelope, sealed.encoded.payload)).packet


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("part", ["means", "exemplars"])
def test_a_value_that_is_not_finite_arrives_as_it_is(part, value):
    packet = tiny_packet()
    tensor = getattr(packet, part).clone()
    tensor.view(-1)[3] = value
    found = getattr(arrived(replace(packet, **{part: tensor})), part)
    assert torch.equal(found.isfinite(), tensor.isfinite())
    assert not found.isfinite().all()


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("dtype", [Dtype.F16, Dtype.BF16, Dtype.I8])
def test_no_shorter_type_hides_it(value, dtype):
    packet = tiny_packet()
    exemplars = packet.exemplars.clone()
    exemplars[0, 0, 0] = value
    assert not arrived(replace(packet, exemplars=exemplars), dtype).exemplars.isfinite().all()


@pytest.mark.parametrize("value", VALUES)
def test_a_weight_of_a_map_that_is_not_finite_arrives_as_it_is(value):
    packet = tiny_packet()
    weights = packet.maps.weights.clone()
    weights[0, 0] = value
    maps = ActivationMaps(packet.maps.indices, weights)
    assert not arrived(replace(packet, maps=maps)).maps.weights.isfinite().all()
