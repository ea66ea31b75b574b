"""m2kt.wire.files: sealed packets in files."""

import pytest
from sealing import Student, sealed

from m2kt.errors import OversizeError, PacketError, StoreError
from m2kt.wire.files import HEAD, MAX_ENVELOPE_BYTES, read_packet_file, write_packet_file


@pytest.fixture
def path(tmp_path):
    packet = sealed()
    write_packet_file(tmp_path / "a.m2kt", packet.envelope, packet.encoded.payload)
    return tmp_path / "a.m2kt"


def test_a_sealed_packet_survives_its_file(path):
    envelope, payload = read_packet_file(path)
    assert (envelope, payload) == (sealed().envelope, sealed().encoded.payload)
    assert Student().receives(envelope, payload).packet_id == sealed().packet_id


def test_a_file_says_what_it_is(path):
    assert path.read_bytes()[:8] == b"M2KT\x01\x00\x00\x00"


@pytest.mark.parametrize(
    ("head", "error", "message"),
    [
        (b"", PacketError, "expected a packet file"),
        (HEAD.pack(b"GGUF", 1, 0), PacketError, "GGUF"),
        (HEAD.pack(b"M2KT", 2, 0), PacketError, "newer m2kt"),
        (HEAD.pack(b"M2KT", 1, MAX_ENVELOPE_BYTES + 1), OversizeError, "envelope"),
        (HEAD.pack(b"M2KT", 1, 3) + b"\xff\xff\xff", PacketError, "Envelope"),
    ],
)
def test_a_file_that_is_something_else_is_refused(tmp_path, head, error, message):
    path = tmp_path / "b.m2kt"
    path.write_bytes(head)
    with pytest.raises(error, match=message):
        read_packet_file(path)


def test_a_payload_that_is_too_long_is_not_read(path):
    with pytest.raises(OversizeError, match="payload"):
        read_packet_file(path, payload_bytes=len(sealed().encoded.payload) - 1)


def test_a_file_that_is_not_there_is_an_error_of_the_store(tmp_path):
    with pytest.raises(StoreError):
        read_packet_file(tmp_path / "none.m2kt")
    with pytest.raises(StoreError):
        write_packet_file(tmp_path / "none" / "a.m2kt", sealed().envelope, b"")
