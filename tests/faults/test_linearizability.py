"""The checker of histories itself: known ones, made ones, and all orders tried one by one."""

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.linearizability import Call, linearization


def register(state, call):
    """A register that is read, written, and compared and set."""
    kind, *values = call.asked
    if kind == "write":
        return [values[0]]
    if kind == "read":
        return [state] if call.told in (state, None) else []
    old, new = values
    told = state == old
    return [new if told else state] if call.told in (told, None) else []


def read(value, since, until=math.inf):
    return Call(("read",), value, since, until)


def write(value, since, until=math.inf):
    return Call(("write", value), None, since, until)


def cas(old, new, told, since, until=math.inf):
    return Call(("cas", old, new), told, since, until)


LINEARIZABLE = {
    "nothing": [],
    "a read of the first value": [read(0, 0, 1)],
    "reads beside a write see either": [write(1, 0, 9), read(0, 1, 2), read(1, 3, 4)],
    "overlapping writes in any order": [write(1, 0, 9), write(2, 0, 9), read(1, 10, 11)],
    "a write that never returned was seen": [write(1, 0), read(0, 1, 2), read(1, 3, 4)],
    "a write that never returned had no effect": [write(1, 0), read(0, 5, 6)],
    "one of two who compare": [cas(0, 1, True, 0, 5), cas(0, 2, False, 1, 6), read(1, 7, 8)],
    "a chain against the order of calls": [cas(1, 2, True, 0, 9), cas(0, 1, True, 1, 8)],
    "a call that begins as another ends": [write(1, 0, 1), read(0, 1, 2)],
}
NOT_LINEARIZABLE = {
    "a value that nobody wrote": [read(7, 0, 1)],
    "a stale read": [write(1, 0, 1), read(0, 2, 3)],
    "new, then old again": [write(1, 0, 9), read(1, 1, 2), read(0, 3, 4)],
    "two readers in two orders": [
        *(write(1, 0, 9), write(2, 0, 9)),
        *(read(1, 10, 11), read(2, 12, 13)),
    ],
    "both who compare": [cas(0, 1, True, 0, 5), cas(0, 2, True, 1, 6)],
    "a lost update": [cas(0, 1, True, 0, 1), cas(1, 2, True, 2, 3), read(1, 4, 5)],
    "an effect that came and went": [write(1, 0), read(1, 1, 2), read(0, 3, 4)],
    "a refusal without cause": [cas(0, 1, False, 0, 1)],
}


@pytest.mark.parametrize("history", LINEARIZABLE.values(), ids=LINEARIZABLE)
def test_a_history_that_has_an_order_is_given_one(history):
    assert linearization(history, register, 0) is not None


@pytest.mark.parametrize("history", NOT_LINEARIZABLE.values(), ids=NOT_LINEARIZABLE)
def test_a_history_that_has_no_order_is_given_none(history):
    assert linearization(history, register, 0) is None


def allowed(order, state=0) -> bool:
    """Whether an order is one that time and the register allow; by the definition."""
    for i, call in enumerate(order):
        if any(later.returned_at < call.invoked_at for later in order[i + 1 :]):
            return False
        followers = register(state, call)
        if not followers:
            return False
        [state] = followers
    return True


def by_trying(history) -> bool:
    """Whether any order of the calls that returned, and some of the others, is allowed."""
    returned = [call for call in history if call.returned_at < math.inf]
    others = [call for call in history if call.returned_at == math.inf]
    chosen = (some for n in range(len(others) + 1) for some in itertools.combinations(others, n))
    orders = (order for some in chosen for order in itertools.permutations((*returned, *some)))
    return any(allowed(order) for order in orders)


small = st.integers(0, 2)


@st.composite
def calls(draw):
    since = draw(st.integers(0, 6))
    until = draw(st.one_of(st.just(math.inf), st.integers(since + 1, 9)))
    call = draw(
        st.one_of(
            st.builds(read, small, st.just(since), st.just(until)),
            st.builds(write, small, st.just(since), st.just(until)),
            st.builds(cas, small, small, st.booleans(), st.just(since), st.just(until)),
        )
    )
    return call if until < math.inf else replace(call, told=None)


@given(st.lists(calls(), max_size=5))
def test_the_search_finds_what_trying_all_orders_finds(history):
    found = linearization(history, register, 0)
    assert (found is not None) == by_trying(history)
    assert found is None or allowed(found)


@given(st.lists(st.tuples(calls(), st.floats(0, 3), st.floats(0, 3)), max_size=24))
def test_calls_that_took_effect_one_after_the_other_always_have_an_order(plan):
    state, history = 0, []
    for moment, (call, earlier, later) in enumerate(plan):
        kind, *values = call.asked
        told = {"read": state, "write": None, "cas": values[:1] == [state]}[kind]
        done = Call(call.asked, told, moment - earlier, moment + later)
        [state] = register(state, done)
        history.append(done)
    assert linearization(history, register, 0) is not None
