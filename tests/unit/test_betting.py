"""Capital grows when the hypothesis is wrong and, looked at whenever one likes, seldom else."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2kt.betting import BETS, capital, p_value

observations = st.lists(st.floats(-1, 1), max_size=60)
limits = st.floats(-0.5, 0.5)


def test_one_bet_is_won_or_lost():
    assert capital([], at_most=0.0) == 1.0
    assert capital([1.0], at_most=0.0) == pytest.approx(1.5)  # the mean bet is one half
    assert capital([-1.0], at_most=0.0) == pytest.approx(0.5)
    assert capital([0.25], at_most=0.25) == pytest.approx(1.0)
    assert capital([1.0], at_most=-0.5) == pytest.approx(1 + 0.5 * 1.5 / 0.5)


@given(observations, limits)
def test_capital_is_never_lost_altogether_and_a_p_value_is_a_probability(observed, limit):
    assert capital(observed, at_most=limit) > 0
    assert 0 < p_value(observed, at_most=limit) <= 1


@given(observations, limits)
def test_order_does_not_matter(observed, limit):
    there, back = (capital(its, at_most=limit) for its in (observed, observed[::-1]))
    assert there == pytest.approx(back)


@given(observations, limits)
def test_a_win_more_is_never_against_it(observed, limit):
    assert capital([*observed, 1.0], at_most=limit) >= capital(observed, at_most=limit)


@given(observations)
def test_nobody_wins_on_both_sides(observed):
    ways = [capital(observed, at_most=0.0), capital([-x for x in observed], at_most=0.0)]
    assert min(ways) <= 1


def walk(rng: random.Random, chances: tuple[float, float], items: int) -> list[float]:
    """Capital after each of `items` draws of +1 and -1, else 0, against a mean of at most 0."""
    held, found = [1.0] * len(BETS), []
    for _ in range(items):
        drawn = rng.random()
        x = 1 if drawn < chances[0] else -1 if drawn < sum(chances) else 0
        held = [its * (1 + bet * x) for its, bet in zip(held, BETS, strict=True)]
        found.append(math.fsum(held) / len(held))
    return found


@pytest.mark.parametrize("chance", [0.02, 0.14, 0.5])
def test_a_true_hypothesis_is_rejected_in_one_of_twenty_cases_at_most_at_any_time(chance):
    rng = random.Random(0)
    rejected = sum(max(walk(rng, (chance, chance), 300)) >= 20 for _ in range(1000))
    assert rejected <= 50


def test_a_wrong_hypothesis_is_found_out_the_sooner_the_more_it_is_wrong():
    rng = random.Random(1)

    def needed(chances: tuple[float, float]) -> float:
        walks = [walk(rng, chances, 600) for _ in range(200)]
        first = [next((n for n, its in enumerate(w) if its >= 20), 600) for w in walks]
        return sorted(first)[100]

    much, some = needed((0.9, 0.02)), needed((0.2, 0.05))
    assert much < 8
    assert much < some < 150
