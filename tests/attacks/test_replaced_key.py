"""Threat: a key that its owner has replaced signs a packet, or a receipt."""

import math

import pytest
from hypothesis import assume, given
from packets import trusting
from sealing import HEADER, Student, encoded, refused, signer
from values import receipts

from m2kt.errors import RevokedKeyError
from m2kt.reasons import Reason
from m2kt.wire.cards import sign_receipt, verify_receipt
from m2kt.wire.chunks import seal

OLD, NEW = signer(1), signer(2)
AT_S = HEADER.issued_at_s
TRUST = trusting(OLD)


def student(replaced_at_s: float) -> Student:
    return Student(trust=TRUST.rotate(OLD.key_id, NEW.key_id, replaced_at_s))


def test_what_it_signed_before_is_believed():
    assert student(AT_S).admits(seal(encoded(), OLD, HEADER).envelope)


def test_what_it_signs_later_is_refused():
    with refused(Reason.REVOKED_KEY):
        student(AT_S - 1.0).admits(seal(encoded(), OLD, HEADER).envelope)


def test_the_new_key_is_believed():
    assert student(AT_S - 1.0).admits(seal(encoded(), NEW, HEADER).envelope)


def test_a_good_signature_beside_it_does_not_help():
    with refused(Reason.REVOKED_KEY):
        student(AT_S - 1.0).admits(seal(encoded(), NEW, HEADER, OLD).envelope)


@given(receipts)
def test_a_receipt_that_it_signs_later_is_refused(receipt):
    trust = trusting(OLD, agent=receipt.student)
    envelope, at_s = sign_receipt(receipt, OLD), receipt.issued_at_s
    assume(math.isfinite(at_s))
    replaced = trust.rotate(OLD.key_id, NEW.key_id, at_s)
    assert verify_receipt(envelope, replaced) == receipt
    with pytest.raises(RevokedKeyError):
        verify_receipt(
            envelope, trust.rotate(OLD.key_id, NEW.key_id, math.nextafter(at_s, -math.inf))
        )
