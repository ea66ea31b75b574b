"""Numbers of the protocol's enumerations: known ones stand for something, others are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2kt.errors import PacketError
from m2kt.reasons import Reason
from m2kt.wire.numbers import reason_from_wire, reason_to_wire, value_of

COLOURS = {1: "red", 2: "green"}


def test_a_known_number_is_what_it_stands_for():
    assert [value_of(COLOURS, number, "a colour") for number in (1, 2)] == ["red", "green"]


@given(st.integers().filter(lambda number: number not in COLOURS))
def test_an_unknown_number_is_refused_in_words(number):
    with pytest.raises(PacketError, match=f"expected a colour of 1 to 2, found {number}; speak"):
        value_of(COLOURS, number, "a colour")


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_survives_its_number(reason):
    assert reason_from_wire(reason_to_wire(reason)) is reason


@pytest.mark.parametrize("number", [0, -1, 9999])
def test_a_number_of_no_reason_is_refused(number):
    with pytest.raises(PacketError, match="a reason"):
        reason_from_wire(number)
