"""Tables and plots of results that are made up, and the page that shows them."""

import json

import pytest

from m2kt.bench.experiments.aggregate import findings_of
from m2kt.bench.experiments.aggregate_plan import QUICK
from m2kt.bench.experiments.aggregate_views import plots_of, tables_of
from m2kt.bench.experiments.experiment import Scope, record_of
from m2kt.merging import MERGES
from m2kt_agents.experiment_page import build_experiment_page
from tests.cases import ADDSUB, MUL, cases, disjoint, scaling
from tests.pages import Page


@pytest.fixture(scope="module")
def tables():
    return {its.title: its for its in tables_of(cases(), disjoint(), scaling())}


def rows(table) -> dict[str, tuple]:
    return {row[0]: row[1:] for row in table.rows}


def test_every_row_is_as_long_as_its_head(tables):
    for table in tables.values():
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.head)}


def test_an_attack_is_told_by_its_mean_over_seeds(tables):
    found = rows(tables["Liars within the bound"])
    assert list(found) == [
        "1 of 4, label_flip, coverage 1",
        "1 of 4, alie, coverage 1",
        "1 of 4, label_flip, coverage 0.5",
    ]
    wanted = pytest.approx((0.89, 0.9, 1.0, 0.8, 0.1, 0.1))
    assert found["1 of 4, label_flip, coverage 1"] == wanted
    [beyond] = rows(tables["Liars beyond the bound, no root of trust"]).values()
    assert beyond[2] == 0.0, "none was accepted"


def test_rules_stand_beside_attacks(tables):
    table = tables["Rules by themselves: share of hidden facts that are read right"]
    assert table.head == ("", "none", "ipm")
    assert rows(table) == {"mean": (0.8, 0.8), "krum": (0.8, 0.8)}


def test_honest_teachers_are_told_by_what_they_are_there_for(tables):
    table = tables["Honest teachers: redundant ones, and some that err"]
    assert [row[0] for row in table.rows] == [
        "honest: 4 teachers, coverage 1",
        "redundant: 1 teachers, coverage 1",
        "redundant: 4 teachers, coverage 1",
        "unequal: 2 teachers, coverage 1",
    ]


def test_skills_are_told_with_what_is_kept_of_them(tables):
    found = rows(tables["Disjoint skills"])
    assert found[ADDSUB] == pytest.approx((0.85, 0.85, 1.0))
    assert found[MUL] == pytest.approx((1.05, 0.95, 0.95 / 1.05))
    assert "0.750 after all" in tables["Disjoint skills"].note


def test_every_merge_has_a_row_beside_the_lesson_from_all_packets(tables):
    [table] = [its for title, its in tables.items() if "merged" in title]
    assert table.head == ("", f"kept of {ADDSUB}", f"kept of {MUL}", "mixed problems")
    found = rows(table)
    assert list(found) == ["one lesson from all packets", *MERGES]
    assert found["one lesson from all packets"] == pytest.approx((1.0, 0.95 / 1.05, 0.75))
    assert found["ties"] == pytest.approx((0.45 / 0.85, 0.55 / 1.05, 0.15))


def test_costs_are_told_by_size(tables):
    assert [row[:2] for row in tables["What combining costs"].rows] == [
        *(("1", 300), ("4", 300), ("16", 300)),
        *(("8", 100), ("8", 300), ("8", 1000)),
    ]


def test_plots_have_the_seeds_least_and_most_and_the_honest_run():
    within, rooted, teachers, concepts = plots_of(cases(), scaling())
    [flip, alie] = within.series["1 of 4, coverage 1"]
    assert (flip.x, flip.low, flip.high) == ("label_flip", 0.88, 0.9)
    assert flip.y == pytest.approx(0.89)
    assert alie.x == "alie"
    assert within.level == rooted.level == 0.9
    assert [point.x for point in teachers.series["seconds"]] == [1, 4, 8, 16]
    assert [point.x for point in concepts.series["seconds"]] == [100, 300, 1000]


def test_the_page_shows_every_table_and_plot():
    found = findings_of(QUICK, cases(), disjoint(), scaling())
    record = json.loads(json.dumps(record_of("aggregate", Scope(quick=True), found)))
    page = build_experiment_page(record)
    assert page.count("<svg") == len(found.plots)
    for its in (*found.tables, *found.plots):
        assert its.title in page
    for name in MERGES:
        assert name in page
    assert Page(page).elsewhere() == []
