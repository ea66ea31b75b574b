"""Every family of threats is there once, those that are promised first."""

from m2kt.bench.experiments.threats import THREATS


def test_families_have_names_of_their_own():
    assert len({its.name for its in THREATS}) == len(THREATS)


def test_whoever_is_promised_says_for_what_reason():
    assert [its.name for its in THREATS if its.promised != bool(its.reasons)] == []


def test_those_that_are_promised_come_first():
    promised = [its.promised for its in THREATS]
    assert promised == sorted(promised, reverse=True)
    assert 0 < sum(promised) < len(promised)
