"""A consensus counts what is lost and shows what is disputed."""

import pytest

from m2kt.consensus import CALM, LEARNT, Consensus, Decision, Opinion


def consensus(opinions=(), **counts) -> Consensus:
    found = {its: counts.get(its.value, 0) for its in Decision}
    return Consensus("mean", 0, (), found, tuple(opinions))


def test_unsettled_is_the_share_of_concepts_that_voters_could_not_settle():
    assert consensus(aggregate=5, told=1, unopposed=1, arbitrate=1).unsettled == 0
    assert consensus(aggregate=6, abstain=2).unsettled == pytest.approx(1 / 4)
    assert consensus(abstain=3).unsettled == 1
    assert consensus().unsettled == 0, "of no concept none is lost"


def test_what_only_those_have_who_are_kept_out_is_no_dispute_of_the_others():
    assert consensus(aggregate=1, quarantine=3).unsettled == 0
    assert consensus(aggregate=1, abstain=1, quarantine=2).unsettled == pytest.approx(1 / 4)


def test_disputed_is_what_somebody_contradicted_in_the_order_given():
    opinions = [Opinion(f"d/{its}", its, 0.0, 1.0, ()) for its in Decision]
    assert [its.decision for its in consensus(opinions).disputed] == [
        Decision.ARBITRATE,
        Decision.ABSTAIN,
        Decision.QUARANTINE,
    ]


def test_where_nobody_contradicts_anybody_the_concept_is_learnt():
    assert CALM < LEARNT
    assert set(Decision) - LEARNT == {Decision.ABSTAIN, Decision.QUARANTINE}
    assert {Decision.ARBITRATE} == LEARNT - CALM
