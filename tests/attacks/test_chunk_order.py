"""Threat: chunks are left out, sent twice, swapped, cut, or taken from another packet."""

import pytest
from packets import tiny_packet
from sealing import Student, refused, sealed

from m2kt.reasons import Reason
from m2kt.wire.chunks import Assembly
from m2kt_agents.parts import Chunk
from tests.siege import Siege, over_grpc

PACKET = sealed()
CHUNKS = [bytes(chunk) for _, chunk in PACKET.chunks()]


@pytest.fixture(params=["memory", "file"])
def assembly(request, tmp_path):
    spool = tmp_path / "spool" if request.param == "file" else None
    return Assembly(Student().admits(PACKET.envelope), spool)


@pytest.mark.parametrize("count", range(len(CHUNKS)))
def test_a_stream_that_ends_early_is_incomplete_at_every_index(assembly, count):
    for index in range(count):
        assembly.add(index, CHUNKS[index])
    with refused(Reason.INCOMPLETE):
        assembly.finish()


def test_a_chunk_left_out_is_refused(assembly):
    assembly.add(0, CHUNKS[0])
    with refused(Reason.CHUNK_MISMATCH):
        assembly.add(2, CHUNKS[2])
    assert assembly.next_index == 1


def test_a_chunk_sent_twice_is_refused(assembly):
    assembly.add(0, CHUNKS[0])
    with refused(Reason.CHUNK_MISMATCH):
        assembly.add(0, CHUNKS[0])
    assert assembly.next_index == 1


def test_chunks_that_are_swapped_are_refused(assembly):
    with refused(Reason.CHUNK_MISMATCH):
        assembly.add(1, CHUNKS[1])
    with refused(Reason.CHUNK_MISMATCH):
        assembly.add(0, CHUNKS[1])
    assert assembly.next_index == 0


@pytest.mark.parametrize("data", [b"", CHUNKS[0][:-1], CHUNKS[0] + b"\0"])
def test_a_chunk_of_another_length_is_refused(assembly, data):
    with refused(Reason.CHUNK_MISMATCH):
        assembly.add(0, data)


def test_a_chunk_of_another_packet_is_refused(assembly):
    other = sealed(tiny_packet(seed=9))
    with refused(Reason.CHUNK_MISMATCH):
        assembly.add(0, next(other.chunks())[1])


@pytest.mark.parametrize("index", [-1, 2**32])
def test_an_index_out_of_range_is_refused(assembly, index):
    with refused(Reason.CHUNK_MISMATCH):
        assembly.add(index, CHUNKS[0])


def test_after_any_refusal_the_right_chunks_are_still_taken(assembly):
    for index, chunk in enumerate(CHUNKS):
        with refused(Reason.CHUNK_MISMATCH):
            assembly.add(index, chunk[::-1] + b"x")
        assembly.add(index, chunk)
    assert assembly.finish().payload == PACKET.encoded.payload


@pytest.mark.parametrize("length", [0, 1, len(PACKET.encoded.payload) - 1])
def test_a_payload_that_is_cut_is_incomplete(length):
    with refused(Reason.INCOMPLETE):
        Student().receives(PACKET.envelope, PACKET.encoded.payload[:length])


@over_grpc
@pytest.mark.parametrize(
    "lie",
    [
        lambda chunk: Chunk(chunk.index, chunk.data + b"\0" * 100),
        lambda chunk: Chunk(chunk.index, chunk.data[:-1]),
        lambda chunk: Chunk(chunk.index + 1, chunk.data),
        lambda chunk: Chunk(max(0, chunk.index - 1), chunk.data),
    ],
    ids=["longer", "shorter", "left out", "twice"],
)
async def test_over_grpc_chunks_that_were_not_promised_are_refused(siege: Siege, lie):
    await siege.refuses(Reason.CHUNK_MISMATCH, spoil_chunk=lie)
