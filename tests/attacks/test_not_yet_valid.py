"""Threat: a packet dated ahead, to outlive its time or the revocation of its key."""

import time as clock
from dataclasses import replace

import pytest
from sealing import HEADER, NOW_S, Student, encoded, refused, signer

from m2kt.reasons import Reason
from m2kt.wire.chunks import seal
from tests.siege import Siege, over_grpc


@pytest.mark.parametrize("ahead_s", [6.0, 3600.0, 1e9])
def test_a_packet_from_the_future_is_refused(ahead_s):
    dated = replace(HEADER, issued_at_s=NOW_S + ahead_s)
    with refused(Reason.NOT_YET_VALID):
        Student().admits(seal(encoded(), signer(), dated).envelope)


def test_clocks_may_differ_by_five_seconds():
    dated = replace(HEADER, issued_at_s=NOW_S + 4.5)
    assert Student().admits(seal(encoded(), signer(), dated).envelope)


def test_a_packet_without_a_time_is_refused():
    with refused(Reason.MALFORMED):
        timeless = replace(HEADER, issued_at_s=float("nan"))
        Student().admits(seal(encoded(), signer(), timeless).envelope)


@over_grpc
async def test_over_grpc_a_packet_from_the_future_is_refused(siege: Siege):
    await siege.refuses(Reason.NOT_YET_VALID, issued_at_s=clock.time() + 7200)
