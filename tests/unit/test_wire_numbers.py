"""Numbers of the protocol's enumerations: known ones stand for something, others are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2kt.errors import PacketError
from m2kt.wire.numbers import value_of

COLOURS = {1: "red", 2: "green"}


def test_a_known_number_is_what_it_stands_for():
    assert [value_of(COLOURS, number, "a colour") for number in (1, 2)] == ["red", "green"]


@given(st.integers().filter(lambda number: number not in COLOURS))
def test_an_unknown_number_is_refused_in_words(number):
    with pytest.raises(PacketError, match=f"expected a colour of 1 to 2, found {number}; speak"):
        value_of(COLOURS, number, "a colour")
