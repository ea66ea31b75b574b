"""Bytes on their way: how many one lesson may have, shared by its sources."""

import pytest

from m2kt.errors import OversizeError
from m2kt_agents.spool import Allowance, Slot


def test_sources_share_what_earlier_packets_have_left():
    allowance = Allowance(100, spent=30)
    first, second = Slot("first", allowance), Slot("second", allowance)
    first.reserve(40)
    with pytest.raises(OversizeError, match=r"at most 30 bytes.* of 100 .*found 31"):
        second.reserve(31)
    second.reserve(30)


def test_a_source_that_promises_anew_or_fails_gives_back_what_it_had():
    allowance = Allowance(100)
    slot = Slot("first", allowance)
    slot.reserve(90)
    slot.reserve(100)
    slot.release()
    Slot("second", allowance).reserve(100)


def test_a_lesson_that_is_full_already_takes_nothing_more():
    with pytest.raises(OversizeError, match="at most 0 bytes"):
        Allowance(100, spent=120).reserve("first", 1)
