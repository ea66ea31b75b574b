"""A student meets small shipped teachers for real; what came of it can be written down."""

import json
from dataclasses import replace

import pytest

from m2kt.bench.gatherings import Gathering
from m2kt.bench.meetings import ACCEPTED, Meeting
from m2kt.combine_config import CombineRules
from tests.courses import ALIGN

PLAIN = Gathering(domain="group.s3", teachers=("s3", "s3-neox"))
LOOKED = Meeting(gathering=PLAIN, learns=False)
ALONE = CombineRules(strategy="mean", before=(), guarded=False, hostile=1)


@pytest.fixture(scope="module")
def looked():
    return LOOKED.run()


def test_a_meeting_without_a_lesson_says_what_would_be_learnt(looked):
    assert json.loads(json.dumps(looked)) == looked
    assert looked["read"]["right"] > 0.9
    assert looked["mean"] == looked["read"]["right"]
    assert looked["read"]["right"] + looked["read"]["wrong"] <= 1
    assert "accuracy" not in looked
    assert "decision" not in looked


def test_it_says_what_became_of_whom(looked):
    assert looked["fates"] == {"teacher-0": "used", "teacher-1": "used"}
    assert sum(looked["decisions"].values()) == 36
    assert looked["decisions"]["told"] == 18
    assert looked["outvoted"] == {"teacher-0": 0, "teacher-1": 0}
    assert set(looked["used"].values()) == {36}


def test_a_liar_that_nobody_watches_is_read_as_well():
    lied = replace(PLAIN, teachers=("s3", "s3-neox", "s3"), hostile=2, attack="label_flip")
    found = replace(LOOKED, gathering=lied, rules=ALONE).run()
    assert found["read"]["wrong"] > 0.5
    assert found["read"]["right"] < 0.5


@pytest.mark.slow
def test_a_meeting_with_a_lesson_ends_with_a_verdict_and_an_exam():
    found = replace(LOOKED, learns=True, per_level=2, align=ALIGN).run()
    assert json.loads(json.dumps(found)) == found
    assert found["decision"] in {ACCEPTED, "rejected"}
    assert bool(found["reasons"]) == (found["decision"] == "rejected")
    assert found["mean"] == found["accuracy"]
    assert found["accuracy"] == pytest.approx(
        sum(found["by_level"].values()) / len(found["by_level"])
    )
    assert {"gathered_s", "combined_s", "learnt_s"} == set(found["figures"])
    assert found["read"]["right"] > 0.9


def test_a_meeting_names_all_models_that_it_depends_on():
    its = replace(PLAIN, silent=("weak",), root="rooted", hostile=1, attack="mimic")
    found = replace(LOOKED, gathering=its)
    assert found.models == ("symbols-student", "s3", "s3-neox", "weak", "rooted")
    assert LOOKED.models == ("symbols-student", "s3", "s3-neox")
    assert found.kind == "meeting-mimic"
    assert found.title == "2 teachers, 1 hostile, mimic, coverage 1.0, " + found.rules.strategy
