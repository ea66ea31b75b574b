import pytest

from m2kt.schedule import AGAIN, SLOWEST, Schedule


def schedule(**named: float) -> Schedule:
    usual = {"most": 100, "warmup": 10, "descent": 20, "settled": 0.6, "enough": 0.9}
    return Schedule(**(usual | named))


def taken(plan: Schedule, right: list[float]) -> list[float]:
    """The rate of every step that is taken while practice goes as `right` says."""
    rates, step = [], 0
    while step < plan.ends:
        rates.append(plan.rate(step))
        plan.saw(step, right[min(step, len(right) - 1)])
        step += 1
    return rates


def test_it_warms_up_keeps_its_speed_and_descends():
    rates = taken(schedule(), [0.0])
    assert len(rates) == 100
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert set(rates[9:81]) == {1.0}
    assert rates[80:] == sorted(rates[80:], reverse=True)
    assert rates[-1] == pytest.approx(0.05)


def test_the_descent_begins_when_practice_goes_mostly_right_and_ends_if_it_goes_right_then():
    rates = taken(schedule(), [0.0] * 30 + [0.6] * 10 + [0.95])
    assert len(rates) == 31 + 20
    assert set(rates[10:31]) == {1.0}


def test_what_is_not_enough_at_the_end_of_a_descent_leads_to_another_round():
    rates = taken(schedule(), [0.7] * 45 + [1.0])
    assert len(rates) == 1 + 20 + 20 + 20
    assert rates[20] < rates[21] == AGAIN
    assert rates[40] < rates[41] == AGAIN


@pytest.mark.parametrize("right", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("most", [1, 2, 5, 30])
def test_it_never_takes_more_steps_than_allowed(most, right):
    rates = taken(schedule(most=most), [right])
    assert len(rates) <= most
    assert all(SLOWEST <= rate <= 1 for rate in rates)
