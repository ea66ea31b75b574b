"""Threat: a packet that was accepted once is offered again, to be learnt twice."""

from dataclasses import replace

from packets import trusting
from sealing import Student, refused, sealed, signer

from m2kt.reasons import Reason
from m2kt.signing import sign_envelope
from m2kt.wire.manifest import MANIFEST_TYPE

SEEN = frozenset({sealed().packet_id})


def test_a_packet_that_was_seen_is_refused():
    with refused(Reason.REPLAYED):
        Student(seen=SEEN).admits(sealed().envelope)


def test_more_signatures_make_it_no_other_packet():
    student = Student(trust=trusting(signer(1), signer(2)), seen=SEEN)
    twice = sign_envelope(MANIFEST_TYPE, sealed().envelope.payload, signer(2), signer(1))
    with refused(Reason.REPLAYED):
        student.admits(twice)


def test_unsigned_additions_make_it_no_other_packet():
    envelope = sealed().envelope
    doubled = replace(envelope, signatures=envelope.signatures * 2)
    with refused(Reason.REPLAYED):
        Student(seen=SEEN).admits(doubled)
