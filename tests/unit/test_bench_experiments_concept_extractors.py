from itertools import product

import pytest

from m2kt.bench.experiments.concept_extractors import (
    NAMED,
    NOTHING,
    ROWS,
    SHUFFLED,
    _cells,
    _row,
    _told,
)
from m2kt.bench.experiments.experiment import Scope, record_of
from m2kt.extractors import EXTRACTORS, find
from tests.surveys import asked

LEARNT = {NAMED: 1.0, NOTHING: 0.2, SHUFFLED: 0.25, "clustering": 0.9}


@pytest.fixture(scope="module")
def row():
    return _row(asked(), find(asked(), "clustering"))


def gained(name: str) -> dict:
    mean = LEARNT.get(name, 0.8)
    return {"accuracy": mean, "interval": [mean, mean], "unseen": mean, "bytes": 7}


def test_what_is_found_is_measured_without_a_student(row):
    assert row["site"] == {"layer": 5, "back": 0}
    assert row["fidelity"]["mean"] > 0.9
    assert row["told_apart"]["mean"] > 0.9
    assert row["agreement"]["completeness"] > 0.99
    assert row["agreement"]["homogeneity"] < 0.9, "a concept is made of several facts"


def test_gain_is_counted_from_no_packet_and_by_that_of_named_concepts(row):
    rows = [
        row | {"extractor": name, "teacher": "mod7-mul", "own": 49, "domain": "arith.mod7"}
        for name in EXTRACTORS
    ]
    names = ("arith.mod7", "group.s3")
    lessons = {(name, row): gained(row) for name, row in product(names, ROWS)}
    found = _told(rows, lessons, names, "a-student", (0,))
    record = record_of("concept-extractors", Scope(), found)
    its = record["extractors"]["clustering"]["gain"]["group.s3"]
    assert its["of_named"] == pytest.approx((0.9 - 0.2) / 0.8)
    assert record["claims"][1]["found"] == pytest.approx(0.9 - 0.25)
    assert [claim["holds"] for claim in record["claims"]] == [True, True, True]
    assert {its["title"] for its in record["plots"]} >= {"Where clustering reads"}


def test_each_row_is_a_lesson_of_its_own():
    cells = [cell for row in ROWS for cell in _cells("arith.mod7", row, "a-student", (0, 1))]
    assert len(cells) == len(set(cells)) == 2 * len(ROWS) - 1
    assert {cell.groups for cell in cells} == {0, 98}
