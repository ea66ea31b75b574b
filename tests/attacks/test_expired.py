"""Threat: an old packet is kept back and offered when its teacher has long thought better."""

import time as clock
from dataclasses import replace

import pytest
from sealing import EXPECTED, HEADER, NOW_S, Student, encoded, refused, sealed, signed, signer
from sealing import manifest_message as message_of

from m2kt.reasons import Reason
from m2kt.wire.chunks import seal
from tests.siege import Siege, over_grpc


@pytest.mark.parametrize("after_s", [5.0, 3600.0, 1e12])
def test_an_expired_packet_is_refused(after_s):
    late = Student(expectations=replace(EXPECTED, now_s=NOW_S + HEADER.ttl_s + after_s))
    with refused(Reason.EXPIRED):
        late.admits(sealed().envelope)


@pytest.mark.parametrize("ttl_s", [7 * 86400 + 1.0, 1e300, float("inf")])
def test_a_packet_that_hardly_ever_expires_is_refused(ttl_s):
    with refused(Reason.MALFORMED):
        Student().admits(seal(encoded(), signer(), replace(HEADER, ttl_s=ttl_s)).envelope)


@pytest.mark.parametrize("expires_at_s", [float("nan"), NOW_S, NOW_S - 1, -1.0])
def test_a_packet_with_an_impossible_expiry_is_refused(expires_at_s):
    forged = message_of()
    forged.expires_at_s = expires_at_s
    with refused(Reason.MALFORMED):
        Student().admits(signed(forged))


@over_grpc
@pytest.mark.parametrize("ago_s", [70.0, 7200.0])
async def test_over_grpc_an_expired_packet_is_refused(siege: Siege, ago_s):
    await siege.refuses(Reason.EXPIRED, issued_at_s=clock.time() - ago_s, ttl_s=60.0)
