import json

import pytest

from m2kt.bench.experiments.experiment import Claim, Scope, record_of
from m2kt_agents.experiment_page import build_experiment_page
from tests.findings import CLAIMS, findings
from tests.pages import Page


def page(*claims: Claim) -> str:
    record = record_of("loss-ablation", Scope(), findings(*claims))
    return build_experiment_page(json.loads(json.dumps(record)))


def test_the_page_says_verdict_claims_and_figures():
    text = page()
    assert "Loss ablation: holds" in text
    assert "share of &lt;right&gt; answers" in text
    assert "at least 0.9" in text
    assert "at most 0.2" in text
    assert "as &lt;named&gt;" in text
    assert "One student." in text
    assert text.count("<svg") == 2


def test_what_falls_short_is_said_to():
    text = page(*CLAIMS, Claim(what="more", found=0.1, bound=0.2))
    assert "Loss ablation: falls short" in text
    assert 'class="bad"' in text


def test_nothing_is_fetched():
    assert Page(page()).elsewhere() == []


@pytest.mark.parametrize("name", ["with C", "without $C$", "domain 6"])
def test_names_stand_in_the_plots_as_they_are(name):
    assert name in page()
