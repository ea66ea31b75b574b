"""Threat: somebody signs a packet as a teacher that is trusted, but with another key."""

from dataclasses import replace

from packets import STUDENT, TEACHER
from sealing import HEADER, Student, encoded, manifest_message, refused, sealed, signed, signer

from m2kt.identity import AgentId
from m2kt.reasons import Reason
from m2kt.signing import Envelope, Signature, sign_envelope
from m2kt.trust import TrustStore
from m2kt.wire.chunks import seal
from tests import siege as lies
from tests.siege import Siege, over_grpc


def test_a_signature_by_another_key_under_the_trusted_key_id_is_refused():
    honest = sealed().envelope
    by_mallory = seal(encoded(), signer(666), HEADER).envelope.signatures[0].signature
    forged = replace(honest, signatures=(Signature(signer().key_id, by_mallory),))
    with refused(Reason.BAD_SIGNATURE):
        Student().admits(forged)


def test_a_trusted_agent_cannot_sign_in_the_name_of_another():
    both = TrustStore().enrol(signer().key_id, TEACHER).enrol(signer(2).key_id, STUDENT)
    with refused(Reason.BAD_SIGNATURE):
        Student(trust=both).admits(signed(manifest_message(), signer(2)))


def test_a_signature_of_another_manifest_is_refused():
    other = seal(encoded(), signer(), replace(HEADER, sequence=2)).envelope
    with refused(Reason.BAD_SIGNATURE):
        Student().admits(replace(sealed().envelope, signatures=other.signatures))


def signed_by_mallory(envelope: Envelope) -> Envelope:
    """The teacher's key id over a signature by another key."""
    forged = sign_envelope(envelope.payload_type, envelope.payload, lies.stranger())
    name = envelope.signatures[0].key_id
    return replace(envelope, signatures=(Signature(name, forged.signatures[0].signature),))


@over_grpc
async def test_over_grpc_a_signature_by_another_key_is_refused(siege: Siege):
    await siege.refuses(Reason.BAD_SIGNATURE, spoil_envelope=signed_by_mallory)


@over_grpc
async def test_over_grpc_a_trusted_key_in_the_name_of_another_is_refused(siege: Siege):
    impostor = AgentId("impostor")
    await siege.refuses(
        Reason.BAD_SIGNATURE, edit=lambda manifest: replace(manifest, teacher=impostor)
    )
