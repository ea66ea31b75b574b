from typing import Any

from m2kt.bench.spread import bootstrap, summary


def result(mean: float, **unseen: float) -> dict[str, Any]:
    count = round(10 * mean)
    return {
        "mean": mean,
        "levels": [2] * 10 + [3] * 10,
        "right": ([1] * count + [0] * (10 - count)) * 2,
        "unseen": unseen,
    }


def test_an_interval_is_of_seeds_and_of_problems():
    assert bootstrap([result(1.0)]) == [1.0, 1.0]
    low, high = bootstrap([result(0.2), result(0.8)])
    assert low < 0.3
    assert high > 0.7


def test_a_summary_is_over_seeds_and_leaves_out_who_has_no_unseen_facts():
    found = summary([result(0.2, needed=0.5), result(0.8)])
    assert (found["accuracy"], found["by_seed"], found["unseen"]) == (0.5, [0.2, 0.8], 0.5)
    assert summary([result(0.2)])["unseen"] is None
