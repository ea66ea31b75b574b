import json
import random
from dataclasses import replace

import numpy as np
import pytest

from m2kt.bench.cells import TEACHER, Cell
from m2kt.bench.experiments.divergence_bound import (
    ATTENTION,
    BOTH,
    KINDS,
    SAID,
    RunPoint,
    _cells,
    _findings,
    _fit,
    _points,
    _setting,
    _split,
)
from m2kt.bench.experiments.experiment import Scope, record_of


def runs(count: int = 60, *, noise: float = 0.1, domains: int = 1) -> list[RunPoint]:
    """Retention falls with what phi says, and has nothing to do with attention."""
    rng = random.Random(0)
    found = []
    for number in range(count):
        said = rng.uniform(0, 2)
        kept = max(0.0, 1 - said / 2 + rng.uniform(-noise, noise))
        its = {"attention": rng.uniform(0, 5), "said": said, "retention": kept}
        found.append(RunPoint(domain=f"d{number % domains}", setting=f"s{number // 2}", **its))
    return found


def test_the_bound_falls_and_lies_below_nine_of_ten_held_out_runs():
    its = _fit(runs(), SAID)
    assert its["bound_at"] == sorted(its["bound_at"], reverse=True)
    assert its["coverage"] > 0.86
    assert its["spearman"] < -0.9
    assert its["slack"] < 0.5 * its["slack_knowing_nothing"]


def test_a_divergence_that_tells_nothing_is_no_better_than_none():
    its = _fit(runs(), ATTENTION)
    assert its["coverage"] > 0.86, "a bound that is of no use covers as well"
    assert its["slack"] > 0.8 * its["slack_knowing_nothing"]


def test_the_tightest_bound_is_claimed():
    found = _findings(runs(), "a-student", (0,))
    record = json.loads(json.dumps(record_of("divergence-bound", Scope(), found)))
    bound = record["bound"]
    assert bound["best"] == SAID
    assert bound[SAID]["slack"] < min(bound[BOTH]["slack"], bound[ATTENTION]["slack"])
    assert record["verdict"] == "holds"
    assert len(record["runs"]) == 60


def test_each_domain_is_held_out_of_a_bound_of_the_others():
    points = runs(domains=3)
    other = [replace(its, retention=0.0) if its.domain == "d2" else its for its in points]
    assert set(_fit(points, SAID)["elsewhere"]) == {"d0", "d1", "d2"}
    assert _fit(points, SAID)["elsewhere"]["d2"]["coverage"] > 0.7
    assert _fit(other, SAID)["elsewhere"]["d2"]["coverage"] < 0.5
    assert _findings(other, "a-student", (0,)).verdict == "falls short"
    assert _fit(runs(), SAID)["elsewhere"] == {}


def test_runs_of_one_setting_stay_together():
    groups = np.repeat(np.arange(20), 3)
    parts = _split(groups, 3, np.random.default_rng(0))
    assert sorted(row for part in parts for row in part) == list(range(60))
    inside = [set(groups[part]) for part in parts]
    assert not inside[0] & inside[1]
    assert not (inside[0] | inside[1]) & inside[2]


def result(mean: float, **figures: float) -> dict:
    return {"mean": mean, "figures": figures}


def test_retention_is_by_the_teachers_of_the_domain():
    usual = Cell(student="a-student", domain="group.s3", way="with_c", diverged=True)
    learnt = {"divergence_attention": -0.1, "divergence_said": 0.2}
    results = {
        replace(usual, way=TEACHER): result(0.8),
        usual: result(0.4, **learnt),
        replace(usual, domain="arith.mod7", way=TEACHER): result(0.0),
        replace(usual, domain="arith.mod7"): result(0.4, **learnt),
    }
    [its] = _points(results)
    assert (its.domain, its.retention, its.attention, its.said) == ("group.s3", 0.5, 0.0, 0.2)


def test_lessons_are_of_every_quality_and_none_is_run_twice():
    cells = list(_cells("group.s3", "a-student", (0, 1), quick=True))
    assert len(cells) == len(set(cells))
    assert len(cells) >= 40
    assert all(its.diverged for its in cells)
    lessons = [its for its in cells if its.way != TEACHER]
    assert len({_setting(its) for its in lessons}) == len(lessons) / 2, "a setting has two seeds"


@pytest.mark.parametrize("kind", KINDS)
def test_divergences_are_what_they_are_called(kind):
    its = RunPoint(domain="d", setting="s", attention=2.0, said=0.5, retention=1.0)
    assert its.divergence(kind) == {ATTENTION: 2.0, SAID: 0.5, BOTH: 2.5}[kind]
