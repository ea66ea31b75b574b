"""The page of a comparison of transfers, made from records with made-up figures."""

from dataclasses import replace

import pytest

from m2kt_agents.transfer_page import MEANING, build_transfer_page
from tests.comparisons import CONFIG, comparison, extras
from tests.pages import Page

USUAL = [
    *("What transfer reaches", "What carries it", "How few facts are enough"),
    *("What else it would have taken", "How much less data"),
    *("What is not shown", "Where it comes from"),
]
EVIL = '<script>alert("$x$")</script>'


@pytest.fixture(scope="module")
def record():
    return comparison(command="m2kt bench transfer --json x.json", ended_at="2026-01-02")


@pytest.fixture(scope="module")
def page(record):
    return Page(build_transfer_page(record))


def interval(its: dict) -> str:
    low, high = its["interval"]
    return f"{low:.3f} to {high:.3f}"


def test_the_page_needs_nothing_from_elsewhere(page):
    assert page.elsewhere() == []
    policy = [its.get("content") for tag, its in page.tags if tag == "meta"]
    assert "default-src 'none'; style-src 'unsafe-inline'" in policy


def test_the_main_table_is_that_of_the_record(page, record):
    rows = {row[0]: row for row in page.rows()}
    assert "seed 1" in rows["domain"]
    for name, its in record["domains"].items():
        first = next(row for row in page.tables[0] if row[0] == name)
        assert first == [
            *(name, "1.000", "0.100", "0.200", f"{its['after']:.3f}", interval(its)),
            *(f"{share:.3f}" for share in its["by_seed"]),
            *(f"{its['retention']:.3f}", "3.0"),
        ]
    assert page.tables[1][0] == ["", "2", "10"]
    assert page.tables[1][1] == ["arith.mod7", "0.800", "0.400"]
    assert page.tables[2][1][-1] == "1,234"


def test_each_control_stands_beside_zero_shot_with_its_intervals(page, record):
    for way, its in record["controls"].items():
        row = next(row for row in page.rows() if row[0] == f"{way}: {MEANING[way]}")
        first, second = its["domains"].values()
        assert row[1] == f"{its['accuracy']:.3f}"
        assert row[2:4] == [f"{first['accuracy']:.3f}", interval(first)]
        assert row[4:6] == [f"{second['accuracy']:.3f}", interval(second)]
    assert "zero_shot" in page.drawn


def test_curves_are_told_with_intervals_and_unseen_facts_by_themselves(page, record):
    its = record["reveal"]["0.2"]["with_c"]
    rows = [row for row in page.rows() if row[0] == "0.2"]
    assert rows[0][1] == f"{its['accuracy']:.3f} ({interval(its)})"
    assert rows[1][1] == f"{its['unseen']:.3f}"
    assert [row[1] for row in page.rows() if row[0] == "1"][1] == "none"


def test_the_tiles_are_the_figures_of_the_record(page, record):
    rows = record["domains"].values()
    for figure, meaning in (
        (sum(its["retention"] for its in rows) / 2, "mean retention"),
        (sum(its["after"] for its in rows) / 2, "right answers after, mean over domains"),
        (0.7, "right answers after, worst domain: relation.chain"),
        (0.4, "highest control: shuffled_c"),
    ):
        assert f"{figure:.3f}{meaning}" in page.text


def test_a_reduction_is_a_lower_bound_only_if_nothing_matched(record):
    never = Page(build_transfer_page(record))
    assert not record["reduction"]["reached"]
    assert "≥ 95.00 %reduction in examples, against distillation" in never.text
    assert "Not reached at 1,000 examples" in never.text
    assert ["examples", "50", "1,000", "≥ 95.00 %"] in never.rows()
    reached = Page(build_transfer_page(comparison(replace(CONFIG, examples=(10, 2_000)))))
    assert "≥" not in reached.text
    assert "distillation: 0.700 was reached at 2,000 examples" in reached.text
    assert "Not reached" not in reached.text


