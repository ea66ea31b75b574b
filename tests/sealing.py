"""A tiny packet sealed for the tests' student, and a student that receives it."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest

from m2kt.errors import M2KTError
from m2kt.identity import PacketId
from m2kt.packet import AuthenticPayload, KnowledgePacket
from m2kt.reasons import Reason
from m2kt.signing import Envelope, Signer, sign_envelope, verify_envelope
from m2kt.trust import TrustStore
from m2kt.wire.admission import AdmittedManifest, Expectations, admit
from m2kt.wire.chunks import SealedPacket, SealHeader, authenticate_whole, seal
from m2kt.wire.manifest import MANIFEST_TYPE, WireLimits
from m2kt.wire.packets import EncodedPayload, encode_packet
from m2kt.wire.v1 import envelope_pb2 as pb
from tests.packets import NOW_S, STUDENT, TEACHER, signer, tiny_packet, trusting

NONCE = b"a nonce, 16 byte"
HEADER = SealHeader(audience=STUDENT, nonce=NONCE, sequence=1, issued_at_s=NOW_S, ttl_s=600.0)
TRUST = trusting()
EXPECTED = Expectations(audience=STUDENT, now_s=NOW_S, nonce=NONCE, domain="arith.mod7")


@dataclass(frozen=True)
class Student:
    """The receiving side: whom it trusts, what it expects, what it has seen."""

    trust: TrustStore = TRUST
    expectations: Expectations = EXPECTED
    seen: frozenset[PacketId] = frozenset()

    def admits(self, envelope: Envelope) -> AdmittedManifest:
        verified = verify_envelope(envelope, self.trust, MANIFEST_TYPE)
        return admit(verified, self.expectations, self.seen.__contains__)

    def receives(self, envelope: Envelope, payload: bytes) -> AuthenticPayload:
        return authenticate_whole(
            envelope, payload, self.trust, self.expectations, self.seen.__contains__
        )


def limited(**limits: int) -> Student:
    """A student that agrees to receive less."""
    return Student(expectations=replace(EXPECTED, limits=WireLimits(**limits)))


def encoded(packet: KnowledgePacket | None = None, *, chunk_bytes: int = 1000) -> EncodedPayload:
    return encode_packet(packet or tiny_packet(), chunk_bytes=chunk_bytes)


def sealed(packet: KnowledgePacket | None = None, *, chunk_bytes: int = 1000) -> SealedPacket:
    return seal(encoded(packet, chunk_bytes=chunk_bytes), signer(), HEADER)


def manifest_message(envelope: Envelope | None = None) -> pb.Manifest:
    """The message in an envelope: to be changed and signed again by an attacker with a good key."""
    return pb.Manifest.FromString((envelope or sealed().envelope).payload)


def signed(message: pb.Manifest, key: Signer | None = None) -> Envelope:
    """`message` signed by the teacher: whatever is wrong with it, the signature is right."""
    return sign_envelope(MANIFEST_TYPE, message.SerializeToString(), key or signer())


@contextmanager
def refused(reason: Reason) -> Iterator[None]:
    """The block must be refused with exactly this reason, by a message that says what was found."""
    with pytest.raises(M2KTError) as caught:
        yield
    assert caught.value.reason is reason, caught.value
    assert "expected" in str(caught.value)
    assert "found" in str(caught.value)
    assert len(str(caught.value)) < 2000, "an attacker must not choose how long a message is"
    assert type(pickle.loads(pickle.dumps(caught.value))) is caught.type, "Ray must carry it"


__all__ = ["EXPECTED", "HEADER", "NONCE", "NOW_S", "STUDENT", "TEACHER", "Student", "encoded"]
__all__ += ["limited", "manifest_message", "refused", "sealed", "signed", "signer"]
