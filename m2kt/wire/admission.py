"""Whether a signed manifest is meant for this student, answers it, and is timely.

Owns: `Expectations`, `admit` and its proof `AdmittedManifest`.
Does not own: what a manifest says (manifest), remembering what was seen (journal).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

from m2kt.digest import digest_of
from m2kt.errors import (
    AudienceError,
    FuturePacketError,
    NonceError,
    ProtocolError,
    ReplayedPacketError,
    StalePacketError,
)
from m2kt.identity import BROADCAST, AgentId, KeyId, PacketId
from m2kt.signing import VerifiedBytes
from m2kt.wire.manifest import Manifest, WireLimits, parse_manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """What a student holds a manifest against.

    Attributes:
        audience: The student's own name.
        now_s: Unix time, seconds, on the student's clock.
        nonce: What it chose for this exchange: empty for packets at rest, None for any.
        domain: What it asked for; None for any.
        skew_s: By how much the two clocks may differ.
        limits: How much it agrees to receive.
    """

    audience: AgentId
    now_s: float
    nonce: bytes | None = None
    domain: str | None = None
    skew_s: float = 5.0
    limits: WireLimits = field(default_factory=WireLimits)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedManifest:
    """A manifest that is signed, meant for this student, and timely. Only `admit` makes it.

    Attributes:
        packet_id: Digest of the signed manifest's exact bytes.
        manifest: What it says.
        signers: Keys whose signatures are valid.
        organisation: Whose agent the teacher is.
        root: Whether the teacher is a root of trust.
        raw: The exact bytes.
    """

    packet_id: PacketId
    manifest: Manifest
    signers: tuple[KeyId, ...]
    organisation: str = ""
    root: bool = False
    raw: bytes = field(repr=False)


def packet_id_of(manifest: bytes) -> PacketId:
    """The id of a packet: the digest of its manifest's exact bytes."""
    return PacketId(digest_of(manifest))


def admit(
    verified: VerifiedBytes, expectations: Expectations, seen: Callable[[PacketId], bool]
) -> AdmittedManifest:
    """Reads a manifest that was signed and holds it against what the student expects.

    Raises:
        PacketError: it cannot be read, breaks a limit, or contradicts itself.
        TrustError: it is another agent's, for somebody else, untimely, or seen before.
        ProtocolError: it is about another domain than the student asked for.
    """
    manifest = parse_manifest(verified, expectations.limits)
    packet_id = packet_id_of(verified.payload)
    verified.require_signed_in_time(manifest.issued_at_s)
    _require_addressed(manifest, expectations)
    _require_timely(manifest, expectations)
    if seen(packet_id):
        raise ReplayedPacketError(
            f"expected a packet that was never offered, found {packet_id}; ask the teacher to sign"
            " a new manifest"
        )
    return AdmittedManifest(
        packet_id=packet_id,
        manifest=manifest,
        signers=verified.signers,
        organisation=verified.organisation,
        root=verified.root,
        raw=verified.payload,
    )


def _require_addressed(manifest: Manifest, expectations: Expectations) -> None:
    if manifest.audience not in (expectations.audience, BROADCAST):
        raise AudienceError(
            f"expected a packet for {expectations.audience} or {BROADCAST}, found one for"
            f" {manifest.audience}; ask the teacher yourself"
        )
    if expectations.nonce is not None and manifest.nonce != expectations.nonce:
        raise NonceError(
            f"expected the nonce {expectations.nonce.hex() or 'of a packet at rest (empty)'}, found"
            f" {manifest.nonce.hex() or 'none'}; the packet belongs to another exchange"
        )
    if expectations.domain is not None and manifest.domain != expectations.domain:
        raise ProtocolError(
            f"expected a packet about {expectations.domain}, found one about"
            f" {manifest.domain[:80]!r}; ask another teacher"
        )


def _require_timely(manifest: Manifest, expectations: Expectations) -> None:
    ahead_s = manifest.issued_at_s - expectations.now_s
    if ahead_s > expectations.skew_s:
        raise FuturePacketError(
            f"expected a packet issued by now, found one issued {ahead_s:.0f} s from now; set both"
            f" clocks right (they may differ by {expectations.skew_s:.0f} s)"
        )
    late_s = expectations.now_s - manifest.expires_at_s
    if late_s >= expectations.skew_s:
        raise StalePacketError(
            f"expected a packet that is still valid, found one that expired {late_s:.0f} s ago;"
            " ask the teacher for a fresh one"
        )
