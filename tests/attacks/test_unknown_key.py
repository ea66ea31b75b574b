"""Threat: a stranger offers a packet."""

from dataclasses import replace

from sealing import HEADER, Student, encoded, refused, sealed, signer

from m2kt.reasons import Reason
from m2kt.trust import TrustStore
from m2kt.wire.chunks import seal
from tests import siege as lies
from tests.siege import Siege, over_grpc


def test_a_packet_signed_by_a_stranger_is_refused():
    with refused(Reason.UNKNOWN_KEY):
        Student().admits(seal(encoded(), signer(666), HEADER).envelope)


def test_a_student_that_trusts_nobody_takes_nothing():
    with refused(Reason.UNKNOWN_KEY):
        Student(trust=TrustStore()).admits(sealed().envelope)


def test_a_packet_that_nobody_signed_is_refused():
    with refused(Reason.UNKNOWN_KEY):
        Student().admits(replace(sealed().envelope, signatures=()))


@over_grpc
async def test_over_grpc_a_stranger_is_refused(siege: Siege):
    await siege.refuses(Reason.UNKNOWN_KEY, signer=lies.stranger())


@over_grpc
async def test_over_grpc_a_packet_that_nobody_signed_is_refused(siege: Siege):
    await siege.refuses(
        Reason.UNKNOWN_KEY, spoil_envelope=lambda envelope: replace(envelope, signatures=())
    )
