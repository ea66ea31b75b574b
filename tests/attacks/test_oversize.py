"""Threat: more of anything than a student agreed to receive."""

from dataclasses import replace

import pytest
from packets import tiny_packet
from sealing import Student, encoded, limited, manifest_message, refused, sealed, signed, signer

from m2kt.digest import content_digest_of, digest_of, raw_digest
from m2kt.reasons import Reason
from m2kt.signing import MAX_ENVELOPE_PAYLOAD_BYTES, sign_envelope
from m2kt.wire.chunks import Assembly
from m2kt.wire.manifest import MANIFEST_TYPE, WireLimits
from m2kt.wire.packets import parse_packet
from m2kt_agents.parts import Chunk
from m2kt_agents.settings import Limits
from tests import siege as lies
from tests.siege import Siege, over_grpc

LIMITS = WireLimits()


def test_a_manifest_that_is_too_long_is_not_even_hashed():
    huge = sign_envelope(MANIFEST_TYPE, bytes(MAX_ENVELOPE_PAYLOAD_BYTES + 1), signer())
    with refused(Reason.OVERSIZE):
        Student().admits(huge)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("payload_bytes", LIMITS.payload_bytes + 1),
        ("payload_bytes", 2**63),
        ("chunk_bytes", LIMITS.chunk_bytes + 1),
        ("chunk_bytes", 2**32 - 1),
        ("description_bytes", LIMITS.description_bytes + 1),
        ("description_bytes", 2**64 - 1),
        ("nonce", bytes(LIMITS.nonce_bytes + 1)),
        ("domain", "d" * (LIMITS.string_bytes + 1)),
    ],
)
def test_a_claim_beyond_a_limit_is_refused(field, value):
    forged = manifest_message()
    setattr(forged, field, value)
    with refused(Reason.OVERSIZE):
        Student().admits(signed(forged))


def test_too_many_tensors_are_refused():
    forged = manifest_message()
    for _ in range(10_000):
        forged.tensors.add(name="x", dtype=1)
    with refused(Reason.OVERSIZE):
        Student().admits(signed(forged))


def test_a_tensor_with_too_long_a_name_is_refused():
    forged = manifest_message()
    forged.tensors[0].name = "n" * 100_000
    with refused(Reason.OVERSIZE):
        Student().admits(signed(forged))


def test_more_chunks_than_the_payload_has_are_refused():
    forged = manifest_message()
    forged.chunk_digests.extend([bytes(32)] * 7000)
    with refused(Reason.MALFORMED):
        Student().admits(signed(forged))


def test_a_chunk_that_is_too_long_is_refused():
    packet = sealed()
    assembly = Assembly(Student().admits(packet.envelope))
    with refused(Reason.CHUNK_MISMATCH):
        assembly.add(0, bytes(packet.encoded.payload[:1000]) + bytes(8 << 20))
    assert assembly.next_index == 0


def test_a_chunk_after_the_last_is_refused():
    packet = sealed()
    assembly = Assembly(Student().admits(packet.envelope))
    for index, chunk in packet.chunks():
        assembly.add(index, chunk)
    with refused(Reason.CHUNK_MISMATCH):
        assembly.add(assembly.next_index, b"more")
    assert assembly.finish().payload == packet.encoded.payload


@pytest.mark.parametrize("field", ["concepts", "traces", "steps", "symbols", "string_bytes"])
def test_a_packet_with_too_many_parts_is_refused(field):
    student = limited()
    packet = sealed(tiny_packet())
    payload = student.receives(packet.envelope, packet.encoded.payload)
    with refused(Reason.OVERSIZE):
        parse_packet(payload, WireLimits(**{field: 1}))


def test_a_million_empty_traces_are_refused_unread():
    whole, empty = encoded(), b"\x12\x00" * 524_288  # field 2, length 0
    forged = manifest_message()
    description = empty[: LIMITS.description_bytes]
    payload = description + whole.payload[whole.tensors[0].offset :]
    shift = len(description) - whole.tensors[0].offset
    for entry in forged.tensors:
        entry.offset += shift
    forged.description_bytes, forged.payload_bytes = len(description), len(payload)
    forged.chunk_bytes = LIMITS.chunk_bytes
    del forged.chunk_digests[:]
    for at in range(0, len(payload), forged.chunk_bytes):
        forged.chunk_digests.append(raw_digest(digest_of(payload[at : at + forged.chunk_bytes])))
    forged.content_digest = raw_digest(content_digest_of(payload))
    authentic = Student().receives(signed(forged), payload)
    with refused(Reason.OVERSIZE):
        parse_packet(authentic)


@over_grpc
@pytest.mark.parametrize(
    ("field", "value"),
    [("payload_bytes", 2**50), ("chunk_bytes", 2**31), ("description_bytes", 2**40)],
)
async def test_over_grpc_a_manifest_that_promises_too_much_is_refused(siege: Siege, field, value):
    await siege.refuses(Reason.OVERSIZE, edit=lambda manifest: replace(manifest, **{field: value}))


@over_grpc
async def test_over_grpc_more_digests_than_chunks_are_refused(siege: Siege):
    await siege.refuses(Reason.MALFORMED, edit=lies.many_chunks)


@over_grpc
async def test_over_grpc_a_message_over_the_limit_is_refused_unread(siege: Siege):
    teacher = siege.teacher(spoil_chunk=lambda chunk: Chunk(chunk.index, bytes(9 << 20)))
    view = await siege.pulled(teacher, limits=Limits(message_bytes=64 << 20))
    assert lies.reasons(view) == (Reason.OVERSIZE,)
