"""What the benchmark sends: bytes that look like tensors, with an honest signed manifest.

Owns: `Load`, `made`. Does not own: how they are sent (streams).
"""

import secrets
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from m2kt.digest import block_digests, content_digest_by
from m2kt.disk import mapped
from m2kt.identity import AgentId
from m2kt.signing import Ed25519Signer, Envelope, verify_envelope
from m2kt.tensors import Dtype
from m2kt.trust import TrustStore
from m2kt.wire.admission import AdmittedManifest, Expectations, admit
from m2kt.wire.chunks import SealedPacket, SealHeader, seal
from m2kt.wire.manifest import MANIFEST_TYPE, TensorEntry, WireLimits
from m2kt.wire.packets import EncodedPayload

TEACHER, STUDENT = AgentId("sender"), AgentId("receiver")
DOMAIN: Final = "arith.mod7"
KEY: Final = bytes(range(32))
MIB: Final = 1 << 20
_PATTERN_MIB: Final = 64


@dataclass(frozen=True, slots=True)
class Load:
    """A payload and how it is cut."""

    encoded: EncodedPayload

    def sealed(self, audience: AgentId = STUDENT, nonce: bytes = b"") -> SealedPacket:
        """Signed for one receiver, now."""
        header = SealHeader(
            audience=audience, nonce=nonce, sequence=1, issued_at_s=time.time(), ttl_s=3600.0
        )
        return seal(self.encoded, Ed25519Signer(KEY), header)


def made(file: Path, length: int, chunk_bytes: int) -> Load:
    """A payload of `length` bytes in `file`, which is made if it is not there.

    Args:
        file: Random bytes, repeated after 64 MiB: nothing compresses within a chunk.
        length: In bytes.
        chunk_bytes: Length of every chunk but the last.
    """
    if not file.exists() or file.stat().st_size != length:
        pattern = secrets.token_bytes(min(length, _PATTERN_MIB * MIB))
        with file.open("wb") as out:
            for start in range(0, length, len(pattern)):
                out.write(pattern[: length - start])
    return cut(mapped(file), chunk_bytes)


def cut(payload: bytes | memoryview, chunk_bytes: int) -> Load:
    """The payload in chunks, hashed once."""
    view = memoryview(payload)
    digests = block_digests(view, chunk_bytes)
    encoded = EncodedPayload(
        teacher=TEACHER,
        domain=DOMAIN,
        payload=payload,
        description_bytes=0,
        tensors=(TensorEntry("exemplars", Dtype.I8, (len(view),), 0, len(view)),),
        chunk_bytes=chunk_bytes,
        chunk_digests=digests,
        content_digest=content_digest_by(view, chunk_bytes, digests),
    )
    return Load(encoded)


def admitted(envelope: Envelope, limits: WireLimits) -> AdmittedManifest:
    """What a receiver who trusts the sender makes of the manifest."""
    verified = verify_envelope(envelope, TRUST, MANIFEST_TYPE)
    expected = Expectations(audience=STUDENT, now_s=time.time(), domain=DOMAIN, limits=limits)
    return admit(verified, expected, lambda _: False)


TRUST: Final = TrustStore().enrol(Ed25519Signer(KEY).key_id, TEACHER)
"""Whom the receiver trusts."""


def limits_for(length: int) -> WireLimits:
    """Limits of a receiver who agrees to so many bytes, in chunks of up to 4 MiB."""
    return replace(WireLimits(), payload_bytes=length, chunk_bytes=4 * MIB)
