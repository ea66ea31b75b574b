"""m2kt.wire.chunks: sealing for a student, and putting chunks together."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packets import equal, tiny_packet
from sealing import HEADER, TEACHER, Student, encoded, sealed, signer

from m2kt.digest import content_digest_of
from m2kt.errors import ChunkError, IncompleteError, StoreError
from m2kt.trust import TrustStore
from m2kt.wire.chunks import Assembly, seal
from m2kt.wire.packets import parse_packet

PACKET = tiny_packet(concepts=2, exemplars=2, width=3, traces=1)
LENGTH = len(encoded(PACKET).payload)


@given(st.integers(1, LENGTH + 3), st.data())
def test_a_payload_survives_any_cut_into_chunks_and_any_interruption(size, data):
    packet = sealed(PACKET, chunk_bytes=size)
    assembly = Assembly(Student().admits(packet.envelope))
    stop = data.draw(st.integers(0, len(packet.encoded.chunk_digests)))
    for index, chunk in packet.chunks():
        if index == stop:
            break
        assembly.add(index, chunk)
    for index, chunk in packet.chunks(assembly.next_index):
        assembly.add(index, chunk)
    assert equal(parse_packet(assembly.finish()).packet, PACKET)


def spooled(tmp_path, count, size=100):
    """An assembly in a file that has `count` chunks, and the packet that they are of."""
    packet = sealed(PACKET, chunk_bytes=size)
    assembly = Assembly(Student().admits(packet.envelope), tmp_path / "spool")
    for index, chunk in list(packet.chunks())[:count]:
        assembly.add(index, chunk)
    return assembly, packet


@pytest.mark.parametrize("count", range(len(sealed(PACKET, chunk_bytes=100).encoded.chunk_digests)))
def test_after_a_restart_a_spool_goes_on_at_every_index(tmp_path, count):
    _, packet = spooled(tmp_path, count)
    again = Assembly(Student().admits(packet.envelope), tmp_path / "spool")
    assert again.next_index == count
    for index, chunk in packet.chunks(count):
        again.add(index, chunk)
    assert again.finish().payload == packet.encoded.payload


def test_a_spool_that_was_torn_keeps_its_whole_chunks(tmp_path):
    _, packet = spooled(tmp_path, 3)
    with (tmp_path / "spool").open("ab") as file:
        file.write(packet.encoded.payload[300:350])
    again = Assembly(Student().admits(packet.envelope), tmp_path / "spool")
    assert again.next_index == 3
    assert (tmp_path / "spool").stat().st_size == 300


def test_a_spool_that_was_changed_keeps_what_comes_before(tmp_path):
    _, packet = spooled(tmp_path, 3)
    content = bytearray((tmp_path / "spool").read_bytes())
    content[150] ^= 1
    (tmp_path / "spool").write_bytes(content)
    assert Assembly(Student().admits(packet.envelope), tmp_path / "spool").next_index == 1


def test_a_spool_that_lost_bytes_after_its_last_chunk_is_refused_in_the_end(tmp_path):
    assembly, packet = spooled(tmp_path, 10**6)
    assert assembly.complete
    (tmp_path / "spool").write_bytes(packet.encoded.payload[:-1])
    with pytest.raises(IncompleteError, match="ask for the rest"):
        assembly.finish()
    (tmp_path / "spool").unlink()
    with pytest.raises(StoreError):
        assembly.finish()


@pytest.fixture(params=["memory", "file"])
def begun(request, tmp_path):
    """An assembly that has two chunks, in memory or in a file, and the packet they are of."""
    if request.param == "file":
        return spooled(tmp_path, 2)
    packet = sealed(PACKET, chunk_bytes=100)
    assembly = Assembly(Student().admits(packet.envelope))
    for index, chunk in list(packet.chunks())[:2]:
        assembly.add(index, chunk)
    return assembly, packet


def test_a_newer_manifest_of_the_same_bytes_goes_on(begun):
    assembly, packet = begun
    newer = seal(packet.encoded, signer(), replace(HEADER, sequence=2))
    assembly.resume(Student().admits(newer.envelope))
    assert assembly.next_index == 2
    for index, chunk in newer.chunks(2):
        assembly.add(index, chunk)
    assert assembly.finish().packet_id == newer.packet_id


def test_a_newer_manifest_of_other_bytes_begins_again(begun):
    assembly, _ = begun
    other = sealed(tiny_packet(concepts=2, exemplars=2, width=3, traces=1, seed=5))
    assembly.resume(Student().admits(other.envelope))
    assert assembly.next_index == 0
    for index, chunk in other.chunks():
        assembly.add(index, chunk)
    assert assembly.finish().payload == other.encoded.payload


def test_a_folder_that_is_not_there_is_an_error_of_the_store(tmp_path):
    with pytest.raises(StoreError, match="spool"):
        Assembly(Student().admits(sealed().envelope), tmp_path / "none" / "spool")


def test_sealing_for_another_student_shares_the_payload():
    first = sealed()
    second = seal(first.encoded, signer(), replace(HEADER, sequence=2))
    assert second.encoded is first.encoded
    assert second.packet_id != first.packet_id
    assert content_digest_of(second.encoded.payload) == first.encoded.content_digest


@pytest.mark.parametrize("root", [False, True])
def test_a_packet_carries_whose_agent_its_teacher_is_and_whether_a_root_of_trust(root):
    trust = TrustStore().enrol(signer().key_id, TEACHER, "school", root=root)
    packet = sealed(PACKET)
    payload = Student(trust=trust).receives(packet.envelope, packet.encoded.payload)
    for found in (payload, parse_packet(payload)):
        assert (found.organisation, found.root) == ("school", root)


def test_a_teacher_that_nobody_gave_an_organisation_is_its_own():
    packet = sealed(PACKET)
    payload = Student().receives(packet.envelope, packet.encoded.payload)
    assert (payload.organisation, payload.root) == (TEACHER, False)


def test_a_payload_of_the_right_length_but_other_bytes_is_refused():
    packet = sealed()
    payload = bytearray(packet.encoded.payload)
    payload[-1] ^= 1
    with pytest.raises(ChunkError):
        Student().receives(packet.envelope, bytes(payload))
    with pytest.raises(ChunkError):
        Student().receives(packet.envelope, packet.encoded.payload + b"\0")
