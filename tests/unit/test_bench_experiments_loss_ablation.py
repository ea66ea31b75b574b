import pytest

from m2kt.align_config import AlignConfig
from m2kt.bench.ablations import FOUR, TERMS
from m2kt.bench.experiments.experiment import Scope, record_of
from m2kt.bench.experiments.lecture import lecture_of, lesson_of
from m2kt.bench.experiments.loss_ablation import (
    MARGIN,
    MEASURED,
    PHRASES,
    findings,
    results,
    summed,
)
from m2kt.bench.subjects import Subject

SUMS = Subject("arith.mod7", {"mod7-addsub": "+"})
BRIEF = AlignConfig(
    readout_steps=15, steps=3, traces=2, own=2, unsafe_phrases=PHRASES, unsafe_margin=MARGIN
)
LEARNT = ("all", "no_geometry", "only_geometry", "only_safety", "none")
"""What is learnt here, of all combinations."""


@pytest.fixture(scope="module")
def found():
    lecture = lecture_of("mod7-addsub", SUMS, lesson_of(SUMS, seed=0, traces_per_level=4))
    told = results(lecture, BRIEF, per_level=4, terms=LEARNT)
    return {name: summed([result]) for name, result in told}


def test_every_combination_is_measured_in_every_respect(found):
    assert set(found) == set(LEARNT) < set(TERMS)
    assert all({"accuracy", "interval", *MEASURED} <= set(its) for its in found.values())


def test_l_geo_is_left_where_it_is_not_learnt(found):
    assert found["all"]["loss_geometry"] < 0.5 * found["no_geometry"]["loss_geometry"]
    assert found["only_geometry"]["loss_geometry"] < 0.5 * found["none"]["loss_geometry"]


def test_l_safety_keeps_concepts_away_from_what_is_unsafe(found):
    assert found["only_safety"]["unsafe_cosine"] < found["none"]["unsafe_cosine"]


def test_the_record_has_a_figure_for_each_and_the_worst_domain_counts(found):
    found = {name: found.get(name, found["all"]) for name in TERMS}
    other = {name: its | {"accuracy": 0.5} for name, its in found.items()}
    made = findings({"sums": found, "other": other}, "mod7-addsub", (0,))
    record = record_of("loss-ablation", Scope(), made)
    assert record["ablation"] == found
    assert record["others"] == {"other": other}
    assert set(record["contributes"]["other"].values()) == {0.0}
    assert set(record["contributes"]["sums"]) == {*FOUR}
    assert not made.claims[0].holds
