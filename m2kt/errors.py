"""The error tree, written for the person who catches.

A message says what was expected, what was found, and the remedy. Every class
carries the `Reason` that a peer is told. To add one: inherit from the base that
describes whose fault it is, set `reason`, keep the constructor to one message
(Ray pickles exceptions), and give it a gRPC status in `agents/errors.py`.

    M2KTError
    ├── PacketError          the bytes or the values in a packet are malformed
    │   └── OversizeError · ShapeError · ChunkError · IncompleteError
    ├── TrustError           who signed it, for whom, and when
    │   └── UnknownKeyError · RevokedKeyError · WeakKeyError · BadSignatureError
    │       StalePacketError · FuturePacketError · ReplayedPacketError
    │       AudienceError · NonceError · NotPermittedError
    ├── CompatibilityError   teacher and student cannot be aligned
    ├── AlignmentError       training diverged or produced non-finite values
    ├── StoreError           the student's history cannot be read or written
    │   └── NotFoundError · TamperedError
    ├── RequestError         the caller asked for something that makes no sense
    │   └── DomainError · BusyError
    └── PeerError            the other side of the network
        └── PeerUnavailableError · DeadlineError · ProtocolError
"""

from typing import ClassVar

from m2kt.reasons import Reason


class M2KTError(Exception):
    """Base of all errors of this library."""

    reason: ClassVar[Reason] = Reason.INTERNAL


class PacketError(M2KTError):
    """The bytes or the values in a packet are malformed."""

    reason = Reason.MALFORMED


class OversizeError(PacketError):
    """Something is larger than the limits allow."""

    reason = Reason.OVERSIZE


class ShapeError(PacketError):
    """A tensor's shape, type and bytes do not fit together."""

    reason = Reason.BAD_SHAPE


class ChunkError(PacketError):
    """A chunk's digest, length or index is not what the manifest says."""

    reason = Reason.CHUNK_MISMATCH


class IncompleteError(PacketError):
    """The stream ended before all chunks had come."""

    reason = Reason.INCOMPLETE


class TrustError(M2KTError):
    """A signature, its key, its addressee or its time is not acceptable."""

    reason = Reason.BAD_SIGNATURE


class UnknownKeyError(TrustError):
    """No key of that id is enrolled."""

    reason = Reason.UNKNOWN_KEY


class RevokedKeyError(TrustError):
    """The key was revoked."""

    reason = Reason.REVOKED_KEY


class WeakKeyError(TrustError):
    """The key is of small order or not canonically encoded."""

    reason = Reason.WEAK_KEY


class BadSignatureError(TrustError):
    """The signature does not belong to these bytes."""


class StalePacketError(TrustError):
    """The packet has expired, or the card was followed by a newer one."""

    reason = Reason.EXPIRED


class FuturePacketError(TrustError):
    """The packet or card was issued later than the clock allows."""

    reason = Reason.NOT_YET_VALID


class ReplayedPacketError(TrustError):
    """Exactly this packet was seen before."""

    reason = Reason.REPLAYED


class AudienceError(TrustError):
    """The packet was signed for another student."""

    reason = Reason.WRONG_AUDIENCE


class NotPermittedError(TrustError):
    """Who asks is known, and may not ask for this; or is not known."""

    reason = Reason.NOT_PERMITTED


class NonceError(TrustError):
    """The packet does not carry the nonce that the student chose."""

    reason = Reason.WRONG_NONCE


class CompatibilityError(M2KTError):
    """Teacher and student cannot be aligned (width, tokenizer, version)."""

    reason = Reason.INCOMPATIBLE


class AlignmentError(M2KTError):
    """Training diverged or produced non-finite values."""

    reason = Reason.DIVERGED


class StoreError(M2KTError):
    """The student's history cannot be read or written."""

    reason = Reason.STORAGE


class TamperedError(StoreError):
    """Somebody has changed what an agent had written down."""

    reason = Reason.TAMPERED


class NotFoundError(StoreError):
    """There is nothing of that name."""

    reason = Reason.NOT_FOUND


class RequestError(M2KTError):
    """The caller asked for something that makes no sense."""

    reason = Reason.INVALID_ARGUMENT


class DomainError(RequestError):
    """No domain of that name is known here."""

    reason = Reason.UNSUPPORTED_DOMAIN


class BusyError(RequestError):
    """A limit on concurrent work is reached."""

    reason = Reason.BUSY


class PeerError(M2KTError):
    """The other side of the network failed."""

    reason = Reason.PEER_UNAVAILABLE


class PeerUnavailableError(PeerError):
    """The other side cannot be reached."""


class DeadlineError(PeerError):
    """There was no answer in time."""

    reason = Reason.DEADLINE


class ProtocolError(PeerError):
    """The other side does not keep to the protocol."""

    reason = Reason.PROTOCOL
