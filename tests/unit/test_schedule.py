import pytest

from m2kt.schedule import WINDOW, Schedule


def schedule(**named: float) -> Schedule:
    return Schedule(**({"most": 100, "warmup": 10, "descent": 20, "enough": 0.9} | named))


def test_it_warms_up_keeps_its_speed_and_descends():
    plan = schedule()
    rates = [plan.rate(step) for step in range(100)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert set(rates[9:81]) == {1.0}
    assert rates[80:] == sorted(rates[80:], reverse=True)
    assert rates[-1] == pytest.approx(0.05)


def test_the_descent_begins_when_practice_goes_right():
    plan = schedule()
    for step in range(30):
        plan.saw(step, 1.0 if step >= 20 else 0.0)
    assert plan.ends == 20 + WINDOW + 20


def test_practice_that_goes_right_now_and_then_is_not_enough():
    plan = schedule()
    for step in range(60):
        plan.saw(step, float(step % 2))
    assert plan.ends == 100


def test_it_never_takes_more_steps_than_allowed():
    plan = schedule(most=30)
    for step in range(30):
        plan.saw(step, 1.0 if step >= 22 else 0.0)
    assert plan.ends == 30


@pytest.mark.parametrize("most", [1, 2, 5])
def test_few_steps_are_enough_for_a_schedule(most):
    plan = schedule(most=most)
    assert all(0 < plan.rate(step) <= 1 for step in range(most))
