"""Threat: the answer to an earlier request, or to somebody else's, is given to this one."""

from dataclasses import replace

import pytest
from sealing import EXPECTED, HEADER, NONCE, Student, encoded, refused, sealed, signer

from m2kt.reasons import Reason
from m2kt.wire.chunks import seal
from tests.siege import Siege, over_grpc


@pytest.mark.parametrize("nonce", [b"", NONCE[:-1], NONCE + b"\0", NONCE[::-1]])
def test_a_packet_that_answers_another_request_is_refused(nonce):
    stale = replace(HEADER, nonce=nonce)
    with refused(Reason.WRONG_NONCE):
        Student().admits(seal(encoded(), signer(), stale).envelope)


def test_the_answer_to_a_live_request_is_no_packet_at_rest():
    with refused(Reason.WRONG_NONCE):
        Student(expectations=replace(EXPECTED, nonce=b"")).admits(sealed().envelope)


@over_grpc
@pytest.mark.parametrize("nonce", [b"", b"x" * 32])
async def test_over_grpc_a_packet_that_answers_another_request_is_refused(siege: Siege, nonce):
    await siege.refuses(Reason.WRONG_NONCE, nonce=nonce)
