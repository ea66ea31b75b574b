"""Rules of combining: what is refused, how many may be hostile, how many votes are needed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2kt.combine_config import CombineRules
from m2kt.errors import RequestError
from m2kt.premix import PREMIXES
from m2kt.spaces import SPACES
from m2kt.strategies import STRATEGIES


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("space", SPACES)
def test_every_strategy_goes_with_every_space(strategy, space):
    rules = CombineRules(strategy=strategy, space=space, before=tuple(PREMIXES))
    assert rules.fewest() == 1


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"strategy": "loudest"}, "geometric_median"),
        ({"before": ("norm_clip", "shouting")}, "norm_clip, nnm, bucketing.*shouting"),
        ({"space": "outer"}, "anchor_ridge, procrustes, relative.*outer"),
        ({"alpha": -0.1}, "from 0 to 1, found -0.1"),
        ({"akin": 1.5}, "found 0.05, 1.5"),
        ({"max_unsettled": float("nan")}, "nan"),
    ],
)
def test_what_is_unknown_or_out_of_range_is_refused(setting, words):
    with pytest.raises(RequestError, match=words):
        CombineRules(**setting)


def test_by_default_a_quarter_of_the_voters_may_be_hostile():
    found = [CombineRules().bound(voters) for voters in range(10)]
    assert found == [0, 0, 0, 0, 0, 1, 1, 1, 1, 2]


@given(st.integers(0, 9), st.integers(0, 99))
def test_a_number_that_is_given_holds_for_any_number_of_voters(hostile, voters):
    assert CombineRules(hostile=hostile).bound(voters) == hostile


@given(st.integers(1, 1000))
def test_by_default_the_rule_has_the_voters_that_its_guarantee_needs(voters):
    rules = CombineRules()
    assert STRATEGIES[rules.strategy].fewest(rules.bound(voters)) <= voters


@pytest.mark.parametrize(
    ("strategy", "hostile", "fewest"),
    [
        ("geometric_median", -1, 1),
        ("geometric_median", 0, 1),
        ("geometric_median", 1, 3),
        ("krum", 2, 5),
        ("bulyan", 1, 7),
        ("mean", 3, 1),
    ],
)
def test_with_a_number_of_hostile_voters_a_concept_needs_the_votes_of_its_rule(
    strategy, hostile, fewest
):
    assert CombineRules(strategy=strategy, hostile=hostile).fewest() == fewest
