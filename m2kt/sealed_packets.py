"""Packets as they were received: un-learning aligns them anew, and anyone can check them.

    <hex>.payload     the bytes          <hex>.manifest    the envelope of the manifest
    <hex>.json        the seal: digests of both, written last

<hex> is the packet's id. Free of torch.

Owns: `SealedPackets`.
Does not own: what is in them (m2kt.wire), who may write (store).
"""

import json
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import final

from m2kt.checked_files import map_checked, read_checked
from m2kt.digest import Digest, content_digest_of, digest_from_text, digest_of
from m2kt.disk import BESIDE, Disk, disk_errors, mapped, pieces
from m2kt.errors import NotFoundError, PacketError, StoreError
from m2kt.identity import PacketId

Put = Callable[[Path, Iterable[bytes | memoryview]], None]


@final
class SealedPackets:
    """The packets of one store. Safe to use from several threads."""

    def __init__(self, folder: Path, disk: Disk, put: Put) -> None:
        """Reads and writes nothing yet.

        Args:
            folder: Where they lie.
            disk: Does what `put` does not: it gives a file a second name.
            put: Puts a file in its place, whole or not at all.
        """
        self._folder = folder
        self._disk = disk
        self._write = put
        self._guard = threading.RLock()

    def put(
        self,
        packet_id: PacketId,
        envelope: bytes,
        payload: bytes | memoryview | Path,
        digest: Digest | None = None,
    ) -> None:
        """Keeps a packet. Keeping it again changes nothing.

        Args:
            packet_id: Its id.
            envelope: Its manifest, as it was signed.
            payload: Its bytes; or a file of them that nobody writes to any more: it gets a
                second name here, or is copied where the disk gives none.
            digest: Of the payload's content, if it is known.

        Raises:
            StoreError: it could not be written.
        """
        place = self._place(packet_id)
        with self._guard, disk_errors(f"keep packet {packet_id}"):
            if place.with_suffix(".json").exists():
                self._disk.sync(place.parent)  # whoever put it there may not have come so far
                return
            if isinstance(payload, Path):
                self._adopt(place.with_suffix(".payload"), payload)
            else:
                self._write(place.with_suffix(".payload"), [payload])
            self._write(place.with_suffix(".manifest"), [envelope])
            content = mapped(payload) if isinstance(payload, Path) else payload
            seal = {
                "manifest": digest_of(envelope),
                "content": digest or content_digest_of(content),
            }
            # Written last: a packet is kept once its seal is there.
            sealed = json.dumps(seal, sort_keys=True).encode()
            self._write(place.with_suffix(".json"), [sealed])

    def get(self, packet_id: PacketId) -> tuple[bytes, memoryview]:
        """The envelope of a packet's manifest and its payload, as they were received.

        The payload is not held in memory.

        Raises:
            NotFoundError: no such packet was kept.
            StoreError: it was altered.
        """
        place, (manifest, payload) = self._place(packet_id), self._seal(packet_id)
        envelope = read_checked(place.with_suffix(".manifest"), manifest)
        return envelope, map_checked(place.with_suffix(".payload"), payload)

    def manifest(self, packet_id: PacketId) -> tuple[bytes, Digest]:
        """The envelope of a packet's manifest, and the digest of its payload, which is not read.

        Raises:
            NotFoundError: no such packet was kept.
            StoreError: it was altered.
        """
        place, (manifest, payload) = self._place(packet_id), self._seal(packet_id)
        return read_checked(place.with_suffix(".manifest"), manifest), payload

    def payload_bytes(self, packet_id: PacketId) -> int:
        """Length of a packet's payload, unread; 0 if it was not kept."""
        place = self._place(packet_id).with_suffix(".payload")
        with disk_errors(f"look at {place}"):
            return place.stat().st_size if place.exists() else 0

    def _place(self, packet_id: PacketId) -> Path:
        # digest_from_text also keeps names such as `../..` out of paths.
        return self._folder / digest_from_text(packet_id).removeprefix("b3:")

    def _adopt(self, place: Path, payload: Path) -> None:
        """Gives the file `payload` the name `place` too."""
        beside = place.with_name(place.name + BESIDE)
        self._disk.sync(payload)
        try:
            self._disk.link(payload, beside)
        except OSError:  # another file system, or one without second names
            self._write(place, pieces(payload))
            return
        self._disk.rename(beside, place)
        self._disk.sync(place.parent)

    def _seal(self, packet_id: PacketId) -> tuple[Digest, Digest]:
        """Digests of a packet's manifest envelope and of its payload."""
        seal = self._place(packet_id).with_suffix(".json")
        if not seal.exists():
            raise NotFoundError(f"expected packet {packet_id} to be kept, found no {seal}")
        try:
            digests: dict[str, str] = json.loads(seal.read_bytes())
            return digest_from_text(digests["manifest"]), digest_from_text(digests["content"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError, PacketError) as error:
            raise StoreError(f"expected two digests in {seal}, found {error!r}") from error
