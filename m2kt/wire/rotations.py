"""A new packet key in the place of an old one, in a statement that both keys signed.

Owns: `sign_rotation`, `accept_rotation`.
Does not own: what is trusted then (m2kt.trust), the key files (agents). Free of torch.
"""

import math
from typing import Final

from google.protobuf.message import DecodeError

from m2kt.errors import BadSignatureError, FuturePacketError, PacketError
from m2kt.identity import AgentId, KeyId
from m2kt.signing import Envelope, Signer, sign_envelope, verify_own
from m2kt.trust import TrustStore
from m2kt.wire.v1 import agent_pb2 as pb

ROTATION_TYPE: Final = "application/vnd.m2kt.rotation.v1+protobuf"
SKEW_S: Final = 300.0


def sign_rotation(agent: AgentId, old: Signer, new: Signer, *, at_s: float) -> Envelope:
    """The statement that `new` takes the place of `old`.

    Args:
        agent: Whose keys they are.
        old: The key that others know.
        new: The key from now on.
        at_s: Unix time, seconds: now.
    """
    message = pb.KeyRotation(
        agent=agent, old_key_id=old.key_id, new_key_id=new.key_id, issued_at_s=at_s
    )
    payload = message.SerializeToString(deterministic=True)
    return sign_envelope(ROTATION_TYPE, payload, old, new)


def accept_rotation(envelope: Envelope, trust: TrustStore, *, now_s: float) -> TrustStore:
    """`trust`, with the new key for all that the old one was trusted for.

    Raises:
        TrustError: one of the two keys did not sign it, or the old one is not trusted.
        PacketError: it is no rotation.
        RequestError: it was accepted before, or its new key is known.
    """
    signers = {signature.key_id for signature in envelope.signatures}
    if len(signers) != 2:
        raise BadSignatureError(
            f"expected a rotation signed by two keys, found {len(signers)}; ask the owner for the"
            " file that m2kt keys rotate has written"
        )
    payloads = [verify_own(envelope, ROTATION_TYPE, key_id) for key_id in signers]
    try:
        message = pb.KeyRotation.FromString(payloads[0])
    except DecodeError as error:
        raise PacketError(
            f"expected a rotation, found {error}; ask the owner for another"
        ) from error
    old, new = KeyId(message.old_key_id), KeyId(message.new_key_id)
    if {old, new} != signers or trust.agent_of(old) != message.agent:
        raise BadSignatureError(
            f"expected a rotation of {trust.agent_of(old)}'s key {old} signed by both keys, found"
            f" one of {message.agent[:80]!r} signed by {', '.join(sorted(signers))}; an agent"
            " replaces its own keys alone"
        )
    if not math.isfinite(message.issued_at_s):  # the old key would be believed for ever
        raise PacketError(
            f"expected a rotation with a time of issue, found {message.issued_at_s}; ask the owner"
            " for another"
        )
    if message.issued_at_s > now_s + SKEW_S:
        raise FuturePacketError(
            f"expected a rotation signed by now, found one signed {message.issued_at_s - now_s:.0f}"
            " s from now; set both clocks right"
        )
    return trust.rotate(old, new, message.issued_at_s)
