"""The comparison asks for the cells that its record is made of, and adds up right."""

import json
from dataclasses import replace

import pytest

from m2kt.bench.baselines import TextConfig
from m2kt.bench.cells import Cell
from m2kt.bench.comparison import FEW, PARTS, QUICK, RELATED, TransferConfig
from m2kt.bench.controls import CONTROLS
from m2kt.bench.transfer import cells_of, measure_transfer, record_of
from m2kt.progress import silent
from tests.courses import ALIGN

CONFIG = replace(QUICK, seeds=(0, 1), examples=(10, 100))


def result(cell: Cell, mean: float) -> dict:
    count = round(10 * mean)
    return {
        "mean": mean,
        "accuracy": {"2": mean, "3": mean},
        "levels": [2] * 10 + [3] * 10,
        "right": ([1] * count + [0] * (10 - count)) * 2,
        "unseen": {"needed": mean} if cell.reveal < 1 else {},
        "figures": {"learning_s": 3.0, "loss_geometry": 0.5},
        "meter": {
            "examples": cell.examples,
            "labels": 0,
            "logits": 7 * cell.examples,
            "traces": 50,
            "trace_tokens": 10 * (cell.examples or 50),
            "concepts": 9,
            "bytes": 400,
        },
    }


def means(cell: Cell) -> float:
    known = {"teacher": 1.0, "zero_shot": 0.1, "four_shot": 0.2, "with_c": 0.9}
    return {**known, "distillation": cell.examples / 100}.get(cell.way, 0.3)


@pytest.fixture
def record():
    return record_of(CONFIG, {cell: result(cell, means(cell)) for cell in cells_of(CONFIG)})


def test_the_main_table_sets_after_beside_the_better_before_and_the_teacher(record):
    its = record["domains"]["arith.mod7"]
    assert (its["teacher"], its["before"], its["after"]) == (1.0, 0.2, 0.9)
    assert its["retention"] == 0.9
    assert its["by_seed"] == [0.9, 0.9]
    assert its["interval"][0] < 0.9 < its["interval"][1]
    assert json.loads(json.dumps(record)) == record


def test_every_control_and_every_share_is_in_the_record(record):
    assert set(record["controls"]) == {"zero_shot", "four_shot", *CONTROLS}
    assert record["controls"]["shuffled_c"]["accuracy"] == 0.3
    assert set(record["reveal"]) == {"0.2", "1"}
    assert record["reveal"]["0.2"]["with_c"]["unseen"] == 0.9
    assert record["reveal"]["1"]["with_c"]["unseen"] is None


def test_relations_are_learnt_by_a_student_that_can_read_them(record):
    cells = [cell for cell in cells_of(CONFIG) if cell.domain == RELATED]
    assert {cell.student for cell in cells} == {"smollm2-135m"}
    assert {cell.reveal for cell in cells} == {0.05}
    assert record["geometry"]["0.05"]["with_c"]["unseen"] == 0.9
    assert record["geometry"]["0.05"]["random_c"]["accuracy"] == 0.3


def test_data_are_compared_with_the_least_that_matched(record):
    assert record["baselines"]["distillation"]["examples_to_match"] == 100
    assert record["baselines"]["sequences"]["examples_to_match"] is None
    reduction = record["reduction"]
    assert reduction["reached"]
    assert reduction["examples"] == 1 - 50 / 100
    assert reduction["tokens"] == 1 - 500 / 1000
    assert reduction["bytes"] == 1 - 400 / (700 * 4 + 1000)


def test_what_nothing_matched_is_a_lower_bound():
    results = {cell: result(cell, min(0.5, means(cell))) for cell in cells_of(CONFIG)}
    for cell in results:
        if cell.way == "with_c":
            results[cell] = result(cell, 0.9)
    reduction = record_of(CONFIG, results)["reduction"]
    assert not reduction["reached"]
    assert reduction["theirs"]["examples"] == 100


def test_the_quick_comparison_has_all_controls_on_two_domains():
    cells = cells_of(QUICK)
    assert {cell.domain for cell in cells} == {"arith.mod7", "relation.chain", RELATED}
    assert {cell.seed for cell in cells} == {0}
    assert {c.way for c in cells if c.reveal == FEW} >= set(CONTROLS)


@pytest.mark.parametrize(
    ("part", "keys"),
    [
        ("table", {"domains"}),
        ("controls", {"controls"}),
        ("reveal", {"reveal", "curved"}),
        ("geometry", {"geometry", "related"}),
        ("ablations", {"ablations", "curved"}),
        ("layers", {"layers", "curved"}),
        ("baselines", {"baselines", "compared", "reduction"}),
    ],
)
def test_a_part_alone_needs_no_cell_of_another(part, keys):
    config = replace(CONFIG, parts=(part,))
    cells = cells_of(config)
    found = record_of(config, {cell: result(cell, means(cell)) for cell in cells})
    assert set(found) == {"format", "student", "seeds", "machine", *keys}
    assert set(cells) < set(cells_of(replace(CONFIG, parts=PARTS)))


def test_the_whole_comparison_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("m2kt.bench.transfer.CONTROLS", {"with_c": None})
    monkeypatch.setattr("m2kt.bench.transfer.CURVES", ("with_c",))
    small = TransferConfig(
        student="symbols-student",
        parts=("table", "controls", "reveal", "baselines"),
        domains=("arith.mod7",),
        curved="arith.mod7",
        compared="arith.mod10",
        controlled=("arith.mod7",),
        seeds=(0,),
        reveal=(0.2,),
        examples=(8,),
        per_level=3,
        workers=2,
        traces_per_level=2,
        text=TextConfig(steps=2),
        align=ALIGN,
    )
    found = measure_transfer(small, tmp_path, silent)
    assert found["domains"]["arith.mod7"]["teacher"] == 1.0
    assert found["baselines"]["distillation"]["accuracy_at"].keys() == {"8"}


def test_how_fast_it_is_learnt_is_measured_apart_from_cells():
    assert cells_of(TransferConfig(parts=("ingest",))) == []
