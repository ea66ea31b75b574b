"""What is concluded from meetings, by hand on results that are made up."""

import json
from dataclasses import replace

import pytest

from m2kt.bench.experiments.aggregate import (
    HARM,
    cases_of,
    claims_of,
    disjoint_of,
    drop,
    findings_of,
    kept,
    poisoned,
    scaling_of,
    worse,
    worst,
)
from m2kt.bench.experiments.aggregate_plan import QUICK, Plan
from m2kt.bench.experiments.experiment import Scope, record_of
from m2kt.merging import MERGES
from tests.cases import ADDSUB, MUL, case, cases, disjoint, scaling, skilled


def test_a_drop_is_counted_from_the_honest_run():
    assert drop(case(accuracy=0.7)) == pytest.approx(0.2)
    assert drop(case(accuracy=1.0)) == pytest.approx(-0.1)


def test_worse_is_who_accepted_what_does_harm_and_poisoned_who_accepted_a_lie():
    assert worse(case(accuracy=0.9 - 2 * HARM))
    assert not worse(case(accuracy=0.9 - HARM / 2))
    assert not worse(case(accuracy=0.0, decision="rejected"))
    assert poisoned(case(read={"right": 0.8, "wrong": 0.05}))
    assert not poisoned(case(read={"right": 0.8, "wrong": 0.0}, accuracy=0.1))
    assert not poisoned(case(read={"right": 0.0, "wrong": 1.0}, decision="rejected"))


def test_the_worst_attack_is_the_largest_mean_over_seeds():
    one = [case(accuracy=0.9), case(seed=1, accuracy=0.5)]
    other = [case(attack="alie", accuracy=0.65), case(attack="alie", seed=1, accuracy=0.65)]
    assert worst([*one, *other]) == pytest.approx(0.25)
    assert worst(one) == pytest.approx(0.2)
    assert worst([*one, *other], lambda its: its["accuracy"]) == pytest.approx(0.7)
    apart = [{**its, "coverage": 0.1 * n} for n, its in enumerate(one)]
    assert worst(apart) == pytest.approx(0.4), "another coverage is another meeting"
    assert worst([]) == 0.0


def test_honest_teachers_are_kept_if_they_are_used_or_their_concept_is_not_learnt():
    fates = {
        "teacher-0": "used",
        "teacher-1": "abstained",
        "teacher-2": "estranged",
        "teacher-3": "used",  # the liar, who does not count
        "silent-0": "distrusted",
        "sybils": "estranged",
    }
    assert kept([case(fates=fates)]) == pytest.approx(2 / 3)
    assert kept([case(fates=fates), case()]) == pytest.approx(5 / 6)
    assert kept([]) == 1.0


def test_a_case_stands_beside_the_run_of_its_honest_teachers():
    plan = replace(QUICK, names=("a", "b", "c", "d", "e"), seeds=(0,))
    [honest] = [its for its in plan.honest() if len(its.gathering.teachers) == 4]
    lied = plan.attacked(((5, 1),), root="r")[0]
    met = {
        meeting: {
            "accuracy": accuracy,
            "decision": "accepted",
            "read": {"right": 1.0, "wrong": 0.0},
            "unsettled": 0.0,
            "decisions": {},
            "fates": {},
        }
        for meeting, accuracy in ((honest, 0.75), (lied, 0.5))
    }
    [found] = cases_of([lied], met)
    assert (found["n"], found["f"], found["attack"]) == (5, 1, plan.attacks[0])
    assert (found["honest_accuracy"], found["accuracy"]) == (0.75, 0.5)
    assert (found["strategy"], found["rooted"], found["reasons"]) == ("default", True, [])
    rule = next(its for its in plan.by_rule() if its.rules.strategy == "krum")
    [alone] = cases_of([rule], met | {rule: met[lied]})
    assert alone["strategy"] == "krum"
    assert cases_of([lied], {lied: met[lied]})[0]["honest_accuracy"] is None


def test_retention_is_what_is_left_of_a_student_with_one_teacher():
    found = disjoint_of(skilled())
    assert found["single"] == pytest.approx({ADDSUB: 0.85, MUL: 1.05})
    assert found["retention"] == pytest.approx({ADDSUB: 1.0, MUL: 0.95 / 1.05})
    assert found["mixed_accuracy"] == pytest.approx(0.75)
    assert found["mixed_alone"] == pytest.approx({ADDSUB: 0.15, MUL: 0.35})


def test_every_merge_is_reported_by_itself():
    merges = disjoint_of(skilled())["merges"]
    assert list(merges) == list(MERGES)
    for number, its in enumerate(merges.values()):
        assert its["retention"] == pytest.approx({ADDSUB: 0.45 / 0.85, MUL: 0.55 / 1.05})
        assert its["mixed_accuracy"] == pytest.approx(0.1 * number + 0.05)


def test_costs_grow_with_the_power_that_fits_them():
    plan, costs = Plan(teachers=(1, 2, 4), concepts=(100, 200, 400)), {}
    for burden in plan.burdens():
        seconds = float(burden.teachers**2 * burden.concepts)
        costs[burden] = {"seconds": seconds, "mib": float(burden.teachers), "packet_mib": 1.0}
    found = scaling_of(plan, costs)
    assert len(found["sizes"]) == len(plan.burdens())
    assert found["teachers_exponent"] == pytest.approx(2.0)
    assert found["concepts_exponent"] == pytest.approx(1.0)
    assert found["peak_mib"] == 8.0


OUT = {"teacher-0": "estranged", "teacher-1": "estranged"}


def test_claims_are_about_the_worst_of_their_group():
    whole = cases()
    for name, bad, claim in (
        ("within", case(accuracy=0.8), "drop within the bound"),
        ("within", case(accuracy=0.8, coverage=0.5), "drop within the bound"),
        ("beyond", case(read={"right": 0.9, "wrong": 0.1}), "lessons with a lie"),
        ("beyond", case(accuracy=0.5), "lessons that were accepted and are more than 2 points"),
        ("rooted", case(f=3, accuracy=0.8, rooted=True, seed=1), "drop with a sound root of trust"),
        ("honest", case(f=0, fates=OUT), "honest teachers that are heard"),
    ):
        lines = [its for its in claims_of(whole, disjoint()) if its.what.startswith(claim)]
        assert all(its.holds for its in lines)
        spoilt = {**whole, name: [bad, case(seed=9)]}
        lines = [its for its in claims_of(spoilt, disjoint()) if its.what.startswith(claim)]
        assert not all(its.holds for its in lines)


def test_nothing_is_claimed_about_merges():
    told = disjoint()
    poor = {**told, "merges": {name: {"retention": {}, "mixed_accuracy": 0.0} for name in MERGES}}
    assert claims_of(cases(), poor) == claims_of(cases(), told)
    assert not any("merge" in its.what for its in claims_of(cases(), told))


def test_the_record_has_it_all():
    found = findings_of(replace(QUICK, student="pupil"), cases(), disjoint(), scaling())
    record = json.loads(json.dumps(record_of("aggregate", Scope(quick=True), found)))
    assert set(record["disjoint"]["merges"]) == set(MERGES)
    assert set(record["disjoint"]["merges"]["ties"]) == {"retention", "mixed_accuracy"}
    assert len(record["cases"]) == sum(map(len, cases().values()))
    assert record["scaling"] == scaling()
    assert (record["student"], record["seeds"]) == ("pupil", [0])
    assert record["verdict"] == "falls short", "mixed problems, of which 0.75 go right"
