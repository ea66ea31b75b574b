"""`m2kt bench`: ingest with a small student, transfer from cells that were run before."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from m2kt.bench.comparison import QUICK, TransferConfig
from m2kt.bench.matrix import place
from m2kt.bench.transfer import cells_of
from m2kt.progress import Progress
from m2kt_agents import bars, cli, cli_bench
from tests.comparisons import comparison, result_of
from tests.pages import Page

CONTENDERS = {"alignment", "bare_loop", "peft_trainer", "peft_lora"}

MOST = "--most-times 5.5"

CELLS_ONLY = " ".join(f"--part {part}" for part in QUICK.parts if part != "ingest")


def row(**figures) -> dict:
    usual = {"tokens_per_s": 2000.0, "mfu": 0.125, "peak_rss_mib": 500.0, "trainable": 1234}
    return {"seconds": 20.0, "seconds_to_target": 10.0} | usual | figures


def test_a_contender_that_did_not_get_there_is_shown_as_such(capsys):
    ingest = {"vs_bare_loop": 1.5, "vs_peft_trainer": 2.0, "lower_bounds": ["vs_peft_trainer"]}
    cli_bench.show(
        {
            "target": {"accuracy": 0.9},
            "ingest": ingest,
            "contenders": {
                "alignment": row(),
                "bare_loop": row(seconds_to_target=15.0),
                "peft_trainer": row(seconds_to_target=None),
            },
        }
    )
    ours, bare, peft = capsys.readouterr().out.splitlines()[-3:]
    assert ours.split() == ["alignment", "10.0", "2000", "12.5%", "500", "1,234"]
    assert bare.split()[:3] == ["bare_loop", "15.0", "1.50"]
    assert peft.split()[:6] == ["peft_trainer", "not", "in", "20.0", ">", "2.00"]


def test_steps_that_leave_the_last_exam_out_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["m2kt", "bench", "ingest", "--steps", "24"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert "5 divides" in capsys.readouterr().err


def keep_results(config: TransferConfig, folder: Path) -> None:
    """As if every cell of it had been run."""
    for cell in cells_of(config):
        mean = {"teacher": 1.0, "with_c": 0.75}.get(cell.way, 0.25)
        place(cell, folder).write_text(
            json.dumps(
                {
                    "mean": mean,
                    "accuracy": {"2": mean},
                    "levels": [2] * 4,
                    "right": [1] * int(4 * mean) + [0] * int(4 - 4 * mean),
                    "unseen": {},
                    "figures": {"learning_s": 1.0},
                    "meter": dict.fromkeys(
                        ("examples", "logits", "traces", "trace_tokens", "bytes", "concepts"), 5
                    ),
                }
            )
        )


def test_transfer_makes_its_record_of_cells_that_stand(monkeypatch, capsys, tmp_path):
    one = ("arith.mod7",)
    config = replace(
        QUICK,
        domains=one,
        controlled=one,
        compared="arith.mod10",
        curved="group.s3",
        student="mod7-mul",
        examples=(4, 12),
    )
    keep_results(config, tmp_path)
    file = tmp_path / "new" / "transfer.json"
    page = file.with_suffix(".html")
    words = f"m2kt bench transfer --quick --domain arith.mod7 --student mod7-mul {CELLS_ONLY}"
    words += " --examples 4 --examples 12 --compared arith.mod10 --curved group.s3"
    monkeypatch.setattr(
        sys, "argv", [*words.split(), "--cells", str(tmp_path), "--json", str(file)]
    )
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    record = json.loads(file.read_text())
    assert record["domains"]["arith.mod7"]["retention"] == 0.75
    assert record["reduction"]["reached"] is False
    assert (record["curved"], record["compared"]) == ("group.s3", "arith.mod10")
    assert list(record["controls"]["with_c"]["domains"]) == ["arith.mod7"]
    rows = [line.split()[:4] for line in capsys.readouterr().out.splitlines()]
    assert ["arith.mod7", "1.000", "0.250", "0.750"] in rows
    assert ["arith.mod7", "1.000", "0.250"] in [row[:3] for row in Page(page.read_text()).rows()]
    again = tmp_path / "again" / "page.html"
    assert typed(monkeypatch, f"m2kt bench page {file} --html {again}") == 0
    assert again.read_text() == page.read_text()


def typed(monkeypatch, *words: str) -> int:
    """The exit code of a command line."""
    monkeypatch.setattr(sys, "argv", " ".join(words).split())
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code


def test_the_page_of_a_comparison_goes_where_it_is_told_or_beside_its_record(monkeypatch, tmp_path):
    record, cells = comparison(), tmp_path / "cells"
    cells.mkdir()
    for cell in cells_of(QUICK):
        place(cell, cells).write_text(json.dumps(result_of(cell)))
    told = tmp_path / "told.html"
    words = f"m2kt bench transfer --quick --cells {cells} {CELLS_ONLY}"
    assert typed(monkeypatch, words, f"--html {told}") == 0
    assert "relation.chain" in Page(told.read_text()).text
    assert "(arith.mod97, learnt by smollm2-135m)" in Page(told.read_text()).text
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ["", ".html"]
    file = tmp_path / "beside.json"
    file.write_text(json.dumps(record))
    assert typed(monkeypatch, f"m2kt bench page {file}") == 0
    assert file.with_suffix(".html").exists()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, "No such file"),
        ("{", "Expecting property name"),
        ("[1]", "[1]"),
        ('{"format": "m2kt.demo/1"}', "m2kt.demo/1"),
        ('{"format": []}', "[]"),
        ('{"format": {}}', "{}"),
        ('{"format": "m2kt.bench.transfer/1"}', "KeyError at 'student'"),
        (json.dumps(comparison(domains=[])), "AttributeError"),
        (json.dumps(comparison(student=7)), "AttributeError"),
        (json.dumps(comparison(reveal={"much": {}})), "could not convert"),
    ],
)
def test_what_is_no_record_gives_no_page(monkeypatch, capsys, tmp_path, text, found):
    file = tmp_path / "record.json"
    if text is not None:
        file.write_text(text)
    assert typed(monkeypatch, f"m2kt bench page {file}") == 2
    said = {line.split()[0]: line for line in capsys.readouterr().err.splitlines() if line.split()}
    assert found in said["found"]
    assert {"expected", "remedy"} < set(said)
    assert not file.with_suffix(".html").exists()


def test_a_page_does_not_take_the_place_of_its_record(monkeypatch, capsys, tmp_path):
    file = tmp_path / "record.html"
    file.write_text(json.dumps(comparison()))
    before = file.read_text()
    assert typed(monkeypatch, f"m2kt bench page {file}") == 2
    assert typed(monkeypatch, f"m2kt bench transfer --quick --json {file}") == 2
    assert file.read_text() == before
    assert "expected two files" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_benchmark_runs_to_its_end_and_writes_its_record(monkeypatch, capsys, tmp_path):
    file = tmp_path / "new" / "ingest.json"
    words = f"m2kt bench ingest --student mod7-flipped --steps 20 --threads 1 --json {file}"
    monkeypatch.setattr(
        sys,
        "argv",
        [*words.split(), "--patience", "1", "--probes", "12", "--seed", "3", *MOST.split()],
    )
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    told, record = capsys.readouterr(), json.loads(file.read_text())
    assert record["command"] == f"{words} --patience 1 --probes 12 --seed 3 {MOST}"
    assert record["config"]["most_times"] == 5.5
    assert set(record["contenders"]) == CONTENDERS
    assert {"vs_peft_trainer", "vs_bare_loop", "tokens_per_s", "mfu"} < set(record["ingest"])
    assert record["seeds"]["draws"] == record["config"]["align"]["seed"] == 3
    rows = record["contenders"].values()
    assert {its["threads"] for its in rows} == {1}
    assert all(its["exams"] and its["peak_rss_mib"] and its["flops"] for its in rows)
    ours = record["contenders"]["alignment"]
    assert ours["steps"]["rehearsal"] == ours["exams"][-1]["steps"] <= 20
    assert ours["exams"][-1]["accuracy"] > record["target"]["accuracy"] > 0
    assert told.err.index("min") < told.err.index("alignment"), "how long, then the first bar"
    assert "alignment: 5 steps  accuracy" in told.err
    assert all(name in told.out for name in CONTENDERS)


def test_a_comparison_tells_of_cells_and_then_of_contenders(capsys):
    with bars.bar() as shown:
        told = bars.Cells(shown)
        told.tell(Progress("student domain with_c", {"done": 1.0, "of": 2.0, "mean": 0.5}))
        told.tell(Progress("packets, operations of a few steps, matmul peak"))
        told.tell(Progress("arith.mod7, no_safety", {"accuracy": 0.5}))
        told.tell(Progress("bare_loop", {"steps": 5.0, "of": 20.0, "accuracy": 0.25}))
    said = capsys.readouterr().err
    assert "1/2  student domain with_c  0.500" in said
    assert "packets, operations of a few steps, matmul peak\n" in said
    assert "arith.mod7, no_safety  accuracy 0.500" in said
    assert "bare_loop: 5 steps  accuracy 0.250" in said
