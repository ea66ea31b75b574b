"""The student's history on disk: what it learnt, from whom, and where it stands.

    objects/<hex>.safetensors    a Concept Alignment Layer, named by the digest of these bytes
    states/<hex>.json            a StudentState, named by the digest of these bytes
    packets/<hex>.*              a packet as it was received, under its id
    HEAD                         digest of the state that the student is in
    lock                         held by the one process that may write

Nothing but HEAD is ever changed: after a crash it is the old state or the new one, and
all that it refers to is there. Every read checks the digest.

Owns: `Store`, whose `packets` keep what its states rest on.
Does not own: what is accepted (verdict), what un-learning leads to (history), how a
file survives a crash (disk), how a transfer goes (journal).
"""

import json
import threading
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import IO, Final, final

from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as bytes_from_tensors
from torch import Tensor

from m2kt.checked_files import read_checked
from m2kt.digest import Digest, digest_from_text, digest_of
from m2kt.disk import BESIDE, Disk, LocalDisk, disk_errors, locked, make_folder, put_whole
from m2kt.errors import M2KTError, StoreError
from m2kt.history import (
    EMPTY,
    FORMAT,
    NOTHING_KNOWN,
    Skill,
    StudentState,
    decoded,
    reverted,
    unlearnt,
)
from m2kt.identity import KeyId, PacketId
from m2kt.sealed_packets import SealedPackets

__all__ = ["Skill", "Store", "StudentState"]

_HEADER: Final = "m2kt"


