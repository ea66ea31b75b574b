"""Threat: bytes that were signed as one thing are presented as another."""

from dataclasses import replace

import pytest
from packets import trusting
from sealing import Student, refused, sealed, signer

from m2kt.reasons import Reason
from m2kt.signing import sign_envelope, verify_envelope
from m2kt.wire.cards import CARD_TYPE, RECEIPT_TYPE, read_card, verify_receipt
from m2kt.wire.manifest import MANIFEST_TYPE
from tests.siege import Siege, over_grpc

TYPES = [MANIFEST_TYPE, RECEIPT_TYPE, CARD_TYPE]


@pytest.mark.parametrize("signed_as", [RECEIPT_TYPE, CARD_TYPE, "", MANIFEST_TYPE + " "])
def test_a_manifest_signed_as_something_else_is_refused(signed_as):
    payload = sealed().envelope.payload
    with refused(Reason.BAD_SIGNATURE):
        Student().admits(sign_envelope(signed_as, payload, signer()))


@pytest.mark.parametrize("signed_as", [RECEIPT_TYPE, CARD_TYPE])
def test_the_type_on_the_envelope_is_signed_too(signed_as):
    relabelled = replace(
        sign_envelope(signed_as, sealed().envelope.payload, signer()), payload_type=MANIFEST_TYPE
    )
    with refused(Reason.BAD_SIGNATURE):
        Student().admits(relabelled)


def test_a_manifest_is_neither_receipt_nor_card():
    with refused(Reason.BAD_SIGNATURE):
        verify_receipt(sealed().envelope, trusting())
    with refused(Reason.BAD_SIGNATURE):
        read_card(sealed().envelope)


def test_length_and_type_cannot_be_traded_against_each_other():
    # Without lengths in what is signed, "ab" + "c" and "a" + "bc" would be the same bytes.
    honest = sign_envelope("type", b"a payload", signer())
    shifted = replace(honest, payload_type="type 9 a", payload=b"payload")
    with refused(Reason.BAD_SIGNATURE):
        verify_envelope(shifted, trusting(), "type 9 a")


@over_grpc
@pytest.mark.parametrize("kind", [RECEIPT_TYPE, CARD_TYPE])
async def test_over_grpc_a_manifest_signed_or_labelled_as_something_else_is_refused(
    siege: Siege, kind
):
    key = siege.teacher().signer
    await siege.refuses(
        Reason.BAD_SIGNATURE,
        spoil_envelope=lambda envelope: sign_envelope(kind, envelope.payload, key),
    )
    await siege.refuses(
        Reason.BAD_SIGNATURE, spoil_envelope=lambda envelope: replace(envelope, payload_type=kind)
    )
