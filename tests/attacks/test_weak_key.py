"""Threat: a key of small order, for which anybody can make up signatures of anything.

`cryptography` accepts such signatures (the first test shows it), so M2KT must not
let the keys in. The fourteen encodings are those of the eight points of small order, canonical
and not (Chalkias, Garillot, Nikolaenko: Taming the many EdDSAs, 2020).
"""

from dataclasses import replace

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from packets import TEACHER
from sealing import Student, refused, sealed

from m2kt.reasons import Reason
from m2kt.signing import Envelope, Signature, pae
from m2kt.trust import P, TrustStore, key_id_of
from tests.siege import Siege, over_grpc

IDENTITY = b"\x01" + bytes(31)
MADE_UP = IDENTITY + bytes(32)
"""R = the identity, S = 0: a signature by the identity of every message."""
Y8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
Y8_NEGATED = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
SIGN = 1 << 255


def encodings() -> list[bytes]:
    ys = [0, 1, P - 1, P, P + 1, *(int.from_bytes(y, "little") for y in (Y8, Y8_NEGATED))]
    return [(y | sign).to_bytes(32, "little") for y in ys for sign in (0, SIGN)]


def test_the_threat_is_real():
    key = Ed25519PublicKey.from_public_bytes(IDENTITY)
    for message in (b"anything", b"at all"):
        key.verify(MADE_UP, message)
    with pytest.raises(InvalidSignature):
        key.verify(MADE_UP[:-1] + b"\x01", b"anything")


@pytest.mark.parametrize("raw", encodings(), ids=bytes.hex)
def test_a_weak_key_is_not_enrolled(raw):
    with refused(Reason.WEAK_KEY):
        TrustStore().enrol(key_id_of(raw), TEACHER)


@pytest.mark.parametrize("y", [P + 2, P + 18, 2**255 - 1])
def test_a_key_that_is_not_canonical_is_not_enrolled(y):
    with refused(Reason.WEAK_KEY):
        TrustStore().enrol(key_id_of(y.to_bytes(32, "little")), TEACHER)


def test_a_packet_signed_with_a_weak_key_is_refused_as_such():
    forged = replace(sealed().envelope, signatures=(Signature(key_id_of(IDENTITY), MADE_UP),))
    Ed25519PublicKey.from_public_bytes(IDENTITY).verify(
        MADE_UP, pae(forged.payload_type, forged.payload)
    )
    with refused(Reason.WEAK_KEY):
        Student().admits(forged)


def made_up(envelope: Envelope) -> Envelope:
    return replace(envelope, signatures=(Signature(key_id_of(IDENTITY), MADE_UP),))


@over_grpc
async def test_over_grpc_a_weak_key_is_refused(siege: Siege):
    await siege.refuses(Reason.WEAK_KEY, spoil_envelope=made_up)
