"""The fast path is protobuf's own format, byte for byte, in both directions."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from m2kt.wire.frames import decode_chunk, encode_chunk
from m2kt.wire.v1 import envelope_pb2
from m2kt.wire.v1.broker_service_pb2 import FetchPacketResponse, PublishPacketRequest
from m2kt.wire.v1.student_service_pb2 import OfferPacketRequest
from m2kt.wire.v1.teacher_service_pb2 import StreamPacketResponse

CARRIERS = [StreamPacketResponse, FetchPacketResponse, PublishPacketRequest, OfferPacketRequest]
INDICES = st.integers(0, 2**32 - 1) | st.sampled_from([0, 1, 127, 128, 2**14, 2**31, 2**32 - 1])


def read_by_protobuf(kind, raw: bytes):
    """Index and data as protobuf reads them; None if that is not what is in `raw`."""
    try:
        message = kind.FromString(raw)
    except DecodeError:
        return None
    if message.WhichOneof("part") != "chunk":
        return None
    return message.chunk.index, message.chunk.data


@pytest.mark.parametrize("kind", CARRIERS)
@given(index=INDICES, data=st.binary(max_size=300))
@example(index=0, data=b"")
def test_encoding_is_that_of_protobuf(kind, index, data):
    message = kind(chunk=envelope_pb2.Chunk(index=index, data=data))
    assert encode_chunk(index, memoryview(data)) == message.SerializeToString()


@pytest.mark.parametrize("length", [1, 127, 128, 16383, 16384, 1 << 20, (1 << 21) + 1])
def test_a_chunk_of_any_length_comes_back_without_a_copy(length):
    raw = encode_chunk(3, bytes(length))
    found = decode_chunk(raw)
    assert found is not None
    assert (found[0], found[1].nbytes, found[1].obj is raw) == (3, length, True)
    assert read_by_protobuf(StreamPacketResponse, raw) == (3, bytes(length))


@given(index=INDICES, data=st.binary(min_size=1, max_size=300))
def test_what_protobuf_writes_is_read(index, data):
    message = StreamPacketResponse(chunk=envelope_pb2.Chunk(index=index, data=data))
    assert decode_chunk(message.SerializeToString()) == (index, data)


@given(
    index=INDICES,
    data=st.binary(max_size=40),
    changes=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 60),
    more=st.binary(max_size=8),
)
def test_of_altered_bytes_nothing_is_read_that_protobuf_would_not_read(
    index, data, changes, cut, more
):
    raw = bytearray(encode_chunk(index, data))
    for at, value in changes:
        if at < len(raw):
            raw[at] = value
    altered = bytes(raw[: len(raw) - cut % (len(raw) + 1)] + more)
    found = decode_chunk(altered)
    if found is not None:
        for kind in CARRIERS:
            assert read_by_protobuf(kind, altered) == (found[0], bytes(found[1]))


@given(st.binary(max_size=40).map(lambda tail: b"\x7a" + tail))
def test_of_any_bytes_nothing_is_read_that_protobuf_would_not_read(raw):
    found = decode_chunk(raw)
    if found is not None:
        assert read_by_protobuf(StreamPacketResponse, raw) == (found[0], bytes(found[1]))


def test_what_is_no_chunk_is_left_to_protobuf():
    manifest = StreamPacketResponse(manifest=envelope_pb2.Envelope(payload=b"x"))
    assert decode_chunk(manifest.SerializeToString()) is None
    assert decode_chunk(b"") is None
    assert (
        decode_chunk(StreamPacketResponse(chunk=envelope_pb2.Chunk()).SerializeToString()) is None
    )


def test_fields_in_another_order_are_left_to_protobuf():
    swapped = envelope_pb2.Chunk(data=b"abc").SerializeToString()
    swapped += envelope_pb2.Chunk(index=7).SerializeToString()
    raw = b"\x7a" + bytes((len(swapped),)) + swapped
    assert decode_chunk(raw) is None
    assert read_by_protobuf(StreamPacketResponse, raw) == (7, b"abc")
