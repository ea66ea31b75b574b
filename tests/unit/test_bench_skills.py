"""Two shipped teachers of different operations: apart, in one lesson, and merged afterwards."""

import json
from dataclasses import replace

import pytest

from m2kt import domains
from m2kt.bench.skills import MIXED, Skills, probes_of
from m2kt.bench.subjects import SUBJECTS
from m2kt.errors import RequestError
from m2kt.merging import MERGES
from tests.courses import ALIGN

MOD7 = SUBJECTS["arith.mod7"]
BOTH = Skills(domain="arith.mod7", teachers=("mod7-addsub", "mod7-mul"), per_level=2, align=ALIGN)


def test_problems_of_a_skill_need_nothing_else():
    for name, signs in MOD7.teachers.items():
        items = probes_of(MOD7, name, 5, set()).items
        assert {its.level for its in items} == set(domains.get("arith.mod7").levels)
        assert all(set(its.question) <= set("0123456" + signs) for its in items)


def test_mixed_problems_need_what_several_teachers_know():
    items = probes_of(MOD7, MIXED, 5, set()).items
    levels = [its.level for its in items]
    assert {level: levels.count(level) for level in set(levels)} == {2: 5, 3: 5, 4: 5}
    for its in items:
        assert "*" in its.question
        assert set(its.question) & set("+-")
        assert its.answer == domains.get("arith.mod7").solve(its.question).answer


@pytest.mark.parametrize("skill", [MIXED, "mod7-mul"])
def test_what_traces_showed_is_not_asked(skill):
    asked = {its.question for its in probes_of(MOD7, skill, 4, set()).items if its.level > 1}
    other = {its.question for its in probes_of(MOD7, skill, 4, asked).items}
    assert asked
    assert not asked & other


@pytest.mark.slow
def test_one_lesson_has_all_packets_and_a_merge_one_from_each():
    [whole], parts = BOTH.lessons(), replace(BOTH, merge="ties").lessons()
    ids = [{concept.spec.id for concept in its.concepts} for its in (whole, *parts)]
    assert [len(its) for its in ids] == [147, 98, 49]
    assert ids[0] == ids[1] | ids[2]
    assert set(whole.traces) == {trace for its in parts for trace in its.traces}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["", "task_arithmetic"])
def test_a_student_is_examined_in_every_skill_and_in_mixed_problems(how):
    found = replace(BOTH, merge=how).run()
    assert json.loads(json.dumps(found)) == found
    assert set(found["accuracy"]) == {"mod7-addsub", "mod7-mul", MIXED}
    assert all(0 <= share <= 1 for share in found["accuracy"].values())
    assert found["mean"] == pytest.approx(sum(found["accuracy"].values()) / 3)


def test_what_is_run_says_what_it_is():
    assert BOTH.title == "arith.mod7 from mod7-addsub and mod7-mul"
    assert replace(BOTH, merge="ties").title == BOTH.title + ", ties"
    assert BOTH.models == ("symbols-student", "mod7-addsub", "mod7-mul")
    assert BOTH.kind == "skills-arith.mod7"


def test_a_merge_that_nobody_knows_is_refused_before_anything_is_learnt():
    with pytest.raises(RequestError, match=f"{', '.join(MERGES)}, found 'soup'"):
        replace(BOTH, merge="soup")
