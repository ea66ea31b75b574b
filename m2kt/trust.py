"""Whose keys a student trusts, and which keys nobody should.

Owns: `TrustStore` and its file, names of keys, the test for weak keys.
Does not own: checking a signature (signing).
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from m2kt.disk import Disk, LocalDisk, make_folder, put_whole
from m2kt.errors import (
    M2KTError,
    RequestError,
    RevokedKeyError,
    StoreError,
    UnknownKeyError,
    WeakKeyError,
)
from m2kt.identity import KEY_ID_PATTERN, PUBLIC_KEY_BYTES, AgentId, KeyId, agent_id

# Ed25519 (RFC 8032): the curve -x^2 + y^2 = 1 + d x^2 y^2 over the field of P elements.
P: Final = 2**255 - 19
D: Final = -121665 * pow(121666, -1, P) % P

# y of the eight points whose order divides 8. For these, a signature can be made up that the
# usual libraries accept for any message (measured with cryptography 50: A = R = identity, S = 0).
SMALL_ORDER_Y: Final = frozenset(
    {
        0,
        1,
        P - 1,
        int.from_bytes(
            bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
            "little",
        ),
        int.from_bytes(
            bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
            "little",
        ),
    }
)


_UNREADABLE: Final = (RecursionError, OverflowError)
"""What JSON raises that is nested too deeply, and what an infinite number does as a version."""


def key_id_of(public_key: bytes) -> KeyId:
    """The name of a public key: `ed25519:` and its bytes in hexadecimal."""
    return KeyId("ed25519:" + public_key.hex())


def public_key_of(key_id: str) -> bytes:
    """The 32 bytes that a key id names; inverse of `key_id_of`.

    Raises:
        UnknownKeyError: `key_id` names no Ed25519 key.
    """
    if not KEY_ID_PATTERN.fullmatch(key_id):
        raise UnknownKeyError(
            f"expected a key id 'ed25519:' + 64 hex characters, found {key_id[:80]!r};"
            " pass the id exactly as m2kt keys show prints it"
        )
    return bytes.fromhex(key_id.removeprefix("ed25519:"))


@lru_cache(maxsize=1024)  # of keys that are strong: the others raise each time
def require_strong(public_key: bytes) -> None:
    """Refuses keys for which anybody can make up signatures, and bytes that are no key.

    Raises:
        WeakKeyError: of small order, not canonically encoded (y >= 2^255 - 19), or
            not a point of the curve.
    """
    y = int.from_bytes(public_key, "little") & (2**255 - 1)
    if len(public_key) != PUBLIC_KEY_BYTES or y >= P or y in SMALL_ORDER_Y or not _on_curve(y):
        raise WeakKeyError(
            f"expected an Ed25519 key of large order, canonically encoded, found"
            f" {public_key[:PUBLIC_KEY_BYTES].hex()}; its owner must make a new key (m2kt keys new)"
        )


def _on_curve(y: int) -> bool:
    """Whether x^2 = (y^2 - 1) / (d y^2 + 1) has a solution (Euler's criterion)."""
    x_squared = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    return pow(x_squared, (P - 1) // 2, P) in (0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledKey:
    """A key that is trusted.

    Attributes:
        agent: To whom it belongs.
        organisation: Whose agent that is: one vote for each when teachers disagree.
        root: Whether it makes its agent a root of trust, which no others outvote.
        until_s: Unix time, seconds: what it signed later is not believed, as another key has
            taken its place; None if none has.
    """

    agent: AgentId
    organisation: str = ""
    root: bool = False
    until_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustStore:
    """Which keys belong to whom. A change gives a new store with a higher version.

    Attributes:
        version: Grows with every change.
        threshold: Valid signatures of one agent that an envelope needs.
        enrolled: Keys that are trusted.
        revoked: Keys that were, each with the reason why not any more.
    """

    version: int = 0
    threshold: int = 1
    enrolled: Mapping[KeyId, EnrolledKey] = field(default_factory=dict)
    revoked: Mapping[KeyId, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.threshold < 1 or self.version < 0:
            raise RequestError(
                f"expected a threshold of at least 1 and a version of at least 0, found"
                f" {self.threshold} and {self.version}; correct the trust store"
            )
        for key_id, key in self.enrolled.items():
            require_strong(public_key_of(key_id))
            agent_id(key.agent)

    def knows(self, key_id: KeyId) -> bool:
        """Whether the key is enrolled, or was until it was revoked."""
        return key_id in self.enrolled or key_id in self.revoked

    def agent_of(self, key_id: KeyId) -> AgentId:
        """To whom a trusted key belongs.

        Raises:
            RevokedKeyError: it is not trusted any more.
            UnknownKeyError: it was never enrolled.
        """
        if key_id in self.revoked:
            raise RevokedKeyError(
                f"expected a trusted key, found {key_id}, revoked: {self.revoked[key_id]};"
                " its owner must sign with another one"
            )
        if key_id not in self.enrolled:
            raise UnknownKeyError(
                f"expected an enrolled key, found {key_id}; if you know the owner, enrol the key"
                " (m2kt keys trust)"
            )
        return self.enrolled[key_id].agent

    def organisation_of(self, agent: AgentId) -> str:
        """The organisation of an agent; its own name if it has none."""
        names = {key.organisation for key in self.enrolled.values() if key.agent == agent}
        return min(names - {""}, default=str(agent))

    def is_root(self, agent: AgentId) -> bool:
        """Whether an agent is a root of trust: one of its enrolled keys is."""
        return any(key.root for key in self.enrolled.values() if key.agent == agent)

    def enrol(
        self, key_id: KeyId, agent: AgentId, organisation: str = "", *, root: bool = False
    ) -> "TrustStore":
        """This store and one key more. A key that it has is enrolled anew, as given.

        Raises:
            WeakKeyError: signatures of this key can be made up.
            RevokedKeyError: it was revoked; a revoked key does not come back.
            RequestError: it is enrolled for another agent.
        """
        if key_id in self.revoked:
            self.agent_of(key_id)
        owner = self.enrolled.get(key_id)
        if owner is not None and owner.agent != agent:
            raise RequestError(
                f"expected a key that is not enrolled, found {key_id} of agent {owner.agent};"
                " two agents never share a key"
            )
        key = EnrolledKey(agent=agent, organisation=organisation, root=root)
        return replace(self, version=self.version + 1, enrolled={**self.enrolled, key_id: key})

    def rotate(self, old: KeyId, new: KeyId, at_s: float) -> "TrustStore":
        """This store, with `new` in the place of `old`, which is believed for what it signed.

        Raises:
            UnknownKeyError, RevokedKeyError: `old` is not trusted.
            WeakKeyError: signatures of `new` can be made up.
            RequestError: `old` was replaced before, or `new` is known already.
        """
        agent = self.agent_of(old)
        key = self.enrolled[old]
        if key.until_s is not None or self.knows(new):
            raise RequestError(
                f"expected a key of {agent} that nothing has replaced and a new one, found"
                f" {old} and {new}; ask the owner for the rotation of its newest key"
            )
        kept = {**self.enrolled, old: replace(key, until_s=at_s), new: key}
        return replace(self, version=self.version + 1, enrolled=kept)

    def believed_until_s(self, keys: Iterable[KeyId]) -> float:
        """Unix time, seconds, until when all of `keys` are believed; infinite if nothing ends."""
        ends = (self.enrolled[key].until_s for key in keys)
        return min((end for end in ends if end is not None), default=math.inf)

    def require(self, valid_signatures: int) -> "TrustStore":
        """This store, which asks for so many signatures of one agent."""
        return replace(self, version=self.version + 1, threshold=valid_signatures)

    def revoke(self, key_id: KeyId, reason: str) -> "TrustStore":
        """This store, with that key no longer trusted."""
        public_key_of(key_id)
        kept = {name: key for name, key in self.enrolled.items() if name != key_id}
        revoked = {**self.revoked, key_id: reason}
        return replace(self, version=self.version + 1, enrolled=kept, revoked=revoked)


def load_trust(path: Path) -> TrustStore:
    """Reads a trust store; an empty one if there is no file.

    Raises:
        StoreError: the file is not a trust store.
        WeakKeyError: somebody wrote a weak key into it.
    """
    if not path.exists():
        return TrustStore()
    try:
        return _from_json(json.loads(path.read_text(encoding="utf-8")))
    except M2KTError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, *_UNREADABLE) as error:
        raise StoreError(
            f"expected a trust store in {path}, found {type(error).__name__}: {error};"
            " restore it from a copy or enrol the keys again"
        ) from error


def current_trust(path: Path) -> TrustStore:
    """The trust store of this moment: the same object as long as the file is the same.

    Raises:
        StoreError, WeakKeyError: see `load_trust`.
    """
    try:
        found = path.stat()
    except OSError:
        return load_trust(path)
    return _loaded(path, found.st_mtime_ns, found.st_ino, found.st_size)


@lru_cache(maxsize=64)
def _loaded(path: Path, _mtime_ns: int, _inode: int, _bytes: int) -> TrustStore:
    return load_trust(path)


def save_trust(path: Path, trust: TrustStore, *, disk: Disk | None = None) -> None:
    """Replaces the file by a newer version, atomically; `disk` does all writing.

    Raises:
        StoreError: the file holds the same or a newer version, or cannot be written.
    """
    there = load_trust(path).version
    if path.exists() and there >= trust.version:
        raise StoreError(
            f"expected {path} to hold a version below {trust.version}, found {there}; load it"
            " again and repeat the change"
        )
    keys = {
        name: {
            "agent": key.agent,
            "organisation": key.organisation,
            "root": key.root,
            **({} if key.until_s is None else {"until_s": key.until_s}),
        }
        for name, key in sorted(trust.enrolled.items())
    }
    content = {
        "version": trust.version,
        "threshold": trust.threshold,
        "enrolled": keys,
        "revoked": dict(sorted(trust.revoked.items())),
    }
    disk = disk or LocalDisk()
    make_folder(disk, path.parent)
    put_whole(disk, path, [(json.dumps(content, indent=2) + "\n").encode()])


def _from_json(content: dict[str, Any]) -> TrustStore:
    enrolled = {
        KeyId(name): EnrolledKey(
            agent=agent_id(key["agent"]),
            organisation=str(key["organisation"]),
            # Files from before there were roots do not say. Only JSON's true makes a root.
            root=key.get("root", False) is True,
            until_s=float(key["until_s"]) if "until_s" in key else None,
        )
        for name, key in content["enrolled"].items()
    }
    revoked = {KeyId(name): str(reason) for name, reason in content["revoked"].items()}
    return TrustStore(
        version=int(content["version"]),
        threshold=int(content["threshold"]),
        enrolled=enrolled,
        revoked=revoked,
    )
