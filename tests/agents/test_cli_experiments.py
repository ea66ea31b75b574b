"""`m2kt bench NAME` of an experiment: its record, its page, what is shown."""

import json
import sys

import pytest

from m2kt.bench.experiments import EXPERIMENTS
from m2kt.bench.experiments.experiment import Scope
from m2kt.progress import Progress
from m2kt_agents import cli, cli_experiments
from tests.findings import findings
from tests.pages import Page


def typed(monkeypatch, *words: str) -> int:
    """The exit code of a command line."""
    monkeypatch.setattr(sys, "argv", ["m2kt", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code


@pytest.fixture
def asked(monkeypatch) -> list[Scope]:
    """The scopes that were asked for; the experiment itself is not run."""
    scopes: list[Scope] = []

    def measure(scope, report):
        scopes.append(scope)
        report(Progress("a cell", {"done": 1.0, "of": 2.0, "mean": 0.5}))
        return findings()

    monkeypatch.setattr(cli_experiments, "load", lambda _name: measure)
    return scopes


def test_record_and_page_are_written_and_the_claims_shown(monkeypatch, capsys, tmp_path, asked):
    file = tmp_path / "new" / "ablation.json"
    assert typed(monkeypatch, "bench", "loss-ablation", "--quick", "--json", str(file)) == 0
    record = json.loads(file.read_text())
    assert record["command"] == f"m2kt bench loss-ablation --quick --json {file}"
    assert record["experiment"] == "loss-ablation"
    assert "Loss ablation: holds" in Page(file.with_suffix(".html").read_text()).text
    shown = capsys.readouterr()
    assert "verdict: holds" in shown.out
    assert "share of <right> answers" in shown.out
    assert "1/2  a cell  0.500" in shown.err
    assert asked[0].quick
    assert asked[0].seeds == ()


def test_a_page_is_made_again_from_its_record(monkeypatch, tmp_path, asked):
    file, again = tmp_path / "one.json", tmp_path / "again.html"
    typed(monkeypatch, "bench", "safety-rollback", "--json", str(file))
    assert typed(monkeypatch, "bench", "page", str(file), "--html", str(again)) == 0
    assert again.read_text() == file.with_suffix(".html").read_text()
    assert len(asked) == 1


def test_settings_are_handed_on(monkeypatch, tmp_path, asked):
    words = ["--seeds", "3", "--student", "smollm2-135m", "--workers", "1", "--threads", "2"]
    typed(monkeypatch, "bench", "teacher-pairs", *words, "--cells", str(tmp_path))
    wanted = Scope(student="smollm2-135m", seeds=(0, 1, 2), workers=1, threads=2, cells=tmp_path)
    assert asked == [wanted]


def test_a_record_in_its_pages_place_is_refused(monkeypatch, capsys, tmp_path, asked):
    file = str(tmp_path / "page.html")
    assert typed(monkeypatch, "bench", "loss-ablation", "--json", file) == 2
    assert "name the page with" in capsys.readouterr().out, "as JSON, since --json stands there"
    assert asked == []


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_has_its_command(monkeypatch, capsys, name):
    assert typed(monkeypatch, "bench", name, "--help") == 0
    assert "--quick" in capsys.readouterr().out
