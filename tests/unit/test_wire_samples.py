"""m2kt.wire.samples: a sample survives its message; a message that is no sample is refused."""

import pytest
import torch
from packets import tiny_packet

from m2kt.errors import PacketError
from m2kt.transferability import ConceptSample, sample_of
from m2kt.wire.samples import sample_from_wire, sample_to_wire
from m2kt.wire.v1 import teacher_service_pb2 as pb


def test_a_sample_survives_its_message():
    sample = sample_of(tiny_packet(concepts=147), depth=6)
    raw = sample_to_wire(sample).SerializeToString()
    found = sample_from_wire(pb.SampleConceptsResponse.FromString(raw))
    assert torch.equal(found.states, sample.states)
    assert (found.of, found.layer, found.depth) == (sample.of, sample.layer, sample.depth)


def test_numbers_travel_as_little_endian_float32():
    sample = ConceptSample(states=torch.full((1, 2, 1), 1.5), of=2, layer=1, depth=1)
    message = sample_to_wire(sample)
    assert message.states == b"\x00\x00\xc0\x3f" * 2
    assert list(message.shape) == [1, 2, 1]


def test_an_empty_message_is_no_sample():
    with pytest.raises(PacketError, match=r"shape \[P, 2, D\]"):
        sample_from_wire(pb.SampleConceptsResponse())