@final
class Store:
    """One student's history. One process writes; any number may read.

    Safe to use from several threads. Close it, or use it in a `with`.
    """

    def __init__(self, root: Path, *, disk: Disk | None = None, writable: bool = True) -> None:
        """Opens the store at `root`, and makes it if it is to be written to.

        Args:
            root: Folder of the store, on a local file system.
            disk: Does all writing.
            writable: False to read only, beside a process that writes.

        Raises:
            StoreError: another process writes to it, or HEAD is lost or cannot be read.
        """
        self.root = root
        self._disk: Disk = disk or LocalDisk()
        self._guard = threading.RLock()
        self._lock: IO[bytes] | None = None
        self.packets = SealedPackets(root / "packets", self._disk, self._put)
        try:
            if writable:
                with disk_errors(f"open the store at {root}"):
                    self._open()
            self.state(self.head())
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        for folder in (self.root, *(self.root / name for name in ("objects", "states", "packets"))):
            make_folder(self._disk, folder)
        self._lock = locked(self.root / "lock")
        for leftover in self.root.rglob("*" + BESIDE):
            leftover.unlink()
        self._begin()
        # Who was killed may have moved HEAD and not synced it: what is read now is there for good.
        self._disk.sync(self.root)

    def _begin(self) -> None:
        head, first = self.root / "HEAD", self._path("states", EMPTY.digest)
        if head.exists():
            return
        if any(path != first for path in (self.root / "states").iterdir()):
            raise StoreError(
                f"expected the file {head}, found none beside earlier states; write into it the"
                " digest of the state to go on from (`b3:` and a file's name in states/)"
            )
        self._put(first, [EMPTY.encoded()])
        self._put(head, [EMPTY.digest.encode()])

    def close(self) -> None:
        """Lets another process write."""
        if self._lock:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _path(self, folder: str, digest: str) -> Path:
        # digest_from_text also keeps names such as `../..` out of paths.
        suffix = {"objects": ".safetensors", "states": ".json"}[folder]
        return self.root / folder / (digest_from_text(digest).removeprefix("b3:") + suffix)

    def _put(self, path: Path, parts: Iterable[bytes | memoryview]) -> None:
        """Puts a file in its place so that a crash leaves the old one, or none, or all of it."""
        if self._lock is None:
            raise StoreError(f"expected a store open for writing, found {self.root} closed to it")
        put_whole(self._disk, path, parts)

    def head(self) -> Digest:
        """Digest of the state that the student is in.

        Raises:
            StoreError: HEAD is missing or is not a digest.
        """
        path = self.root / "HEAD"
        try:
            return digest_from_text(path.read_text("ascii"))
        except (OSError, UnicodeDecodeError, M2KTError) as error:
            raise StoreError(
                f"expected a digest in {path}, found {error}; restore the file from a backup, or"
                " write the digest of a state of states/ into it"
            ) from error

    def state(self, digest: Digest) -> StudentState:
        """The state of that digest.

        Raises:
            NotFoundError: there is none.
            StoreError: it was altered, or a newer version of this software wrote it.
        """
        raw = read_checked(self._path("states", digest), digest)
        try:
            return decoded(raw)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise StoreError(
                f"expected state {digest} to be of format {FORMAT}, found {error!r}; update this"
                " software"
            ) from error

    def put_cal(self, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> Digest:
        """Keeps a Concept Alignment Layer; equal content has an equal digest. HEAD stays.

        Raises:
            StoreError: it could not be written.
        """
        # One key: safetensors writes several in an order that differs from run to run.
        metadata = {_HEADER: json.dumps(dict(header), sort_keys=True, separators=(",", ":"))}
        owned = {
            name: tensors[name].detach().cpu().clone().contiguous() for name in sorted(tensors)
        }
        raw = bytes_from_tensors(owned, metadata)
        digest = digest_of(raw)
        with self._guard:
            self._put(self._path("objects", digest), [raw])
        return digest

    def get_cal(self, digest: Digest) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Tensors and header of a Concept Alignment Layer.

        Raises:
            NotFoundError: there is none of that digest.
            StoreError: it was altered.
        """
        raw = read_checked(self._path("objects", digest), digest)
        length = int.from_bytes(raw[:8], "little")
        header: dict[str, str] = json.loads(
            json.loads(raw[8 : 8 + length])["__metadata__"][_HEADER]
        )
        tensors: dict[str, Tensor] = tensors_from_bytes(raw)
        return tensors, header

    def advance(self, state: StudentState, *, expected: Digest) -> Digest:
        """Moves HEAD from `expected` to `state`, or does nothing.

        Args:
            state: The new state; its parent is `expected`.
            expected: What the caller believes HEAD to be.

        Raises:
            NotFoundError: a layer that `state` refers to is not kept.
            StoreError: HEAD is not `expected` (any more), or writing failed. Then HEAD is as it
                was, unless the disk refused to put it back too.
        """
        with self._guard:
            if self.head() != expected or state.parent != expected:
                raise StoreError(
                    f"expected HEAD and the new state's parent to be {expected}, found"
                    f" {self.head()} and {state.parent}; read the head and decide again"
                )
            for skill in state.skills.values():
                read_checked(self._path("objects", skill.cal), skill.cal)
            digest = state.digest
            self._put(self._path("states", digest), [state.encoded()])
            self._move_head(expected, digest)
        return digest

    def _move_head(self, old: Digest, new: Digest) -> None:
        try:
            self._put(self.root / "HEAD", [new.encode()])
        except StoreError:
            # In place but perhaps not for good: whoever hears of a failure finds the old HEAD.
            if self.head() == new:
                self._put(self.root / "HEAD", [old.encode()])
            raise

    def history(self) -> tuple[StudentState, ...]:
        """Every state that HEAD ever pointed at, newest first."""
        states, at = [], self.head()
        while True:
            state = self.state(at)
            states.append(state)
            if state.parent is None:
                return tuple(states)
            at = state.parent

    def unlearnt(
        self,
        *,
        packets: AbstractSet[PacketId] = frozenset(),
        keys: AbstractSet[KeyId] = frozenset(),
        contents: Mapping[PacketId, Digest] = NOTHING_KNOWN,
        at_s: float,
    ) -> StudentState:
        """The state to advance to, to be rid of packets or of all that keys signed.

        See `m2kt.history.unlearnt`.
        """
        history = self.history()
        return unlearnt(history, packets=packets, keys=keys, contents=contents, at_s=at_s)

    def reverted(self, to: Digest, *, at_s: float) -> StudentState:
        """The state to advance to, to have again the skills of the earlier state `to`.

        Raises:
            NotFoundError: HEAD never pointed at `to`.
            RequestError: something that `to` holds was un-learnt since.
        """
        return reverted(self.history(), to, at_s=at_s)
