"""m2kt.wire.cards: envelopes, cards and receipts as messages, and back; who signed them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packets import STUDENT, TEACHER, signer, texts, trusting
from values import cards, models, receipts

from m2kt.errors import BadSignatureError, PacketError, UnknownKeyError
from m2kt.identity import AgentCard, KeyId, Role
from m2kt.signing import Envelope, Signature, sign_envelope
from m2kt.wire import cards as wire
from m2kt.wire.v1 import agent_pb2, verdict_pb2

CARD = AgentCard(
    agent=TEACHER,
    role=Role.TEACHER,
    address="127.0.0.1:1",
    key_id=signer().key_id,
    public_key=signer().public_key,
    domains=("arith.mod7",),
    model=None,
    software="m2kt",
)
signatures = st.builds(Signature, texts.map(KeyId), st.binary(max_size=64))
envelopes = st.builds(
    Envelope, texts, st.binary(max_size=64), st.lists(signatures, max_size=3).map(tuple)
)


@given(envelopes)
def test_an_envelope_survives_message_and_bytes(envelope):
    assert wire.envelope_from_wire(wire.envelope_to_wire(envelope)) == envelope
    assert wire.envelope_from_bytes(wire.envelope_to_bytes(envelope)) == envelope


@given(cards())
def test_a_card_survives_its_message(card):
    assert wire.card_from_wire(wire.card_to_wire(card)) == card


@given(models)
def test_a_model_card_survives_its_message(model):
    assert wire.model_from_wire(wire.model_to_wire(model)) == model


@given(receipts)
def test_a_receipt_survives_its_bytes(receipt):
    assert wire.receipt_from_bytes(wire.receipt_to_bytes(receipt)) == receipt


@given(receipts)
def test_a_receipt_that_its_student_signed_is_verified(receipt):
    envelope = wire.sign_receipt(receipt, signer())
    trust = trusting(agent=receipt.student)
    assert wire.verify_receipt(envelope, trust) == receipt


@given(receipts)
def test_nobody_signs_a_receipt_for_another(receipt):
    envelope = wire.sign_receipt(replace(receipt, student=STUDENT), signer())
    with pytest.raises(BadSignatureError, match="speaks for itself alone"):
        wire.verify_receipt(envelope, trusting(agent=TEACHER))


@pytest.mark.parametrize("raw", [b"\xff", b"\x0a\xff"])
def test_bytes_that_are_no_message_are_refused(raw):
    with pytest.raises(PacketError, match="message Envelope"):
        wire.envelope_from_bytes(raw)
    with pytest.raises(PacketError, match="message Receipt"):
        wire.receipt_from_bytes(raw)


def test_a_receipt_without_a_student_is_refused():
    with pytest.raises(PacketError, match="agent id"):
        wire.receipt_from_bytes(verdict_pb2.Receipt().SerializeToString())


def test_a_card_signed_with_its_own_key_is_read_and_verified():
    envelope = wire.sign_card(CARD, signer())
    assert wire.read_card(envelope) == CARD
    assert wire.verify_card(envelope, trusting()) == CARD


def test_a_card_signed_with_another_key_is_refused():
    envelope = wire.sign_card(CARD, signer(2))
    with pytest.raises(BadSignatureError, match="its own key"):
        wire.read_card(envelope)
    with pytest.raises(UnknownKeyError):
        wire.verify_card(envelope, trusting())
    with pytest.raises(BadSignatureError, match="introduces itself alone"):
        wire.verify_card(envelope, trusting(signer(1), signer(2)))


def test_an_agent_does_not_introduce_another():
    envelope = wire.sign_card(replace(CARD, agent=STUDENT), signer())
    with pytest.raises(BadSignatureError, match="introduces itself alone"):
        wire.verify_card(envelope, trusting())


def test_a_card_that_nobody_signed_is_refused():
    unsigned = replace(wire.sign_card(CARD, signer()), signatures=())
    with pytest.raises(UnknownKeyError):
        wire.read_card(unsigned)


def test_something_else_that_the_key_signed_is_no_card():
    with pytest.raises(BadSignatureError, match="of type"):
        wire.read_card(sign_envelope(wire.RECEIPT_TYPE, b"", signer()))
    with pytest.raises(PacketError):
        wire.read_card(sign_envelope(wire.CARD_TYPE, b"", signer()))


def test_key_and_key_id_of_a_card_belong_together():
    message = wire.card_to_wire(CARD)
    message.key_id = signer(2).key_id
    with pytest.raises(PacketError, match="key id"):
        wire.card_from_wire(message)


@pytest.mark.parametrize("role", [0, 9])
def test_a_card_has_a_role(role):
    message = wire.card_to_wire(CARD)
    message.role = role
    with pytest.raises(PacketError, match="a role"):
        wire.card_from_wire(message)


def test_roles_in_code_and_protocol_are_the_same():
    names = {name.removeprefix("ROLE_").lower() for name, n in agent_pb2.Role.items() if n}
    assert names == {role.value for role in Role}
