"""Envelopes, agents' cards and receipts as messages, and back.

Each pair is a round trip. Free of torch, so a broker can use it. What `verdicts` has is
here too: callers need one module for all small values.

Owns: envelopes as messages, and what makes a card or a receipt one that was signed.
Does not own: packets (packets) and manifests (manifest).
"""

from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message

from m2kt.errors import BadSignatureError, OversizeError, PacketError
from m2kt.identity import AgentCard, AgentId, KeyId, ModelCard, PacketId, Role, TransferId, agent_id
from m2kt.signing import (
    MAX_SIGNATURES,
    Envelope,
    Signature,
    Signer,
    sign_envelope,
    verify_envelope,
    verify_own,
)
from m2kt.trust import TrustStore, key_id_of
from m2kt.verdict import Receipt
from m2kt.wire.numbers import reason_from_wire, reason_to_wire, value_of
from m2kt.wire.v1 import agent_pb2, envelope_pb2, verdict_pb2
from m2kt.wire.verdicts import (
    accuracy_from_wire,
    accuracy_to_wire,
    event_from_wire,
    event_to_wire,
    evidence_from_wire,
    evidence_to_wire,
    meter_from_wire,
    meter_to_wire,
    state_from_wire,
    state_to_wire,
    verdict_from_wire,
    verdict_to_wire,
)

__all__ = [
    "CARD_TYPE",
    "RECEIPT_TYPE",
    "accuracy_from_wire",
    "accuracy_to_wire",
    "card_from_wire",
    "card_to_wire",
    "envelope_from_bytes",
    "envelope_from_wire",
    "envelope_to_bytes",
    "envelope_to_wire",
    "event_from_wire",
    "event_to_wire",
    "evidence_from_wire",
    "evidence_to_wire",
    "meter_from_wire",
    "meter_to_wire",
    "model_from_wire",
    "model_to_wire",
    "read",
    "read_card",
    "reason_from_wire",
    "reason_to_wire",
    "receipt_from_bytes",
    "receipt_to_bytes",
    "sign_card",
    "sign_receipt",
    "state_from_wire",
    "state_to_wire",
    "verdict_from_wire",
    "verdict_to_wire",
    "verify_card",
    "verify_receipt",
]

CARD_TYPE: Final = "application/vnd.m2kt.card.v1+protobuf"
RECEIPT_TYPE: Final = "application/vnd.m2kt.receipt.v1+protobuf"

_ROLES: Final = {n: Role(x.removeprefix("ROLE_").lower()) for x, n in agent_pb2.Role.items() if n}

M = TypeVar("M", bound=Message)


def read(kind: type[M], raw: bytes) -> M:
    """The message of type `kind` in `raw`.

    Raises:
        PacketError: there is none.
    """
    try:
        return kind.FromString(raw)
    except DecodeError as error:
        raise PacketError(
            f"expected a message {kind.DESCRIPTOR.name}, found {error}; send what was encoded"
        ) from error


def envelope_to_wire(envelope: Envelope) -> envelope_pb2.Envelope:
    """The message of an envelope."""
    return envelope_pb2.Envelope(
        payload_type=envelope.payload_type,
        payload=envelope.payload,
        signatures=[
            envelope_pb2.Signature(key_id=s.key_id, signature=s.signature)
            for s in envelope.signatures
        ],
    )


def envelope_from_wire(message: envelope_pb2.Envelope) -> Envelope:
    """The envelope of a message. Nothing in it has been checked but how many signed.

    Raises:
        OversizeError: more did than may: empty ones take two bytes each, and far more here.
    """
    if len(message.signatures) > MAX_SIGNATURES:
        raise OversizeError(
            f"expected an envelope of at most {MAX_SIGNATURES} signatures, found"
            f" {len(message.signatures)}; send less"
        )
    signatures = tuple(Signature(KeyId(s.key_id), s.signature) for s in message.signatures)
    return Envelope(message.payload_type, message.payload, signatures)


def envelope_to_bytes(envelope: Envelope) -> bytes:
    """An envelope as it is kept in a file. Its payload's bytes stay as they are."""
    return envelope_to_wire(envelope).SerializeToString(deterministic=True)


def envelope_from_bytes(raw: bytes) -> Envelope:
    """The envelope in `raw`. Nothing in it has been checked but how many signed.

    Raises:
        PacketError: `raw` is no envelope, or one of too many signatures.
    """
    return envelope_from_wire(read(envelope_pb2.Envelope, raw))


def card_to_wire(card: AgentCard) -> agent_pb2.AgentCard:
    """The message of a card."""
    return agent_pb2.AgentCard(
        agent=card.agent,
        role=agent_pb2.Role.Value(f"ROLE_{card.role.name}"),
        address=card.address,
        key_id=card.key_id,
        public_key=card.public_key,
        domains=card.domains,
        model=None if card.model is None else model_to_wire(card.model),
        software=card.software,
        issued_at_s=card.issued_at_s,
    )


