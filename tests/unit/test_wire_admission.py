"""m2kt.wire.admission: whether a signed manifest is for this student, and timely."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sealing import EXPECTED, HEADER, NOW_S, STUDENT, Student, encoded, sealed, signer

from m2kt.digest import digest_of
from m2kt.errors import (
    AudienceError,
    FuturePacketError,
    NonceError,
    ProtocolError,
    ReplayedPacketError,
    StalePacketError,
)
from m2kt.identity import BROADCAST, AgentId
from m2kt.wire.chunks import seal


def envelope(**changes):
    return seal(encoded(), signer(), replace(HEADER, **changes)).envelope


def test_a_manifest_that_answers_is_admitted():
    admitted = Student().admits(sealed().envelope)
    assert admitted.packet_id == digest_of(admitted.raw) == sealed().packet_id
    assert admitted.signers == (signer().key_id,)


def test_a_broadcast_packet_is_for_every_student():
    assert Student().admits(envelope(audience=BROADCAST)).manifest.audience == BROADCAST


def test_a_packet_for_somebody_else_is_refused():
    with pytest.raises(AudienceError, match="ask the teacher yourself"):
        Student().admits(envelope(audience=AgentId("other")))


@pytest.mark.parametrize("nonce", [b"", b"b nonce, 16 byte", b"a nonce"])
def test_another_nonce_is_refused(nonce):
    with pytest.raises(NonceError):
        Student().admits(envelope(nonce=nonce))


def test_a_packet_at_rest_has_no_nonce():
    at_rest = Student(expectations=replace(EXPECTED, nonce=b""))
    assert at_rest.admits(envelope(nonce=b"")).manifest.nonce == b""
    with pytest.raises(NonceError, match="at rest"):
        at_rest.admits(envelope())


def test_whoever_expects_no_nonce_takes_any():
    assert Student(expectations=replace(EXPECTED, nonce=None)).admits(envelope())


def test_a_packet_about_another_domain_is_refused():
    with pytest.raises(ProtocolError, match=r"about arith\.mod5"):
        Student(expectations=replace(EXPECTED, domain="arith.mod5")).admits(envelope())
    assert Student(expectations=replace(EXPECTED, domain=None)).admits(envelope())


@given(st.floats(-10_000, 10_000))
def test_a_packet_is_valid_from_issue_to_expiry_give_or_take_the_skew(late_s):
    student = Student(expectations=replace(EXPECTED, now_s=NOW_S + late_s))
    if late_s < -5.0:
        with pytest.raises(FuturePacketError, match="clocks"):
            student.admits(envelope())
    elif late_s >= 605.0:
        with pytest.raises(StalePacketError, match="fresh one"):
            student.admits(envelope())
    else:
        assert student.admits(envelope()).manifest.audience == STUDENT


def test_a_packet_that_was_seen_is_refused():
    seen = Student(seen=frozenset({sealed().packet_id}))
    with pytest.raises(ReplayedPacketError, match="sign a new manifest"):
        seen.admits(sealed().envelope)
    assert seen.admits(envelope(sequence=2)).manifest.sequence == 2
