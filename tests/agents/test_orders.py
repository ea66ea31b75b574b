"""What a student was asked to learn: what makes sense, and how its journal keeps it."""

import json
import math

import pytest

from m2kt.errors import RequestError
from m2kt.identity import TransferId
from m2kt.journal import Transfer
from m2kt_agents.orders import LearnOrder, collection_of, order_from_json


def order(**named) -> LearnOrder:
    return LearnOrder(**{"domain": "d", "key": "k", "teachers": ("a:1", "b:2"), **named})


def test_an_order_survives_the_journal():
    late = order(follow_up=True, broker="c:3").following(TransferId("t"), ["a:1", "packet b3:0"])
    for its in (order(), order(quorum=2, collect_s=0.5), late):
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


def test_an_order_that_follows_names_what_is_late_and_has_a_key_of_its_own():
    first = order(quorum=2, collect_s=9.0, follow_up=True, broker="c:3", discover=True)
    late = first.following(TransferId("t"), ["b:2", "packet b3:0"])
    assert (late.teachers, late.packets, late.broker) == (("b:2",), ("b3:0",), "c:3")
    assert late.sources == ("b:2", "packet b3:0")
    assert (late.follows, late.quorum, late.follow_up, late.discover) == ("t", 2, False, False)
    assert late.key == first.following(TransferId("t"), ["b:2"]).key
    assert late.key != first.key
    many = [f"a:{port}" for port in range(40)]
    assert len(first.following(TransferId("t"), many).teachers) == 40


def test_what_a_follow_up_collects_lies_with_what_the_first_transfer_collected():
    def record(name: str, its: LearnOrder) -> Transfer:
        return Transfer(
            id=TransferId(name),
            domain="d",
            request=its.to_json().encode(),
            created_at_s=1.0,
            updated_at_s=1.0,
        )

    first = order(follow_up=True)
    assert collection_of(record("t", first)) == "t"
    assert collection_of(record("u", first.following(TransferId("t"), ["a:1"]))) == "t"
