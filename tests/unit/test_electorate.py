"""Whose word counts: liars among enough honest ones, weak roots, specialists."""

from dataclasses import replace

import pytest
import torch

from m2kt.ballots import draw_up
from m2kt.consensus import Fate
from m2kt.electorate import elect, survey
from m2kt.testimony import told
from tests.assembly import HIDDEN, RULES, TOLD, VIEW, honest, liars, shifted, teacher


def elected(packets, rules=RULES):
    """The electorate, and each voter's fate."""
    ballots = draw_up(packets, told(packets, VIEW), VIEW, rules.space)
    put = ((ballots.told < 0) & ballots.voting.any(dim=1)).nonzero()[:, 0]
    found = elect(ballots, survey(ballots, put), rules)
    return found, dict(zip(ballots.voters, found.fates, strict=True))


def kept_out(packets, rules=RULES) -> set[str]:
    return {name for name, fate in elected(packets, rules)[1].items() if fate is not Fate.USED}


def test_honest_teachers_are_all_heard():
    assert kept_out(honest(5)) == set()


@pytest.mark.parametrize(("count", "hostile"), [(5, 1), (9, 2), (10, 2)])
def test_as_many_liars_as_may_be_are_estranged(count, hostile):
    found, fates = elected([*honest(count - hostile), *liars(hostile)])
    assert {name for name, its in fates.items() if its is Fate.ESTRANGED} == {
        f"liar-{n}" for n in range(hostile)
    }
    assert found.hostile == hostile
    assert found.heard.sum() == count - hostile


@pytest.mark.parametrize(("count", "hostile"), [(4, 1), (4, 2), (10, 3), (10, 6)])
def test_with_more_nobody_is_kept_out_since_either_side_may_be_lying(count, hostile):
    assert kept_out([*honest(count - hostile), *liars(hostile)]) == set()


def test_a_declared_bound_holds_instead_of_the_quarter():
    packets = [*honest(5), *liars(2)]
    assert kept_out(packets) == set()
    assert kept_out(packets, replace(RULES, hostile=2)) == {"liar-0", "liar-1"}


def test_a_root_of_trust_tells_liars_even_where_they_are_the_majority():
    root = teacher("root", root=True)
    _, fates = elected([*honest(4), *liars(6), root])
    assert {name for name, its in fates.items() if its is Fate.DISTRUSTED} == {
        f"liar-{n}" for n in range(6)
    }


def test_a_root_that_is_often_wrong_still_tells_who_is_honest():
    weak = teacher("root", shifted(3, only=HIDDEN[::3]), root=True)
    assert kept_out([*honest(4), *liars(6), weak]) == {f"liar-{n}" for n in range(6)}


def test_if_all_differ_from_the_root_none_is_heard_but_the_root():
    assert kept_out([*liars(3), teacher("root", root=True)]) == {f"liar-{n}" for n in range(3)}


def test_nothing_speaks_against_a_specialist():
    specialist = teacher("specialist", facts=[*TOLD, *HIDDEN[-4:]])
    others = honest(5, facts=[*TOLD, *HIDDEN[:-4]])
    assert kept_out([*others, specialist]) == set()
    root = teacher("root", root=True, facts=[*TOLD, *HIDDEN[:-4]])
    assert kept_out([*others, specialist, root]) == set()


def test_a_liar_that_shares_one_true_word_with_somebody_is_no_part_of_the_camp():
    """Two that share two concepts and agree on one are akin; with all others the liar differs."""
    liar = teacher("liar", shifted(only=HIDDEN[1:]))
    near = teacher("near", facts=[*TOLD, HIDDEN[0]])
    assert kept_out([*honest(4), near, liar]) == {"liar"}


def test_without_a_guard_everybody_is_heard():
    packets = [*honest(4), *liars(1)]
    assert kept_out(packets) == {"liar-0"}
    assert kept_out(packets, replace(RULES, guarded=False)) == set()


def test_a_survey_says_what_each_voter_says_and_how_alike_they_are():
    packets = [*honest(2), *liars(1)]
    ballots = draw_up(packets, told(packets, VIEW), VIEW, RULES.space)
    put = (ballots.told < 0).nonzero()[:, 0]
    found = survey(ballots, put)
    assert found.says[put].min() >= 0
    assert bool((found.says[ballots.told >= 0] == -1).all())
    assert float(found.affinity[0, 1]) > 0.9
    assert float(found.affinity[0, 2]) < 0.5
    assert torch.equal(found.shared, torch.full((3, 3), float(len(put))))
