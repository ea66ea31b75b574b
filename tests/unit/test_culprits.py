"""Who must be hostile: in every explanation, not in the smallest one."""

import pytest

from m2kt import culprits
from m2kt.culprits import implicated

LIARS = {8, 9}


def against_liars(*honest: int):
    return [set(honest), LIARS]


def test_of_two_against_two_nobody_must_be_hostile():
    assert implicated([against_liars(1, 4)], 2) == frozenset()


def test_who_differs_from_more_than_could_be_hostile_is():
    assert implicated([against_liars(1, 4), against_liars(2)], 2) == LIARS
    assert implicated([[{1}, {6}], [{2}, {6}]], 1) == {6}


def test_the_smallest_explanation_proves_nothing_if_there_is_another():
    assert implicated([against_liars(1)], 2) == frozenset()
    assert implicated([against_liars(1), against_liars(2)], 2) == frozenset()


def test_if_more_are_wrong_than_may_be_nobody_is_picked():
    assert (
        implicated([against_liars(1, 2, 3), [{8}, {4, 5, 6}], [{9}, {7, 1, 2}]], 1) == frozenset()
    )
    assert implicated([[{1, 2, 3}, {7, 8, 9}]], 2) == frozenset()
    assert implicated([against_liars(1)], 0) == frozenset()


def test_where_nobody_differs_nobody_is_implicated():
    assert implicated([], 2) == frozenset()


def test_several_camps_are_explained_by_all_but_one_of_them():
    assert implicated([[{1, 2, 3}, {8}, {9}]], 2) == {8, 9}


def test_more_sets_than_can_be_tried_implicate_nobody(monkeypatch: pytest.MonkeyPatch):
    disputes = [against_liars(1, 4), against_liars(2)]
    monkeypatch.setattr(culprits, "MOST_SETS", 5)
    assert implicated(disputes, 2) == frozenset()
