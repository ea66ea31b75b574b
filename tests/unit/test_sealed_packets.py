"""Packets are kept as they came, once, and whatever becomes of them meanwhile is noticed."""

from pathlib import Path

import pytest

from m2kt.digest import content_digest_of, digest_of
from m2kt.disk import LocalDisk, put_whole
from m2kt.errors import NotFoundError, PacketError, StoreError
from m2kt.identity import PacketId
from m2kt.sealed_packets import SealedPackets
from tests.disks import FailingDisk

PACKET, OTHER = PacketId(digest_of(b"manifest")), PacketId(digest_of(b"other"))
CONTENT = b"payload" * 1000


class DiskWithoutLinks:
    """A file system on which a file has one name."""

    def __init__(self) -> None:
        self._real = LocalDisk()

    def __getattr__(self, name):
        return getattr(self._real, name)

    def link(self, source, target):
        raise OSError(95, "Operation not supported")


def packets_in(folder: Path, disk=None) -> SealedPackets:
    disk = disk or LocalDisk()
    return SealedPackets(folder, disk, lambda path, parts: put_whole(disk, path, parts))


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A file with a payload, and a folder `packets` beside it."""
    (tmp_path / "packets").mkdir()
    (tmp_path / "spool").write_bytes(CONTENT)
    return tmp_path / "spool"


def test_packets_are_kept_sealed_and_the_first_copy_stays(spool: Path):
    packets = packets_in(spool.parent / "packets")
    packets.put(PACKET, b"envelope", spool)
    packets.put(PACKET, b"forged", b"forged")
    assert packets.manifest(PACKET) == (b"envelope", content_digest_of(CONTENT))
    assert packets.get(PACKET) == (b"envelope", CONTENT)
    assert (packets.payload_bytes(PACKET), packets.payload_bytes(OTHER)) == (7000, 0)


def test_what_was_not_kept_whole_is_not_there(spool: Path):
    packets = packets_in(spool.parent / "packets")
    with pytest.raises(StoreError):
        packets.put(OTHER, b"envelope", spool.parent / "gone")
    with pytest.raises(NotFoundError):
        packets.get(OTHER)


def test_a_payload_in_a_file_is_not_copied_and_outlives_that_name(spool: Path):
    packets = packets_in(spool.parent / "packets")
    packets.put(PACKET, b"envelope", spool, content_digest_of(CONTENT))
    assert spool.stat().st_nlink == 2
    spool.unlink()
    assert packets.get(PACKET)[1] == CONTENT


def test_where_a_file_has_one_name_only_it_is_copied(spool: Path):
    packets = packets_in(spool.parent / "packets", DiskWithoutLinks())
    packets.put(PACKET, b"envelope", spool)
    assert spool.stat().st_nlink == 1
    assert packets.get(PACKET) == (b"envelope", CONTENT)


@pytest.mark.parametrize("steps", range(11))
def test_after_a_disk_failed_at_any_step_the_packet_can_be_kept_again(spool: Path, steps: int):
    folder = spool.parent / "packets"
    with pytest.raises(StoreError):
        packets_in(folder, FailingDisk(steps)).put(PACKET, b"envelope", spool)
    with pytest.raises(NotFoundError):
        packets_in(folder).get(PACKET)
    packets_in(folder).put(PACKET, b"envelope", spool)
    assert packets_in(folder).get(PACKET) == (b"envelope", CONTENT)


@pytest.mark.parametrize("suffix", [".payload", ".manifest"])
def test_an_altered_byte_is_found_and_the_file_named(spool: Path, suffix: str):
    packets = packets_in(spool.parent / "packets")
    packets.put(PACKET, b"envelope", CONTENT)
    [file] = (spool.parent / "packets").glob("*" + suffix)
    file.write_bytes(b"!" + file.read_bytes()[1:])
    with pytest.raises(StoreError, match=f"{suffix} to have the digest"):
        packets.get(PACKET)


@pytest.mark.parametrize("name", ["../../HEAD", "b3:", "/etc/passwd", "b3:" + "g" * 64])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str):
    with pytest.raises(PacketError):
        packets_in(tmp_path).put(PacketId(name), b"envelope", b"payload")
    with pytest.raises(PacketError):
        packets_in(tmp_path).get(PacketId(name))
