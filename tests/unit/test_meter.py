"""Meters add up."""

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from m2kt.meter import DataMeter

meters = st.builds(DataMeter, *[st.integers(0, 2**60)] * len(fields(DataMeter)))


@given(meters, meters, meters)
def test_adding_is_associative_and_commutative_and_nothing_adds_nothing(one, two, three):
    assert (one + two) + three == one + (two + three)
    assert one + two == two + one
    assert one + DataMeter() == one


@given(meters, meters)
def test_every_count_is_added_to_its_own(one, two):
    for field in fields(DataMeter):
        total = getattr(one, field.name) + getattr(two, field.name)
        assert getattr(one + two, field.name) == total


def test_counts_come_in_the_order_of_the_attributes():
    assert DataMeter(*range(9)).counts() == tuple(range(9))
    assert DataMeter(labels=1, bytes=2).counts() == (1, 0, 0, 0, 0, 0, 0, 0, 2)
