from functools import cache

import pytest

from m2kt.errors import RequestError
from m2kt.extractors import EXTRACTORS, Found, best, find
from m2kt.survey import Site
from tests.lessons import multiplication
from tests.surveys import asked


@cache
def found(extractor: str, groups: int = 0) -> Found:
    return find(asked(), extractor, groups=groups)


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_a_concept_is_made_of_facts_with_one_result(extractor):
    its = found(extractor)
    for members in its.members:
        assert len({multiplication().fact(fact) for fact in members}) == 1, members
    assert sorted(fact for members in its.members for fact in members) == sorted(set(asked().facts))
    assert its.purity > 0.9


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_layer_and_position_are_measured(extractor):
    its = found(extractor)
    assert set(its.measured) == set(asked().sites)
    assert its.site == Site(5, 0)
    assert its.measured[Site(0, 3)] < its.measured[its.site] - 0.3


def test_the_fewest_groups_that_tell_as_well_as_any_are_taken():
    its = found("clustering")
    close = [count for count, told in its.told.items() if told >= max(its.told.values()) - 0.01]
    assert len(its.members) <= min(close)
    assert min(its.told) < min(close), "fewer would have told less"


def test_as_many_as_are_wanted_are_found():
    assert len(found("clustering", 20).members) in range(15, 21)


def test_the_same_seed_finds_the_same():
    first, second = (find(asked(), "clustering", seed=5) for _ in range(2))
    assert first.members == second.members


def test_of_equal_sites_the_last_and_nearest_is_taken():
    measured = {Site(1, 0): 0.995, Site(2, 1): 1.0, Site(2, 0): 1.0, Site(3, 0): 0.9}
    assert best(measured) == Site(2, 0)


def test_an_unknown_extractor_is_refused():
    with pytest.raises(RequestError, match="clustering"):
        find(asked(), "magic")
