"""Which meetings are held: each attack beside its honest run, and nothing twice the same."""

from dataclasses import replace

import pytest

from m2kt.bench.attacks import ATTACKS
from m2kt.bench.experiments.aggregate_plan import QUICK, Plan
from m2kt.bench.faculty import FACULTY
from m2kt.bench.gatherings import NONE
from m2kt.combine_config import CombineRules
from m2kt.merging import MERGES
from m2kt.strategies import STRATEGIES

PLANS = pytest.mark.parametrize("plan", [Plan(), QUICK])


@PLANS
def test_within_the_bound_a_quarter_of_the_others_are_hostile_at_most(plan):
    assert all(0 < f <= (n - 1) // 4 for n, f in plan.within)
    assert all((n - 1) // 4 < f < n for n, f in plan.beyond)
    assert all(n / 2 < f < n for n, f in plan.rooted)
    assert max(n for n, _ in (*plan.within, *plan.beyond, *plan.rooted)) <= len(FACULTY)


@PLANS
def test_the_honest_run_of_every_attack_is_held(plan):
    honest = set(plan.honest())
    for meeting in (*plan.attacked((*plan.within, *plan.beyond)), *plan.attacked(plan.rooted)):
        its = meeting.gathering
        alone = replace(its, teachers=its.teachers[: -its.hostile], hostile=0, attack=NONE)
        assert replace(meeting, gathering=alone) in honest


@PLANS
def test_every_attack_is_tried_on_every_size_coverage_and_seed(plan):
    found = plan.attacked(plan.within)
    tried = {
        (len(its.teachers), its.hostile, its.attack, its.coverage, its.seed)
        for its in (meeting.gathering for meeting in found)
    }
    wanted = len(plan.within) * len(plan.attacks) * len(plan.coverage) * len(plan.seeds)
    assert len(tried) == len(found) == wanted
    assert all(meeting.rules == CombineRules() and meeting.learns for meeting in found)
    assert {its.gathering.root for its in plan.attacked(plan.rooted, root="r")} == {"r"}


def test_a_full_run_knows_every_attack_strategy_and_merge():
    assert set(Plan().attacks) == set(ATTACKS)
    assert set(Plan().strategies) == set(STRATEGIES)
    assert set(Plan().merges) == set(MERGES)
    assert set(QUICK.attacks) < set(ATTACKS)


def test_a_rule_by_itself_has_no_guard_and_few_lessons_are_learnt_by_it():
    found = list(Plan().by_rule())
    assert len(found) == len(STRATEGIES) * (1 + len(ATTACKS)) * 3
    for meeting in found:
        its, attack = meeting.gathering, meeting.gathering.attack
        assert not meeting.rules.guarded
        assert meeting.rules.before == ()
        assert its.hostile == (0 if attack == NONE else meeting.rules.hostile)
        assert meeting.learns == (attack in Plan().learnt and its.seed == 0)
    assert not any(meeting.learns for meeting in QUICK.by_rule())


def test_weak_teachers_are_silent_and_redundant_ones_are_not():
    unequal = Plan(seeds=(0,)).unequal(("w", "v"))
    pairs = [(len(its.gathering.teachers), len(its.gathering.silent)) for its in unequal]
    assert pairs == [(1, 1), (1, 2), (3, 2)]
    redundant = [len(its.gathering.teachers) for its in Plan(seeds=(0,)).redundant()]
    assert redundant == [1, 2, 10]


def test_skills_are_learnt_alone_in_one_lesson_and_merged():
    found = Plan(seeds=(0, 1)).skills()
    assert len(set(found)) == len(found) == 2 * (2 + 1 + len(MERGES))
    assert {its.teachers for its in found if its.merge} == {("mod7-addsub", "mod7-mul")}
    assert {its.merge for its in found} == {"", *MERGES}
    assert {len(its.teachers) for its in found if not its.merge} == {1, 2}


def test_costs_are_measured_along_both_sides():
    plan = Plan(teachers=(1, 2), concepts=(10, 20, 30))
    sizes = [(its.teachers, its.concepts) for its in plan.burdens()]
    assert sizes == [(1, 20), (2, 20), (8, 10), (8, 20), (8, 30)]


def test_teachers_that_are_shipped_are_named_and_only_as_many_as_are_asked(tmp_path):
    plan = replace(QUICK, within=((2, 0),), beyond=(), rooted=(), models=tmp_path)
    assert plan.located(print).names == ("s3", "s3-neox")
    assert list(tmp_path.iterdir()) == []
    assert {its.gathering.teachers for its in plan.located(print).honest()} == {("s3", "s3-neox")}
