import math

import pytest

from m2kt.errors import PacketError
from m2kt.tested_heads import TestedHead, faults

GOOD = (TestedHead(3, 0, 0.4, 0.005, 0.8), TestedHead(3, 1, 0.1, 0.005, 0.2))


def test_heads_that_passed_share_the_weight():
    assert list(faults(GOOD)) == []
    assert list(faults(())) == []


def test_that_none_passed_is_no_fault():
    assert list(faults((TestedHead(0, 0, 0.3, 0.4, 0.0), TestedHead(0, 1, -0.1, 1.0, 0.0)))) == []


@pytest.mark.parametrize(
    ("head", "fault"),
    [
        (TestedHead(3, 0, 0.4, 0.005, 0.8), "twice"),
        (TestedHead(0, 0, math.nan, 0.5, 0.0), "finite figures of head 0 of layer 0"),
        (TestedHead(0, 0, 0.1, math.inf, 0.0), "finite"),
        (TestedHead(0, 0, 0.1, 0.5, math.nan), "finite"),
        (TestedHead(0, 0, 0.1, 1.5, 0.0), "from 0 to 1"),
        (TestedHead(0, 0, 0.1, -0.5, 0.0), "from 0 to 1"),
        (TestedHead(0, 0, 0.1, 0.001, -0.2), "from 0 to 1"),
        (TestedHead(0, 0, 0.1, 0.01, 0.1), "no weight for head 0 of layer 0"),
        (TestedHead(0, 0, 0.1, 0.005, 0.3), "sum to 1, found 1.3"),
    ],
)
def test_each_thing_that_cannot_be_true_is_a_fault(head, fault):
    found = list(faults((*GOOD, head)))
    assert any(fault in sentence for sentence in found), found


def test_weights_that_sum_to_less_are_a_fault():
    assert "sum to 1" in next(faults(GOOD[:1]))


@pytest.mark.parametrize("place", [(-1, 0), (0, -1)])
def test_a_head_has_a_place(place):
    with pytest.raises(PacketError, match="from 0 up"):
        TestedHead(*place, 0.1, 0.5, 0.0)
