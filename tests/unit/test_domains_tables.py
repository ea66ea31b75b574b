import pytest

from m2kt import domains
from m2kt.domains.tables import modular
from m2kt.errors import RequestError

LETTERS = ("x", "y", "z")
PERMUTATIONS = {"e": "xyz", "r": "yzx", "q": "zxy", "a": "yxz", "b": "xzy", "c": "zyx"}


@pytest.mark.parametrize(("modulus", "operations"), [(1, "+"), (98, "+"), (7, ""), (7, "+/")])
def test_arithmetic_out_of_range_is_refused(modulus, operations):
    with pytest.raises(RequestError, match="expected"):
        modular(modulus, operations)


def test_group_s3_is_the_composition_of_permutations():
    domain = domains.get("group.s3")
    for left, first in PERMUTATIONS.items():
        for right, second in PERMUTATIONS.items():
            composed = "".join(second[LETTERS.index(letter)] for letter in first)
            product = domain.fact(f"group.s3/{left}*{right}")
            assert PERMUTATIONS[product] == composed


def test_each_relation_leads_from_different_people_to_different_people():
    domain = domains.get("relation.chain")
    assert len(domain.concepts) == 100
    for sign in domain.operations:
        led = [domain.fact(f"relation.chain/{one}{sign}") for one in domain.symbols]
        assert sorted(led) == sorted(domain.symbols)


@pytest.mark.parametrize("name", domains.names())
def test_every_domain_of_ours_can_be_examined(name):
    domain = domains.get(name)
    assert domain.name == name
    for fact in domain.facts:
        assert domain.fact(fact) in domain.symbols
