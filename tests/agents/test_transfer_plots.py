"""The plots of a comparison of transfers: they draw what the record says, and all of it."""

import pytest

from m2kt_agents import transfer_plots as plots
from tests.comparisons import comparison, extras
from tests.pages import Page


def row(accuracy: float, low: float, high: float, unseen: float | None = None) -> dict:
    return {"accuracy": accuracy, "interval": [low, high], "unseen": unseen}


def drawn(svg: str) -> list[str]:
    return Page(svg).drawn


def curves(unseen: float | None = None) -> dict:
    ways = ("with_c", "without_c", "shuffled_c", "random_c")
    return {s: {way: row(0.5, 0.4, 0.6, unseen) for way in ways} for s in ("1", "0.2", "0.4")}


@pytest.fixture(scope="module")
def record():
    return comparison()


def test_every_domain_has_its_line_and_every_dot_its_meaning(record):
    texts = drawn(plots.domains_plot(record["domains"]))
    assert {"arith.mod7", "relation.chain"} < set(texts)
    assert {"student before", "student after, 95 %", "teacher"} < set(texts)


@pytest.mark.parametrize("key", ["before", "after", "teacher", "interval"])
def test_every_figure_of_a_domain_is_drawn(record, key):
    its = record["domains"]["arith.mod7"]
    moved = its | {key: [0.3, 0.4] if key == "interval" else 0.55}
    domains = record["domains"] | {"arith.mod7": moved}
    assert plots.domains_plot(domains) != plots.domains_plot(record["domains"])


def test_bars_say_their_figures_and_whose_they_are():
    groups = {"one": {"a": row(0.123, 0.1, 0.2)}, "two": {"a": row(0.5, 0.4, 0.6)}}
    texts = drawn(plots.bars_plot(groups, "x"))
    assert {"a", "one", "two", "0.123", "0.500"} < set(texts)


def test_bars_of_one_group_need_no_legend():
    assert "one" not in drawn(plots.bars_plot({"one": {"a": row(0.5, 0.4, 0.6)}}, "x"))


def test_a_bar_has_its_interval():
    wide, narrow = row(0.5, 0.4, 0.6), row(0.5, 0.5, 0.6)
    assert plots.bars_plot({"": {"a": wide}}, "x") != plots.bars_plot({"": {"a": narrow}}, "x")


def test_a_curve_for_each_way_with_its_band_over_shares_in_their_order():
    texts = drawn(plots.curves_plot(curves(), "x"))
    assert {"with_c", "without_c", "shuffled_c", "random_c"} < set(texts)
    assert texts[:3] == ["0.2", "0.4", "1"]
    moved = curves()
    moved["0.2"]["with_c"]["interval"] = [0.3, 0.6]
    assert plots.curves_plot(moved, "x") != plots.curves_plot(curves(), "x")


def test_problems_that_need_an_unseen_fact_have_a_panel_if_there_are_any():
    title = "Problems that need a fact which no trace shows"
    assert title not in drawn(plots.curves_plot(curves(), "x"))
    assert title in drawn(plots.curves_plot(curves(unseen=0.3), "x"))
    assert plots.curves_plot(curves(0.3), "x") != plots.curves_plot(curves(0.4), "x")


def test_ours_stands_among_the_baselines_at_its_traces(record):
    texts = drawn(plots.baselines_plot(record["baselines"], 77, "arith.mod10"))
    assert {"ours: 77 traces", "distillation", "sequences", "packet_text"} < set(texts)
    assert {"arith.mod10", "10", "77", "1,000"} < set(texts)


def test_numbers_of_examples_that_would_overlap_have_one_tick(record):
    texts = drawn(plots.baselines_plot(record["baselines"], 999, "x"))
    assert "999" in texts
    assert "1,000" not in texts


def test_a_ratio_that_is_a_lower_bound_says_so():
    its = extras()["ingest"]
    ratios = {name: its[name] for name in ("vs_peft_trainer", "vs_bare_loop", "vs_peft_lora")}
    texts = drawn(plots.ratios_plot(ratios, its["lower_bounds"]))
    assert {"peft_trainer", "≥ 3.46", "bare_loop", "1.50", "peft_lora", "0.75"} < set(texts)


def test_names_are_neither_markup_nor_mathematics():
    name = '<script>"$x$'
    texts = drawn(plots.bars_plot({"a": {name: row(0.5, 0.4, 0.6)}}, name))
    assert name in texts
    svg = plots.baselines_plot({"a": {"to_match": 0.5, "accuracy_at": {"5": 0.1}}}, 5, name)
    page = Page(svg)
    assert page.count("script") == 0
    assert page.tags[0][1]["aria-label"] == f"right answers on {name} by number of examples"


def test_the_same_figures_give_the_same_bytes(record):
    assert plots.domains_plot(record["domains"]) == plots.domains_plot(record["domains"])


@pytest.mark.parametrize("key", ["accuracy", "interval", "loss_geometry"])
def test_each_figure_of_geometry_on_its_way_is_drawn(key):
    rows = {count: row(0.5, 0.4, 0.6) | {"loss_geometry": 1.5} for count in (1, 10)}
    moved = [0.1, 0.9] if key == "interval" else 0.25
    assert plots.convergence_plot(rows | {10: rows[10] | {key: moved}}) != (
        plots.convergence_plot(rows)
    )
