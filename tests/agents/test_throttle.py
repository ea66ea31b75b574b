"""One caller that calls too often, or too much at a time, is refused; others are not."""

import pytest

from m2kt.errors import BusyError, RequestError
from m2kt_agents import throttle
from m2kt_agents.settings import Limits
from m2kt_agents.throttle import Throttle


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def call(gate: Throttle, name: str) -> bool:
    try:
        with gate.held(name):
            return True
    except BusyError:
        return False


def test_after_a_burst_calls_come_at_the_rate_that_was_agreed(clock):
    gate = Throttle(Limits(calls_per_s=2.0, calls_burst=3), clock)
    assert [call(gate, "eve") for _ in range(5)] == [True, True, True, False, False]
    assert call(gate, "alice")
    clock.now_s = 0.4
    assert not call(gate, "eve")
    clock.now_s = 0.5
    assert [call(gate, "eve") for _ in range(2)] == [True, False]
    clock.now_s = 100.0
    assert [call(gate, "eve") for _ in range(5)] == [True, True, True, False, False]


def test_who_calls_too_often_is_told_when_to_call_again(clock):
    gate = Throttle(Limits(calls_per_s=2.0, calls_burst=1), clock)
    call(gate, "eve")
    with pytest.raises(BusyError, match=r"call again in 0\.50 s"), gate.held("eve"):
        pass


def test_only_so_many_calls_of_one_caller_run_at_a_time(clock):
    gate = Throttle(Limits(calls_per_caller=2), clock)
    with gate.held("eve"), gate.held("eve"):
        assert not call(gate, "eve")
        assert call(gate, "alice")
    assert call(gate, "eve")


def test_a_call_that_failed_is_over(clock):
    gate = Throttle(Limits(calls_per_caller=1), clock)
    with pytest.raises(ZeroDivisionError), gate.held("eve"):
        raise ZeroDivisionError
    assert call(gate, "eve")


def test_callers_that_are_quiet_are_forgotten_and_those_that_are_not_stay(clock, monkeypatch):
    monkeypatch.setattr(throttle, "MOST_CALLERS", 3)
    gate = Throttle(Limits(calls_burst=1, calls_per_s=1.0), clock)
    with gate.held("busy"):
        assert all(call(gate, f"caller-{n}") for n in range(50))
        assert len(gate._callers) <= 4
        assert not call(gate, "busy")
    for n in range(50):
        call(gate, f"later-{n}")
    assert "caller-0" not in gate._callers


@pytest.mark.parametrize("name", ["calls_per_s", "calls_burst", "calls_per_caller"])
def test_limits_that_let_nobody_in_are_refused(name):
    with pytest.raises(RequestError, match=name):
        Limits(**{name: 0})
