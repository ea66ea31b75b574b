"""README says what the committed records say."""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from m2kt.bench.experiments import EXPERIMENTS
from m2kt.bench.experiments.experiment import FALLS_SHORT, HOLDS
from m2kt.bench.experiments.experiment import FORMAT as EXPERIMENT
from m2kt.bench.ingest import FORMAT as INGEST
from m2kt.bench.transfer import FORMAT
from m2kt.verify import VerifyRules
from m2kt_agents.cli_experiments import OURS

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "m2kt" / "bench" / "results"
README = (ROOT / "README.md").read_text()
RECORDS = sorted(RESULTS.glob("*.json"))


def record(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_is_one_of_ours_and_says_how_it_was_made(path):
    its = json.loads(path.read_text())
    commands = {FORMAT: "transfer", INGEST: "ingest", EXPERIMENT: path.stem}
    assert its["command"].startswith(f"m2kt bench {commands[its['format']]} ")
    assert "/" not in its["command"], "a path of the machine that it was made on"
    assert path.name in (RESULTS / "README.md").read_text()


def test_the_main_table_of_the_readme_is_that_of_its_record():
    its = record("six-domains")
    rows = [
        f"| `{name}` | {row['teacher']:.3f} | {row['before']:.3f} | {row['after']:.3f} |"
        f" {row['interval'][0]:.3f} to {row['interval'][1]:.3f} | {row['retention']:.3f} |"
        for name, row in its["domains"].items()
    ]
    assert [row for row in rows if row not in README] == []
    mean = sum(row["retention"] for row in its["domains"].values()) / len(its["domains"])
    assert f"| mean | | | | | {mean:.3f} |" in README
    assert f"seeds: {len(its['seeds'])}" in README


def test_the_table_of_geometry_in_the_readme_is_that_of_its_record():
    its = record("geometry")["geometry"]
    ways = ("with_c", "without_c", "shuffled_c", "random_c")
    for share, row in its.items():
        cells = [f"{float(share):.0%}", *(f"{row[way]['accuracy']:.3f}" for way in ways)]
        assert f"| {' | '.join(cells)} |" in README


def test_the_table_of_reveal_in_the_readme_is_that_of_its_record():
    its = record("small-student")["reveal"]
    ways = ("with_c", "without_c", "shuffled_c", "random_c")
    for share, row in its.items():
        if row["with_c"]["unseen"] is not None:
            cells = [f"{float(share):.0%}", *(f"{row[way]['unseen']:.3f}" for way in ways)]
            assert f"| {' | '.join(cells)} |" in README


def test_what_the_readme_says_of_the_small_student_is_in_its_record():
    its = record("small-student")
    kept = {name: row["retention"] for name, row in its["domains"].items()}
    assert f"{sum(kept.values()) / len(kept):.3f} of its teachers in the mean" in README
    worst = min(kept, key=lambda name: kept[name])
    assert f"least {kept[worst]:.3f} of `{worst}`" in README
    inside = record("layers")["layers"]
    said = ", ".join(f"{inside[layer]['accuracy']:.3f}" for layer in ("-1", "-2", "-3", "-4"))
    assert f"from the last to the fourth from it, {said} of all" in README


@pytest.mark.parametrize(
    ("name", "student"),
    [("small-student", "`symbols-student`"), ("controls-smollm2", "SmolLM2-135M")],
)
def test_the_table_of_controls_in_the_readme_is_that_of_its_records(name, student):
    its = record(name)["controls"]
    ways = ("with_c", "without_c", "shuffled_c", "random_c", "untrained_c", "wrong_facts")
    for domain in its["with_c"]["domains"]:
        cells = [f"{its[way]['domains'][domain]['accuracy']:.3f}" for way in ways]
        assert f"| {student} `{domain}` | {' | '.join(cells)} |" in README


def test_the_table_of_ablations_in_the_readme_is_that_of_its_record():
    its = record("ablations")["ablations"]
    rows = {
        "all": "as it is",
        "no_geometry": "without L_geo, phase A",
        "no_reason": "without L_reason",
        "no_structure": "without L_struct",
        "concepts_0.5": "C holds half of the facts that no trace shows",
        "concepts_0": "C holds none of them",
        "linear_phi": "linear phi",
        "low_rank_phi": "low-rank phi",
        "exemplars_1": "one exemplar of each concept",
        "readout_3": "three steps of phase A",
        "readout_10": "ten steps of phase A",
    }
    for name, words in rows.items():
        low, high = its[name]["interval"]
        row = f"| {words} | {its[name]['accuracy']:.3f} | {low:.3f} to {high:.3f} |"
        assert row in README


def test_the_table_of_baselines_in_the_readme_is_that_of_its_record():
    its = record("quick")
    rows = {
        ("distillation", "10000"): "distillation of the teacher's answers and their distribution",
        ("sequences", "300"): "the teacher's own traces",
        ("sequences", "10000"): "the teacher's own traces",
        ("packet_text", "280"): "LoRA on the text of a packet that shows all facts",
        ("ridge", "73"): "ridge regression from C, traces in the prompt",
    }
    both = [its["baselines"], record("baselines-smollm2")["baselines"]]
    for (way, count), words in rows.items():
        shares = [f"{one[way]['accuracy_at'][count]:.3f}" for one in both]
        assert f"| {words} | {int(count):,} | {' | '.join(shares)} |" in README
    ours = [f"{one['distillation']['to_match']:.3f}" for one in both]
    traces = its["reduction"]["ours"]["traces"]
    assert f"| **the packet as it is** | {traces} | {' | '.join(ours)} |" in README
    assert f"{its['reduction']['ours']['traces']} traces" in README
    assert f"{its['reduction']['ours']['bytes']:,}" in README
    assert f"took {its['ingest']['vs_peft_trainer']:.2f} times less" in README
    assert f"and {its['ingest']['vs_bare_loop']:.2f} times less" in README


def test_the_table_of_examples_in_the_readme_is_that_of_its_records():
    ways = {"distillation": "distillation", "sequences": "the teacher's own traces"}
    records = {"symbols-student": "baselines", "SmolLM2-135M": "baselines-mod10-smollm2"}
    counts = list(record("baselines")["baselines"]["distillation"]["accuracy_at"])
    for way, words in ways.items():
        for student, name in records.items():
            found = record(name)["baselines"][way]["accuracy_at"]
            cells = [f"{found[count]:.3f}" if count in found else "-" for count in counts]
            assert f"| {words}, {student} | {' | '.join(cells)} |" in README


def test_the_ratios_of_ingest_in_the_readme_are_those_of_the_record():
    its = record("ingest-smollm2")["ingest"]
    assert set(its["lower_bounds"]) >= {"vs_peft_trainer", "vs_bare_loop"}
    found = [f"at least {its[name]:.1f}" for name in ("vs_peft_trainer", "vs_bare_loop")]
    assert f"{found[0]} times less time than" in README
    assert f"{found[1]} times less than a bare loop" in README


@pytest.mark.parametrize("name", [*EXPERIMENTS, *OURS])
def test_the_record_of_an_experiment_is_a_full_one_and_has_its_page(name):
    its = record(name)
    assert (its["experiment"], its["quick"]) == (name, False)
    assert its["verdict"] == (HOLDS if all(one["holds"] for one in its["claims"]) else FALLS_SHORT)
    page = html.unescape((RESULTS / f"{name}.html").read_text())
    assert [one["what"] for one in its["claims"] if one["what"] not in page] == []


def figures(part: Any) -> Iterator[str]:
    """Every number of a record, as README writes them."""
    if isinstance(part, dict):
        part = list(part.values())
    if isinstance(part, list):
        for its in part:
            yield from figures(its)
    elif isinstance(part, float):
        yield f"{part:.3f}"


@pytest.mark.parametrize("name", [*EXPERIMENTS, *OURS])
def test_the_row_of_an_experiment_in_the_readme_is_that_of_its_record(name):
    [row] = re.findall(rf"^\| \[`{name}`\]\(m2kt/bench/results/{name}\.html\) \|.*$", README, re.M)
    its = record(name)
    assert row.endswith(f"| {its['verdict']} |")
    said = re.findall(r"(?<![\d.])\d\.\d{3}(?!\d)", row)
    assert said
    assert set(said) - set(figures(its)) == set()


def test_the_shipped_limit_of_unsafe_cosines_tells_the_recorded_bad_concepts_from_the_others():
    found = record("safety-rollback")["detection"]
    assert found["largest_of_others"] < VerifyRules().unsafe_limit < found["smallest_of_bad"]
