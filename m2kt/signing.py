"""Who signed which bytes: envelopes, keys, and whom a student trusts.

An envelope carries the exact bytes that were signed (DSSE version 1): verify
first, parse after, never re-serialise. Source: github.com/secure-systems-lab/dsse,
protocol.md; RFC 8032 for Ed25519.

Owns: `Envelope`, `Ed25519Signer`, `verify_envelope` and its proof `VerifiedBytes`.
Does not own: whose keys are trusted (trust), what the bytes mean (wire), time,
audience and replay (wire.manifest).
"""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, final, runtime_checkable

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from m2kt.disk import Disk, LocalDisk, make_folder, put_private
from m2kt.errors import (
    BadSignatureError,
    OversizeError,
    RevokedKeyError,
    StoreError,
    UnknownKeyError,
)
from m2kt.identity import AgentId, KeyId
from m2kt.trust import TrustStore, key_id_of, public_key_of, require_strong

MAX_ENVELOPE_PAYLOAD_BYTES: Final = 256 * 1024
MAX_SIGNATURES: Final = 8
MAX_PAYLOAD_TYPE_CHARACTERS: Final = 128


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature: by which key, and its 64 bytes."""

    key_id: KeyId
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Envelope:
    """Exact bytes and who signed them. Nothing in it has been checked.

    Attributes:
        payload_type: Media type of the payload; it is signed too.
        payload: The bytes.
        signatures: By whom.
    """

    payload_type: str
    payload: bytes = field(repr=False)
    signatures: tuple[Signature, ...]


@final
@dataclass(frozen=True, slots=True)
class VerifiedBytes:
    """Bytes that a trusted agent signed. Only `verify_envelope` makes it.

    Attributes:
        payload_type: What they are.
        payload: The exact bytes.
        signers: Keys whose signatures are valid.
        agent: Whom those keys belong to.
        organisation: Whose agent that is.
        root: Whether it is a root of trust.
        until_s: Unix time, seconds: what these keys signed later is not believed.
    """

    payload_type: str
    payload: bytes = field(repr=False)
    signers: tuple[KeyId, ...]
    agent: AgentId
    organisation: str = ""
    root: bool = False
    until_s: float = math.inf

    def require_signed_in_time(self, signed_at_s: float) -> None:
        """Returns if these keys were still believed when they signed.

        Raises:
            RevokedKeyError: one had been replaced by then.
        """
        if self.until_s < math.inf and not signed_at_s <= self.until_s:  # NaN is no time
            raise RevokedKeyError(
                f"expected something signed by {self.agent} with its new key, found it signed with"
                f" one that was replaced {signed_at_s - self.until_s:.0f} s before; its owner must"
                " sign with the new one"
            )


@runtime_checkable
class Signer(Protocol):
    """Whatever can sign: a key in memory, a file, a hardware token."""

    @property
    def key_id(self) -> KeyId:
        """Name of the key."""

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of the public key."""

    def sign(self, message: bytes) -> bytes:
        """64 bytes: the signature of `message`."""


@final
class Ed25519Signer:
    """A private key in memory."""

    def __init__(self, seed: bytes) -> None:
        """Takes the 32 bytes of the private key."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = self._key.public_key().public_bytes_raw()

    @property
    def key_id(self) -> KeyId:
        """Name of the key."""
        return key_id_of(self._public)

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of the public key."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """64 bytes: the signature of `message`."""
        return self._key.sign(message)

    def save(self, path: Path, *, disk: Disk | None = None) -> None:
        """Writes the key to a PEM file that only its owner can read; `disk` does all writing.

        Raises:
            StoreError: there is a file of that name, or it cannot be written.
        """
        disk = disk or LocalDisk()
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        make_folder(disk, path.parent)
        mine = path.with_name(f"{path.name}.{os.getpid()}")  # others may make a key too
        try:
            put_private(disk, mine, pem)
            os.link(mine, path)  # whole or not at all, and never over another key
            try:
                disk.sync(path.parent)
            except OSError:  # nobody may sign with a key that a power cut takes away
                path.unlink()
                raise
        except OSError as error:
            raise StoreError(
                f"expected to write a new key to {path}, found {error}; choose another name"
            ) from error
        finally:
            mine.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> "Ed25519Signer":
        """Reads what `save` wrote.

        Raises:
            StoreError: the file is missing, no Ed25519 key, or others may read it.
        """
        try:
            mode, pem = path.stat().st_mode & 0o777, path.read_bytes()
            key = load_pem_private_key(pem, password=None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm, InternalError) as error:
            raise StoreError(f"expected a private key in {path}, found {error}") from error
        if mode & 0o077 and os.name == "posix":
            raise StoreError(
                f"expected {path} to be readable by its owner alone, found mode {mode:o};"
                f" run chmod 600 {path}"
            )
        if not isinstance(key, Ed25519PrivateKey):
            raise StoreError(f"expected an Ed25519 key in {path}, found {type(key).__name__}")
        return cls(key.private_bytes_raw())

    @classmethod
    def generate(cls) -> "Ed25519Signer":
        """A new key from the system's randomness."""
        return cls(os.urandom(32))


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE pre-authentication encoding: what is signed in place of the payload alone."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign_envelope(payload_type: str, payload: bytes, *signers: Signer) -> Envelope:
    """`payload` signed by each of `signers`."""
    message = pae(payload_type, payload)
    signatures = tuple(Signature(signer.key_id, signer.sign(message)) for signer in signers)
    return Envelope(payload_type, payload, signatures)


