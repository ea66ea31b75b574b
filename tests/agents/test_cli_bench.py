"""`m2kt bench ingest`: the whole of it with a small student, and what it shows."""

import json
import sys

import pytest

from m2kt_agents import cli, cli_bench

CONTENDERS = {"alignment", "bare_loop", "peft_trainer", "peft_lora"}


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


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_benchmark_runs_to_its_end_and_writes_its_record(monkeypatch, capsys, tmp_path):
    file = tmp_path / "new" / "ingest.json"
    words = f"m2kt bench ingest --student mod7-flipped --steps 20 --threads 1 --json {file}"
    monkeypatch.setattr(
        sys, "argv", [*words.split(), "--patience", "1", "--probes", "12", "--seed", "3"]
    )
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    told, record = capsys.readouterr(), json.loads(file.read_text())
    assert record["command"] == f"{words} --patience 1 --probes 12 --seed 3"
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
