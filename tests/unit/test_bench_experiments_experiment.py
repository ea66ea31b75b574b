import json

import pytest

from m2kt.bench.experiments import EXPERIMENTS, load
from m2kt.bench.experiments.experiment import Claim, Scope, record_of
from tests.findings import CLAIMS, findings


@pytest.mark.parametrize(
    ("found", "at_least", "holds"),
    [(0.9, True, True), (0.89, True, False), (0.9, False, True), (0.91, False, False)],
)
def test_a_claim_holds_on_its_side_of_the_bound_and_at_it(found, at_least, holds):
    assert Claim(what="", found=found, bound=0.9, at_least=at_least).holds is holds


def test_what_is_no_number_does_not_hold():
    assert not Claim(what="", found=float("nan"), bound=0.9).holds
    assert not Claim(what="", found=float("nan"), bound=0.9, at_least=False).holds


def test_the_verdict_holds_if_every_claim_does():
    assert findings().verdict == "holds"
    missed = Claim(what="more", found=0.1, bound=0.2)
    assert findings(*CLAIMS, missed).verdict == "falls short"


def test_a_record_is_json_and_has_its_figures_at_the_top():
    record = json.loads(json.dumps(record_of("loss-ablation", Scope(quick=True), findings())))
    assert record["verdict"] == "holds"
    assert record["quick"] is True
    assert record["shares"] == {"first": 0.5}
    assert [its["holds"] for its in record["claims"]] == [True, True]
    assert record["tables"][0]["rows"][1] == ["second", None, "as <named>"]
    assert record["plots"][0]["series"]["with C"][0] == {"x": 1, "y": 0.5, "low": 0.4, "high": 0.6}
    assert record["machine"]["processors"] > 0


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_command_has_its_module(name):
    assert load(name).__module__.endswith(name.replace("-", "_"))
