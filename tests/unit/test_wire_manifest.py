"""m2kt.wire.manifest: the table that is signed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packets import TEACHER, packets, signer, trusting
from sealing import encoded, manifest_message, sealed, signed

from m2kt.errors import BadSignatureError, OversizeError, PacketError, ShapeError
from m2kt.signing import verify_envelope
from m2kt.wire.manifest import (
    MANIFEST_TYPE,
    WireLimits,
    aligned,
    manifest_to_bytes,
    parse_manifest,
)


def parsed(envelope, limits=None):
    return parse_manifest(
        verify_envelope(envelope, trusting(), MANIFEST_TYPE), limits or WireLimits()
    )


@given(packets())
def test_a_manifest_survives_its_bytes(packet):
    manifest = parsed(sealed(packet).envelope)
    again = parsed(signed(type(manifest_message()).FromString(manifest_to_bytes(manifest))))
    assert again == manifest


def test_description_and_tensors_tile_the_payload():
    manifest = parsed(sealed().envelope)
    end = manifest.description_bytes
    for entry in manifest.tensors:
        assert entry.offset == aligned(end)
        end = entry.offset + entry.bytes
    assert end == manifest.payload_bytes == len(encoded().payload)


@given(st.integers(0, 2**70))
def test_alignment_moves_up_by_less_than_64(offset):
    assert aligned(offset) % 64 == 0
    assert 0 <= aligned(offset) - offset < 64


@pytest.mark.parametrize(
    ("field", "value", "error", "message"),
    [
        ("protocol", "m2kt.wire.v2", PacketError, "one version in common"),
        ("teacher", "teacher-b", BadSignatureError, "own name alone"),
        ("audience", "Not A Name", PacketError, "agent id"),
        ("nonce", bytes(65), OversizeError, "nonce"),
        ("domain", "d" * 4097, OversizeError, "domain"),
        ("issued_at_s", float("nan"), PacketError, "validity"),
        ("issued_at_s", float("-inf"), PacketError, "validity"),
        ("expires_at_s", float("inf"), PacketError, "validity"),
        ("expires_at_s", 0.0, PacketError, "validity"),
        ("payload_bytes", 0, PacketError, "at least one byte"),
        ("chunk_bytes", 0, PacketError, "at least one byte"),
        ("chunk_bytes", 900, PacketError, "chunk digests"),
        ("content_digest", b"", PacketError, "32 bytes"),
        ("description_bytes", 2**40, OversizeError, "description"),
    ],
)
def test_a_manifest_that_is_wrong_though_signed_is_refused(field, value, error, message):
    forged = manifest_message()
    setattr(forged, field, value)
    with pytest.raises(error, match=message):
        parsed(signed(forged))


def test_a_table_with_a_name_twice_is_refused():
    forged = manifest_message()
    forged.tensors[1].name = forged.tensors[0].name
    with pytest.raises(ShapeError, match="different names"):
        parsed(signed(forged))


def test_a_tensor_of_a_type_that_does_not_travel_is_refused():
    forged = manifest_message()
    forged.tensors[0].dtype = 99
    with pytest.raises(ShapeError, match="number 99"):
        parsed(signed(forged))


def test_a_type_of_bytes_that_is_not_a_manifest_is_refused():
    verified = verify_envelope(sealed().envelope, trusting(), MANIFEST_TYPE)
    with pytest.raises(BadSignatureError, match="of type"):
        parse_manifest(replace(verified, payload_type="text/plain"), WireLimits())


def test_the_teacher_is_the_owner_of_the_key():
    assert parsed(sealed().envelope).teacher == TEACHER == trusting().agent_of(signer().key_id)
