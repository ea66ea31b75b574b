import json
import random
from dataclasses import asdict

import pytest

from m2kt.bench.experiments.divergence_bound import (
    BOTH,
    GEOMETRY,
    KL,
    RunPoint,
    _cells,
    _findings,
    _fit,
    _others,
    _points,
)
from m2kt.bench.experiments.experiment import Scope, record_of


def runs(count: int = 60, *, noise: float = 0.1) -> list[RunPoint]:
    """Retention falls with the surprise of geometry, and has nothing to do with KL."""
    rng = random.Random(0)
    found = []
    for _ in range(count):
        geometry = rng.uniform(0, 2)
        kept = max(0.0, 1 - geometry / 2 + rng.uniform(-noise, noise))
        its = {"kl": rng.uniform(0, 5), "geometry": geometry, "retention": kept}
        found.append(RunPoint(domain="group.s3", name="made up", **its))
    return found


def test_the_bound_falls_and_lies_below_nine_of_ten_held_out_runs():
    its = _fit(runs(), GEOMETRY)
    assert its["bound_at"] == sorted(its["bound_at"], reverse=True)
    assert its["coverage"] > 0.86
    assert its["spearman"] < -0.9


def test_the_divergence_that_tells_most_has_the_least_margin():
    found = _findings(runs(), "a-student", (0,))
    record = json.loads(json.dumps(record_of("divergence-bound", Scope(), found)))
    bound = record["bound"]
    assert bound["best"] == GEOMETRY
    assert bound[GEOMETRY]["margin"] < min(bound[BOTH]["margin"], bound[KL]["margin"])
    assert record["verdict"] == "holds"
    assert len(record["runs"]) == 60


def result(way: str, mean: float, **figures: float) -> dict:
    cell = next(_cells("group.s3", "a-student", (0,), quick=True))
    return {"cell": asdict(cell) | {"way": way}, "mean": mean, "figures": figures}


def test_runs_without_a_packet_or_without_a_teachers_exam_are_no_points():
    learnt = {"divergence_structure": -0.1, "divergence_geometry": 0.2}
    results = [
        result("teacher", 0.8),
        result("with_c", 0.4, **learnt),
        result("zero_shot", 0.1),
    ]
    points = list(_points(results))
    assert [(its.retention, its.kl, its.geometry) for its in points] == [(0.5, 0.0, 0.2)]
    assert list(_points(results[1:])) == []


def test_results_of_other_experiments_are_found_in_the_folder(tmp_path):
    (tmp_path / "one.json").write_text(json.dumps(result("with_c", 0.5)))
    (tmp_path / "two.json").write_text("[]")
    assert [its["mean"] for its in _others(tmp_path)] == [0.5]


def test_lessons_are_of_every_quality_and_none_is_run_twice():
    cells = list(_cells("group.s3", "a-student", (0, 1), quick=True))
    assert len(cells) == len(set(cells))
    assert len(cells) >= 40


@pytest.mark.parametrize("kind", [KL, GEOMETRY, BOTH])
def test_divergences_are_what_they_are_called(kind):
    its = RunPoint(domain="d", name="n", kl=2.0, geometry=0.5, retention=1.0)
    assert its.divergence(kind) == {KL: 2.0, GEOMETRY: 0.5, BOTH: 2.5}[kind]
