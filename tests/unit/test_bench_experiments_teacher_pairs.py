"""Pairs of teachers and students are run for real, and the matrix says what came of each."""

import json
from dataclasses import replace
from statistics import fmean

import pytest

from m2kt import domains, zoo
from m2kt.bench.experiments.experiment import Scope, record_of
from m2kt.bench.experiments.teacher_pairs import (
    FOUND,
    NAMED,
    OURS,
    PROBED,
    STUDENTS,
    TEACHERS,
    based_on,
    findings_of,
    plan_of,
)
from m2kt.bench.matrix import run_all
from m2kt.packaged import GEMMA3, SMOLLM2, is_here
from m2kt.progress import silent
from tests.courses import ALIGN

SMALL = ("s3", "s3-neox")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Of two small teachers, because a language model takes a minute for each packet."""
    plan = replace(
        plan_of(Scope(quick=True)),
        teachers={"group.s3": SMALL},
        carried=("group.s3", SMALL[1]),
        per_level=3,
        traces_per_level=4,
        exemplars=3,
        align=ALIGN,
    )
    folder = tmp_path_factory.mktemp("cells")
    results = run_all(list(plan.cells()), folder, workers=1, threads=1, report=silent)
    return plan, results, findings_of(plan, results)


@pytest.mark.parametrize("domain", TEACHERS)
def test_a_domain_has_teachers_of_three_families_one_a_language_model(domain):
    recipes = [zoo.recipe(teacher)["recipe"] for teacher in TEACHERS[domain]]
    assert {its["domain"] for its in recipes} == {domain}
    assert {its["family"] for its in recipes} == {"gpt2", "gpt_neox", "llama"}
    assert [based_on(teacher) for teacher in TEACHERS[domain]].count(SMOLLM2) == 1


def test_a_full_run_pairs_everybody_and_a_quick_one_a_student_with_three_teachers():
    full, quick = plan_of(Scope()), plan_of(Scope(quick=True))
    here = [name for name in STUDENTS if name != GEMMA3 or is_here(GEMMA3)]
    assert list(full.students) == here
    taught = {
        (its.student, its.domain, its.teacher)
        for its in full.cells()
        if its.way == OURS and its.reveal == 1
    }
    assert len(taught) == len(here) * sum(map(len, TEACHERS.values()))
    assert (quick.students, list(quick.teachers)) == (STUDENTS[:1], ["group.s3"])
    assert plan_of(Scope(student="mod7-mul", seeds=(5,))).students == ("mod7-mul",)


@pytest.mark.slow
def test_every_pair_has_its_figures(small):
    plan, results, found = small
    pairs = found.figures["pairs"]
    assert [its["teacher"] for its in pairs] == list(SMALL)
    assert [its["family"] for its in pairs] == ["gpt2", "gpt_neox"]
    for its in pairs:
        [cell] = plan.seeded(its["student"], its["domain"], its["teacher"], way=OURS)
        assert its["after"] == results[cell]["mean"]
        assert its["interval"][0] <= its["after"] <= its["interval"][1]
        assert its["retention"] == its["after"] / its["teacher_accuracy"]
        assert its["teacher_accuracy"] >= 0.8
        assert 0 <= its["figures"]["recognised"] <= 1
        assert its["figures"]["divergence_geometry"] > 0
        assert not its["same_base"]
    assert len({its["after"] for its in pairs} | {its["learning_s"] for its in pairs}) > 1


@pytest.mark.slow
def test_a_student_that_hardly_learnt_falls_short(small):
    _, _, found = small
    assert len(found.claims) == 3, "none about a language model, which was no teacher here"
    record = json.loads(json.dumps(record_of("teacher-pairs", Scope(quick=True), found)))
    assert record["verdict"] == "falls short"
    by_what = {its["what"].split(",")[0]: its for its in record["claims"]}
    mean = by_what["mean retention over all pairs"]
    assert mean["found"] == fmean(its["retention"] for its in record["pairs"])
    assert not mean["holds"]
    about = {"domain", "teacher", "student", "reveal", "find"}
    assert set(record["controls"]) == {*about, *FOUND, *NAMED}
    assert {its["title"] for its in record["tables"]} >= {"Retention, group.s3"}
    assert any("smollm2" in line.lower() for line in record["limits"])


@pytest.mark.slow
def test_the_controls_are_the_same_packet_with_c_taken_out(small):
    plan, results, _ = small
    shown, ways = {}, {**FOUND, **NAMED}
    for name, [cell] in plan.controls().items():
        assert (cell.reveal, cell.teacher, cell.way) == (0.2, SMALL[1], ways[name])
        assert cell.find == (PROBED if name in FOUND else "")
        shown[name] = results[cell]["figures"]["concepts_shown"]
    assert len({shown[name] for name in NAMED}) == 1
    assert 0 < shown["named"] < len(domains.get("group.s3").concepts)
