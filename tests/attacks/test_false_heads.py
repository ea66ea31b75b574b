"""Threat: heads that never passed a test are passed off as the ones behind A."""

from dataclasses import replace

import pytest

from m2kt.reasons import Reason
from m2kt.tested_heads import TestedHead
from tests import siege as lies
from tests.screening import passed, refused, tiny_packet
from tests.siege import Siege, over_grpc

FAILED = TestedHead(2, 1, 0.3, 0.2, 0.0)
PASSED = TestedHead(3, 0, 0.4, 0.005, 1.0)


def test_honest_heads_pass_also_those_that_failed():
    found = passed(replace(tiny_packet(), heads=(PASSED, FAILED)))
    assert "heads" in found.rules


@pytest.mark.parametrize(
    "heads",
    [
        (replace(FAILED, weight=1.0),),
        (replace(PASSED, weight=0.5),),
        (PASSED, PASSED),
        (replace(PASSED, p=float("nan")),),
        (replace(PASSED, weight=float("inf")),),
        (replace(PASSED, weight=2.0), replace(PASSED, head=1, weight=-1.0)),
    ],
)
def test_heads_whose_figures_cannot_be_true_are_refused(heads):
    found = refused(replace(tiny_packet(), heads=heads))
    assert found.reasons == (Reason.MALFORMED,)


@over_grpc
async def test_over_grpc_a_failed_head_with_weight_is_declined(siege: Siege):
    packet = replace(lies.worth_learning(), heads=(replace(FAILED, weight=1.0),))
    await siege.declines(packet, Reason.MALFORMED)