def test_what_baselines_never_reached_is_said_of_each(page):
    assert "sequences: 0.700 was not reached at 1,000 examples" in page.text
    assert "packet_text: 0.700 was not reached at 50 examples" in page.text
    assert ["distillation", "0.005", "", "0.500"] in page.rows()


@pytest.mark.parametrize(
    ("key", "headline", "said"),
    [
        ("geometry", "What geometry carries", "0.625 (0.500 to 0.750)"),
        ("layers", "Where concepts are read", "0.500 to 0.750"),
        ("ablations", "What each part is for", "geometry alone"),
        ("ablations", "What each part is for", "0.0625"),
        ("ingest", "How fast it is learnt", "≥ 3.46"),
    ],
)
def test_a_part_has_a_section_if_the_record_has_it(record, key, headline, said):
    without = Page(build_transfer_page(record))
    having = Page(build_transfer_page(record | {key: extras()[key]}))
    assert without.headlines == USUAL
    assert set(having.headlines) - set(USUAL) == {headline}
    assert (without.count("svg"), having.count("svg")) == (4, 5)
    assert not any(said in row for row in without.rows())
    assert any(said in row for row in having.rows())


def test_geometry_on_its_way_is_drawn_beside_what_comes_of_it(record):
    row = extras()["ablations"]["geometry alone"]
    ablations = {"all": row, "readout_1": row, "readout_30": row, "readout_": row}
    page = Page(build_transfer_page(record | {"ablations": ablations}))
    assert page.count("svg") == 6
    assert {"L_geo that is left (logarithmic)", "30"} <= set(page.drawn)


def test_a_record_without_curves_has_a_page_without_them(record):
    page = Page(build_transfer_page(record | {"reveal": {}}))
    assert page.headlines == [line for line in USUAL if line != "How few facts are enough"]


def test_names_of_a_record_never_become_markup(record):
    renamed = {
        "domains": {EVIL: record["domains"]["arith.mod7"]},
        "student": EVIL,
        "compared": EVIL,
        "curved": EVIL,
        "command": EVIL,
        "baselines": {EVIL: record["baselines"]["distillation"]},
        "reduction": record["reduction"] | {"against": EVIL},
        "ablations": {EVIL: record["reveal"]["1"]["with_c"]},
        "machine": {EVIL: EVIL},
    }
    page = Page(build_transfer_page(record | renamed))
    assert page.count("script") == 0
    assert page.text.count(EVIL) > 12
    assert page.drawn.count(EVIL) == 4  # domain, title and legend of baselines, ablation


def test_one_seed_is_said_to_have_no_interval_over_seeds(page):
    single = Page(build_transfer_page(comparison(replace(CONFIG, seeds=(0,)))))
    assert "One seed: intervals of 95 % are over problems alone" in single.text
    assert "2 seeds; intervals of 95 % are over seeds and problems" in page.text
    assert "level of guessing is in no figure" in page.text


def test_the_page_tells_machine_versions_seeds_and_command(page, record):
    rows = page.tables[-1]
    assert ["command", "m2kt bench transfer --json x.json"] in rows
    assert ["seeds", "0, 1"] in rows
    assert ["python", record["machine"]["python"]] in rows
    assert ["version of torch", record["machine"]["versions"]["torch"]] in rows


def test_what_has_no_retention_is_said_to_have_none(record):
    ignorant = {name: its | {"retention": None} for name, its in record["domains"].items()}
    page = Page(build_transfer_page(record | {"domains": ignorant}))
    assert "nonemean retention" in page.text


def test_a_record_that_does_not_say_what_made_it_has_no_page(record):
    with pytest.raises(KeyError, match="machine"):
        build_transfer_page({key: its for key, its in record.items() if key != "machine"})


def test_a_comparison_of_some_parts_has_their_sections_alone():
    config = replace(CONFIG, parts=("table",))
    page = Page(build_transfer_page(comparison(config)))
    assert page.headlines == [USUAL[0], *USUAL[-2:]]
    assert "control" not in page.text
