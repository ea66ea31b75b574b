"""The demo's page, made from a record with invented figures."""

import json
import re
from pathlib import Path

import pytest

from m2kt_agents.report import build_page
from tests.pages import Page

RECORD = Path(__file__).parent / "data" / "demo_fixture.json"


@pytest.fixture(scope="module")
def record():
    return json.loads(RECORD.read_text())


@pytest.fixture(scope="module")
def page(record):
    return build_page(record)


def test_the_page_is_well_formed(page):
    assert Page(page).count("section") == 9


def test_the_page_needs_nothing_from_elsewhere(page):
    assert re.findall(r'(?:src|href)="(?!#)[^"]*"', page) == []
    assert "<script" not in page
    assert "@import" not in page
    assert "url(http" not in page


def test_the_page_shows_the_figures_of_the_record(page, record):
    for share in record["student"]["after"].values():
        assert f"{share:.3f}" in page
    assert f"{record['meter']['bytes']:,}" in page
    assert record["receipt"]["head_after"] in page
    assert page.count("<svg") == 4


def test_what_a_model_wrote_cannot_become_markup(page):
    assert "3*5+2 &lt;b&gt;" in page
    assert "3*5+2 <b>" not in page


def test_a_student_that_moved_is_shown_as_one(record):
    moved = record | {"poisoned": record["poisoned"] | {"head_moved": True}}
    assert "LEARNT" in build_page(moved)
    assert "LEARNT" not in build_page(record)


def test_a_claim_that_failed_changes_the_headline(record):
    assert "not every claim held" in build_page(record)
    held = record | {"acceptance": dict.fromkeys(record["acceptance"], True)}
    assert "not every claim held" not in build_page(held)