def verify_envelope(envelope: Envelope, trust: TrustStore, payload_type: str) -> VerifiedBytes:
    """Checks type, keys and signatures.

    A signature by a key that nobody enrolled counts for nothing; one that is
    wrong, or by a revoked key, condemns the envelope.

    Raises:
        OversizeError: more bytes or signatures than an envelope may have.
        UnknownKeyError: no signature is by an enrolled key.
        RevokedKeyError: one is by a key that was revoked.
        WeakKeyError: one is by a key for which signatures can be made up.
        BadSignatureError: one is wrong, there are too few, they are of several
            agents, or the envelope is of another type.
    """
    _require_plausible(envelope, payload_type)
    signers = _signers(envelope, trust)
    if not signers:
        asked = ", ".join(signature.key_id for signature in envelope.signatures) or "nobody"
        raise UnknownKeyError(
            f"expected a signature by an enrolled key, found {asked}; if you know the owner,"
            " enrol the key (m2kt keys trust)"
        )
    agents = set(signers.values())
    if len(signers) < trust.threshold or len(agents) != 1:
        raise BadSignatureError(
            f"expected {trust.threshold} valid signatures of one agent, found {len(signers)} of"
            f" {len(agents)} agents; ask for an envelope signed by more of its keys"
        )
    agent = agents.pop()
    return VerifiedBytes(
        envelope.payload_type,
        envelope.payload,
        tuple(signers),
        agent,
        organisation=trust.organisation_of(agent),
        root=trust.is_root(agent),
        until_s=trust.believed_until_s(signers),
    )


def verify_own(envelope: Envelope, payload_type: str, key_id: KeyId) -> bytes:
    """The payload of an envelope that `key_id` itself signed: proves possession, not trust.

    Raises:
        OversizeError: more bytes or signatures than an envelope may have.
        WeakKeyError: signatures of this key can be made up.
        BadSignatureError: it is not signed by that key, or of another type.
    """
    _require_plausible(envelope, payload_type)
    require_strong(public_key_of(key_id))
    own = [signature for signature in envelope.signatures if signature.key_id == key_id]
    if not own:
        raise BadSignatureError(f"expected a signature by {key_id}, found none; sign with that key")
    for signature in own:
        require_valid(signature, pae(envelope.payload_type, envelope.payload))
    return envelope.payload


def _signers(envelope: Envelope, trust: TrustStore) -> dict[KeyId, AgentId]:
    """Whose valid signatures it bears, of those whom the store knows."""
    message = pae(envelope.payload_type, envelope.payload)
    signers: dict[KeyId, AgentId] = {}
    for signature in envelope.signatures:
        require_strong(public_key_of(signature.key_id))
        if trust.knows(signature.key_id):
            signers[signature.key_id] = trust.agent_of(signature.key_id)
            require_valid(signature, message)
    return signers


def _require_plausible(envelope: Envelope, payload_type: str) -> None:
    size, count = len(envelope.payload), len(envelope.signatures)
    if size > MAX_ENVELOPE_PAYLOAD_BYTES or count > MAX_SIGNATURES:
        raise OversizeError(
            f"expected an envelope of at most {MAX_ENVELOPE_PAYLOAD_BYTES} bytes and"
            f" {MAX_SIGNATURES} signatures, found {size} and {count}; send less"
        )
    if envelope.payload_type != payload_type:
        found = envelope.payload_type[:MAX_PAYLOAD_TYPE_CHARACTERS]
        raise BadSignatureError(
            f"expected an envelope of type {payload_type}, found {found!r}; what was signed as one"
            " thing is not accepted as another"
        )


def require_valid(signature: Signature, message: bytes) -> None:
    """Returns if the signature is over `message`; whose key it is, is not asked.

    Raises:
        BadSignatureError: it is not.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key_of(signature.key_id))
        key.verify(signature.signature, message)
    except (InvalidSignature, ValueError) as error:
        raise BadSignatureError(
            f"expected a signature by {signature.key_id} over these bytes, found one that does not"
            " belong to them; the bytes or the signature were changed on the way"
        ) from error
