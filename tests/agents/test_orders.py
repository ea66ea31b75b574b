"""What a student was asked to learn: what makes sense, and how its journal keeps it."""

import json
import math

import pytest

from m2kt.errors import RequestError
from m2kt_agents.orders import LearnOrder, order_from_json


def order(**named) -> LearnOrder:
    return LearnOrder(**{"domain": "d", "key": "k", "teachers": ("a:1", "b:2"), **named})


def test_an_order_survives_the_journal():
    for its in (order(), order(quorum=2, collect_s=0.5)):
        assert order_from_json(its.to_json()) == its


def test_an_order_that_asks_for_nothing_new_is_kept_as_the_first_orders_were():
    fields = {"broker", "discover", "domain", "key", "pushed", "strategy", "teachers"}
    assert set(json.loads(order().to_json())) == fields


@pytest.mark.parametrize("seconds", [-1.0, math.inf, math.nan])
def test_a_deadline_is_a_number_of_seconds(seconds):
    with pytest.raises(RequestError, match="collect_s"):
        order(collect_s=seconds)


def test_no_more_packets_are_wanted_than_there_are_teachers_unless_a_broker_knows_more():
    with pytest.raises(RequestError, match="at most 2"):
        order(quorum=3)
    assert order(quorum=3, broker="c:3", discover=True).quorum == 3


def test_the_students_own_limits_hold_whatever_is_asked_for():
    assert [order(quorum=2).quorum_for(own) for own in (1, 3)] == [2, 3]
    assert [order(collect_s=5.0).patience_s(own_s) for own_s in (9.0, 2.0)] == [5.0, 2.0]
    assert order().patience_s(9.0) is None
