"""Messages that may carry a chunk go past protobuf; on the wire nobody can tell."""

import inspect

import pytest

from m2kt.wire.v1 import (
    broker_service_pb2,
    envelope_pb2,
    student_service_pb2,
    teacher_service_pb2,
)
from m2kt_agents.broker_service import BrokerServicer
from m2kt_agents.methods import decoder, encoder
from m2kt_agents.parts import Chunk
from m2kt_agents.student_service import StudentServicer
from m2kt_agents.teacher import TeacherServicer

SERVED = {
    TeacherServicer: teacher_service_pb2.DESCRIPTOR.services_by_name["TeacherService"],
    StudentServicer: student_service_pb2.DESCRIPTOR.services_by_name["StudentService"],
    BrokerServicer: broker_service_pb2.DESCRIPTOR.services_by_name["BrokerService"],
}
CARRIERS = [
    teacher_service_pb2.StreamPacketResponse,
    broker_service_pb2.PublishPacketRequest,
    broker_service_pb2.FetchPacketResponse,
    student_service_pb2.OfferPacketRequest,
]


@pytest.mark.parametrize("servicer", SERVED, ids=lambda its: its.__name__)
def test_a_servicer_has_the_methods_of_its_service_and_no_others(servicer):
    public = {name for name, _ in inspect.getmembers(servicer, inspect.isfunction)}
    assert {name for name in public if not name.startswith("_")} == {
        method.name for method in SERVED[servicer].methods
    }


@pytest.mark.parametrize("kind", CARRIERS, ids=lambda kind: kind.__name__)
def test_a_chunk_is_encoded_and_decoded_as_generated_code_does(kind):
    plain = kind(chunk=envelope_pb2.Chunk(index=5, data=b"abc")).SerializeToString()
    assert encoder(kind.DESCRIPTOR)(Chunk(5, memoryview(b"abc"))) == plain
    assert decoder(kind.DESCRIPTOR)(plain) == Chunk(5, b"abc")


@pytest.mark.parametrize("kind", CARRIERS, ids=lambda kind: kind.__name__)
def test_a_chunk_written_in_an_unusual_way_is_left_to_protobuf(kind):
    chunk = envelope_pb2.Chunk(data=b"abc").SerializeToString() + b"\x08\x05"
    found = decoder(kind.DESCRIPTOR)(b"\x7a" + bytes((len(chunk),)) + chunk)
    assert found == kind(chunk=envelope_pb2.Chunk(index=5, data=b"abc"))


@pytest.mark.parametrize("kind", CARRIERS, ids=lambda kind: kind.__name__)
def test_all_that_is_no_chunk_goes_through_protobuf(kind):
    message = kind(manifest=envelope_pb2.Envelope(payload=b"x"))
    assert encoder(kind.DESCRIPTOR)(message) == message.SerializeToString()
    assert decoder(kind.DESCRIPTOR)(message.SerializeToString()) == message
    assert decoder(kind.DESCRIPTOR)(b"") == kind()
