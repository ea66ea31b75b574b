"""m2kt.wire.packets: packets as bytes, and back."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from packets import equal, packets, tiny_packet
from sealing import HEADER, Student, encoded, manifest_message, sealed, signed, signer

from m2kt.digest import content_digest_of, digest_of, raw_digest
from m2kt.errors import PacketError, RequestError, ShapeError
from m2kt.tensors import Dtype
from m2kt.wire.chunks import SealedPacket, seal
from m2kt.wire.manifest import TensorEntry
from m2kt.wire.packets import EncodedPayload, encode_packet, parse_packet


def received(packet: SealedPacket):
    return parse_packet(Student().receives(packet.envelope, packet.encoded.payload))


def sealed_as(packet, dtype):
    return seal(encode_packet(packet, exemplars_as=dtype), signer(), HEADER)


@given(packets())
def test_a_packet_survives_its_bytes(packet):
    assert equal(received(sealed(packet)).packet, packet)


def test_what_was_proved_is_carried_on():
    packet = sealed()
    authentic = received(packet)
    assert authentic.packet_id == packet.packet_id
    assert authentic.content_digest == packet.encoded.content_digest
    assert authentic.signers == (signer().key_id,)
    assert authentic.bytes_on_wire == len(packet.envelope.payload) + len(packet.encoded.payload)


@pytest.mark.parametrize(
    ("dtype", "error"), [(Dtype.F16, 2**-11), (Dtype.BF16, 2**-8), (Dtype.I8, 0.5 / 127)]
)
def test_shorter_types_round_exemplars_and_nothing_else(dtype, error):
    packet = tiny_packet()
    found = received(sealed_as(packet, dtype)).packet
    assert equal(replace(found, exemplars=packet.exemplars), packet)
    assert found.exemplars.dtype is torch.float32
    scale = packet.exemplars.abs().amax(dim=-1, keepdim=True)
    assert 0 < float(((found.exemplars - packet.exemplars) / scale).abs().max()) <= 1.01 * error


def test_shorter_types_are_shorter():
    lengths = [
        len(encode_packet(tiny_packet(width=64), exemplars_as=dtype).payload)
        for dtype in (Dtype.F32, Dtype.BF16, Dtype.I8)
    ]
    assert lengths == sorted(lengths, reverse=True)
    assert len(set(lengths)) == 3


@pytest.mark.parametrize("exemplars", [torch.zeros(1, 2, 3), torch.zeros(1, 0, 3)])
def test_rows_of_zeros_and_no_rows_survive_eight_bits(exemplars):
    packet = replace(tiny_packet(concepts=1, width=3), means=torch.zeros(1, 3), exemplars=exemplars)
    found = received(sealed_as(packet, Dtype.I8)).packet
    assert torch.equal(found.exemplars, exemplars)


def test_equal_packets_have_equal_bytes():
    assert encoded(tiny_packet()) == encoded(tiny_packet())


def test_tensors_cannot_travel_as_integers_of_32_bits():
    with pytest.raises(RequestError):
        encode_packet(tiny_packet(), exemplars_as=Dtype.I32)
    with pytest.raises(RequestError):
        encode_packet(tiny_packet(), chunk_bytes=0)


def resealed(whole: EncodedPayload, payload: bytes) -> SealedPacket:
    """What a teacher with a good key and bad intentions would send."""
    forged = replace(
        whole,
        payload=payload,
        chunk_bytes=len(payload),
        chunk_digests=(digest_of(payload),),
        content_digest=content_digest_of(payload),
    )
    return seal(forged, signer(), HEADER)


def test_padding_must_be_zero():
    whole = encoded()
    gap = whole.tensors[0].offset - whole.description_bytes
    assert gap > 0, "the tiny packet has no padding; change its size"
    payload = bytearray(whole.payload)
    payload[whole.description_bytes] = 1
    with pytest.raises(PacketError, match="pad with zeros"):
        received(resealed(whole, bytes(payload)))


def test_a_description_that_is_no_message_is_refused():
    whole = encoded()
    payload = b"\xff" * whole.description_bytes + whole.payload[whole.description_bytes :]
    with pytest.raises(PacketError, match="description"):
        received(resealed(whole, payload))


@pytest.mark.parametrize("field", ["teacher", "domain"])
def test_manifest_and_provenance_name_the_same(field):
    packet = tiny_packet()
    about = replace(packet.provenance, **{field: "teacher-b"})
    whole = replace(
        encoded(replace(packet, provenance=about)), **{field: getattr(packet.provenance, field)}
    )
    with pytest.raises(PacketError, match="contradicts the packet"):
        received(seal(whole, signer(), HEADER))


def renamed(old: str, new: str) -> SealedPacket:
    """A packet in whose table a tensor has another name."""
    whole = encoded()
    table = tuple(
        TensorEntry(new if e.name == old else e.name, e.dtype, e.shape, e.offset, e.bytes)
        for e in whole.tensors
    )
    return seal(replace(whole, tensors=table), signer(), HEADER)


@pytest.mark.parametrize("new", ["other", "means.scale", "exemplars.scale"])
def test_a_tensor_that_nobody_knows_is_refused(new):
    with pytest.raises(ShapeError):
        received(renamed("means", new))


def retyped(name: str, dtype: Dtype, shape: tuple[int, ...]) -> SealedPacket:
    """A packet in whose table a tensor has another type and shape, of as many bytes."""
    whole = encoded()
    table = tuple(
        TensorEntry(e.name, dtype, shape, e.offset, e.bytes) if e.name == name else e
        for e in whole.tensors
    )
    return seal(replace(whole, tensors=table), signer(), HEADER)


@pytest.mark.parametrize(
    ("name", "dtype", "shape"),
    [
        ("maps.indices", Dtype.F32, (6, 3)),
        ("means", Dtype.I32, (8, 12)),
        ("means", Dtype.I8, (8, 48)),
        ("means", Dtype.F16, (8, 24)),
        ("means", Dtype.F32, (12, 8)),
        ("means", Dtype.F32, (96,)),
        ("exemplars", Dtype.I8, (8, 64, 12)),
        ("maps.weights", Dtype.F32, (3, 6)),
        ("maps.weights", Dtype.F16, (6, 6)),
    ],
)
def test_tensors_of_other_types_and_shapes_are_refused(name, dtype, shape):
    with pytest.raises(ShapeError):
        received(retyped(name, dtype, shape))


def test_scales_without_eight_bits_are_refused():
    forged = manifest_message()
    whole = encoded()
    end = forged.tensors[-1].offset + forged.tensors[-1].bytes
    extra = bytes(-end % 64)
    forged.tensors.add(name="exemplars.scale", dtype=1, shape=[0], offset=end + len(extra), bytes=0)
    payload = whole.payload + extra

    forged.payload_bytes = forged.chunk_bytes = len(payload)
    forged.content_digest = raw_digest(content_digest_of(payload))
    del forged.chunk_digests[:]
    forged.chunk_digests.append(forged.content_digest)
    with pytest.raises(ShapeError, match="of a tensor of type i8"):
        parse_packet(Student().receives(signed(forged), payload))


def test_scales_of_another_shape_are_refused():
    whole = encode_packet(tiny_packet(), exemplars_as=Dtype.I8)
    table = tuple(
        replace(e, shape=(16, 8)) if e.name == "exemplars.scale" else e for e in whole.tensors
    )
    with pytest.raises(ShapeError, match="one for each row"):
        received(seal(replace(whole, tensors=table), signer(), HEADER))
