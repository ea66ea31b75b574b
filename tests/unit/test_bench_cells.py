"""A cell says what was run and what came of it."""

import json
from dataclasses import replace

import pytest

from m2kt import domains
from m2kt.bench.baselines import TextConfig
from m2kt.bench.cells import Cell, composed_exam, run_cell
from m2kt.bench.subjects import subject
from m2kt.errors import RequestError
from m2kt.probes import draw_probes
from tests.courses import ALIGN

SMALL = {
    "student": "symbols-student",
    "per_level": 6,
    "traces_per_level": 3,
    "text": TextConfig(steps=2),
    "align": ALIGN,
}


@pytest.mark.parametrize(
    "way", ["teacher", "zero_shot", "four_shot", "with_c", "shuffled_c", "ridge"]
)
def test_a_cell_is_run_and_can_be_written_down(way):
    found = run_cell(Cell(domain="arith.mod7", way=way, reveal=0.5, **SMALL))
    assert json.loads(json.dumps(found)) == found
    assert len(found["right"]) == len(found["levels"])
    by_level = {level: [] for level in found["levels"]}
    for level, right in zip(found["levels"], found["right"], strict=True):
        by_level[level].append(right)
    assert found["accuracy"] == {str(k): sum(v) / len(v) for k, v in sorted(by_level.items())}
    marked = found["unseen"]["needed_items"] + found["unseen"].get("not_needed_items", 0)
    assert marked == len(found["right"])
    if way == "teacher":
        assert found["mean"] == 1.0
    if way == "with_c":
        assert found["meter"]["labels"] == found["meter"]["logits"] == 0
        assert found["meter"]["concepts"] == 147


def test_a_baselines_labels_and_logits_are_counted():
    found = run_cell(Cell(domain="arith.mod7", way="distillation", examples=10, **SMALL))
    assert found["meter"]["examples"] == found["meter"]["labels"] == 10
    assert found["meter"]["logits"] == 70
    text = run_cell(Cell(domain="arith.mod7", way="sequences", examples=10, **SMALL))
    assert text["meter"]["labels"] == text["meter"]["logits"] == 0


def test_composed_teachers_are_as_good_as_their_facts():
    its = subject("arith.mod7")
    probes = draw_probes(domains.get("arith.mod7"), seed=0, per_level=20)
    assert composed_exam(its, probes).mean == 1.0
    lying = replace(its, teachers={"mod7-addsub": "+-", "mod7-flipped": "*"})
    exam = composed_exam(lying, probes)
    wrong = ["*" in item.question for item in probes.items]
    single = [w and item.level == 1 for w, item in zip(wrong, probes.items, strict=True)]
    assert not any(r for r, its in zip(exam.right, single, strict=True) if its)
    assert all(r for r, w in zip(exam.right, wrong, strict=True) if not w)


def test_an_unknown_way_is_refused():
    with pytest.raises(RequestError, match="expected a way"):
        Cell(domain="arith.mod7", way="magic", **SMALL)


def test_a_lesson_may_hold_fewer_concepts_and_exemplars():
    usual = Cell(domain="arith.mod7", way="with_c", reveal=0.5, **SMALL)
    few, whole = run_cell(replace(usual, held=0.0, exemplars=4)), run_cell(usual)
    assert few["meter"]["exemplars"] == 4 * 147
    assert whole["figures"]["concepts_read"] == 147
    shown = whole["figures"]["concepts_shown"]
    assert few["figures"]["concepts_read"] == few["figures"]["concepts_shown"] == shown < 147
