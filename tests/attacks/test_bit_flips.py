"""Threat: bytes are changed on the way, by chance or on purpose."""

from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packets import tiny_packet
from sealing import Student, refused, sealed

from m2kt.errors import M2KTError
from m2kt.reasons import Reason
from m2kt.wire.cards import envelope_from_bytes, envelope_to_bytes
from m2kt.wire.chunks import Assembly
from tests import siege as lies
from tests.siege import Siege, over_grpc

PACKET = sealed(tiny_packet(concepts=1, exemplars=1, width=2, traces=1), chunk_bytes=64)
ENVELOPE = envelope_to_bytes(PACKET.envelope)


def flipped(raw: bytes, bit: int) -> bytes:
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_every_bit_of_a_signed_manifest_matters():
    student = Student()
    taken = []
    for bit in range(8 * len(ENVELOPE)):
        try:
            student.admits(envelope_from_bytes(flipped(ENVELOPE, bit)))
        except M2KTError:
            continue
        taken.append(bit)
    assert taken == []


@pytest.mark.parametrize("bit", range(0, 8 * len(PACKET.envelope.payload), 31))
def test_a_flip_in_the_signed_bytes_is_a_bad_signature(bit):
    forged = replace(PACKET.envelope, payload=flipped(PACKET.envelope.payload, bit))
    with refused(Reason.BAD_SIGNATURE):
        Student().admits(forged)


def test_every_bit_of_a_chunk_matters_and_no_wrong_chunk_is_stored():
    admitted = Student().admits(PACKET.envelope)
    assembly = Assembly(admitted)
    for index, chunk in PACKET.chunks():
        for bit in range(0, 8 * len(chunk), 1 if index == 0 else 61):
            with pytest.raises(M2KTError) as caught:
                assembly.add(index, flipped(chunk, bit))
            assert caught.value.reason is Reason.CHUNK_MISMATCH
            assert assembly.next_index == index
        assembly.add(index, chunk)
    assert assembly.finish().payload == PACKET.encoded.payload


@given(st.integers(0, 8 * len(PACKET.encoded.payload) - 1))
def test_a_flip_in_a_whole_payload_is_found(bit):
    with refused(Reason.CHUNK_MISMATCH):
        Student().receives(PACKET.envelope, flipped(PACKET.encoded.payload, bit))


@given(st.binary(max_size=300))
def test_noise_is_no_envelope(noise):
    with pytest.raises(M2KTError):
        Student().admits(envelope_from_bytes(noise))


@over_grpc
@pytest.mark.parametrize("at", [0.3, 0.5, 1.0])
async def test_over_grpc_a_flip_in_the_manifest_is_refused(siege: Siege, at):
    await siege.refuses(Reason.BAD_SIGNATURE, spoil_envelope=partial(lies.flip_manifest, at=at))


@over_grpc
@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
async def test_over_grpc_a_flip_in_the_signature_is_refused(siege: Siege, at):
    await siege.refuses(Reason.BAD_SIGNATURE, spoil_envelope=partial(lies.flip_signature, at=at))


@over_grpc
@pytest.mark.parametrize("at", [0.0, 1.0])
async def test_over_grpc_a_flip_in_any_chunk_is_refused(siege: Siege, at):
    for index in range(len(siege.teacher().chunks())):
        await siege.refuses(
            Reason.CHUNK_MISMATCH, spoil_chunk=partial(lies.flip_chunk, index=index, at=at)
        )