def card_from_wire(message: agent_pb2.AgentCard) -> AgentCard:
    """The card of a message.

    Raises:
        PacketError: a field is malformed, or the key id is not that of the key.
    """
    if message.key_id != key_id_of(message.public_key):
        raise PacketError(
            f"expected the key id of the card's own key, found {message.key_id[:80]!r};"
            " make the card again"
        )
    return AgentCard(
        agent=agent_id(message.agent),
        role=value_of(_ROLES, message.role, "a role"),
        address=message.address,
        key_id=KeyId(message.key_id),
        public_key=message.public_key,
        domains=tuple(message.domains),
        model=model_from_wire(message.model) if message.HasField("model") else None,
        software=message.software,
        issued_at_s=message.issued_at_s,
    )


def model_to_wire(model: ModelCard) -> agent_pb2.ModelCard:
    """The message of a model card."""
    return agent_pb2.ModelCard(
        family=model.family,
        hidden_size=model.hidden_size,
        layers=model.layers,
        parameters=model.parameters,
        weights_digest=model.weights_digest,
        base_lineage=model.base_lineage,
    )


def model_from_wire(message: agent_pb2.ModelCard) -> ModelCard:
    """The model card of a message.

    Raises:
        PacketError: a size is not positive.
    """
    return ModelCard(
        family=message.family,
        hidden_size=message.hidden_size,
        layers=message.layers,
        parameters=message.parameters,
        weights_digest=message.weights_digest,
        base_lineage=tuple(message.base_lineage),
    )


def sign_card(card: AgentCard, signer: Signer) -> Envelope:
    """A card in an envelope, signed with the key that is on it."""
    payload = card_to_wire(card).SerializeToString(deterministic=True)
    return sign_envelope(CARD_TYPE, payload, signer)


def read_card(envelope: Envelope) -> AgentCard:
    """The card in an envelope that its own key signed: proves possession, not trust.

    Raises:
        TrustError: it is not signed, or not with the key that is on it.
        PacketError: it is no card.
    """
    signers = [signature.key_id for signature in envelope.signatures]
    key_id = signers[0] if signers else KeyId("nobody")
    card = card_from_wire(read(agent_pb2.AgentCard, verify_own(envelope, CARD_TYPE, key_id)))
    if card.key_id != key_id:
        raise BadSignatureError(
            f"expected a card signed by {card.key_id}, the key on it, found {key_id}; sign the"
            " card with its own key"
        )
    return card


def verify_card(envelope: Envelope, trust: TrustStore) -> AgentCard:
    """The card in an envelope that a trusted agent signed for itself.

    Raises:
        TrustError: it is not signed by a trusted key, or about another agent or key.
        PacketError: it is no card.
    """
    verified = verify_envelope(envelope, trust, CARD_TYPE)
    card = card_from_wire(read(agent_pb2.AgentCard, verified.payload))
    if card.agent != verified.agent or card.key_id not in verified.signers:
        raise BadSignatureError(
            f"expected the card of {verified.agent}, who signed it, found that of {card.agent};"
            " an agent introduces itself alone"
        )
    return card


def receipt_to_bytes(receipt: Receipt) -> bytes:
    """The bytes of a receipt, to be signed as `RECEIPT_TYPE`."""
    return verdict_pb2.Receipt(
        transfer_id=receipt.transfer,
        student=receipt.student,
        domain=receipt.domain,
        packet_ids=receipt.packets,
        teachers=receipt.teachers,
        verdict=verdict_to_wire(receipt.verdict),
        head_before=receipt.head_before,
        head_after=receipt.head_after,
        meter=meter_to_wire(receipt.meter),
        probe_items=receipt.probe_items,
        issued_at_s=receipt.issued_at_s,
        unlearnt=receipt.unlearnt,
        audit_entries=receipt.audit_entries,
        audit_head=receipt.audit_head,
    ).SerializeToString(deterministic=True)


def receipt_from_bytes(raw: bytes) -> Receipt:
    """The receipt in `raw`.

    Raises:
        PacketError: `raw` is no receipt.
    """
    message = read(verdict_pb2.Receipt, raw)
    return Receipt(
        transfer=TransferId(message.transfer_id),
        student=agent_id(message.student),
        domain=message.domain,
        packets=tuple(PacketId(packet) for packet in message.packet_ids),
        teachers=tuple(AgentId(teacher) for teacher in message.teachers),
        verdict=verdict_from_wire(message.verdict),
        head_before=message.head_before,
        head_after=message.head_after,
        meter=meter_from_wire(message.meter),
        probe_items=message.probe_items,
        issued_at_s=message.issued_at_s,
        unlearnt=tuple(PacketId(name) for name in message.unlearnt),
        audit_entries=message.audit_entries,
        audit_head=message.audit_head,
    )


def sign_receipt(receipt: Receipt, signer: Signer) -> Envelope:
    """A receipt in an envelope."""
    return sign_envelope(RECEIPT_TYPE, receipt_to_bytes(receipt), signer)


def verify_receipt(envelope: Envelope, trust: TrustStore) -> Receipt:
    """The receipt in an envelope that the student signed.

    Raises:
        TrustError: it is not signed by a trusted key, or by another agent than its student.
        PacketError: it is no receipt.
    """
    verified = verify_envelope(envelope, trust, RECEIPT_TYPE)
    receipt = receipt_from_bytes(verified.payload)
    verified.require_signed_in_time(receipt.issued_at_s)
    if receipt.student != verified.agent:
        raise BadSignatureError(
            f"expected a receipt of {verified.agent}, who signed it, found one of"
            f" {receipt.student}; a student speaks for itself alone"
        )
    return receipt
