"""The page of a consensus: everybody is on it, disputes come first, nothing of it is markup."""

from dataclasses import replace

from m2kt.combine import combine
from m2kt_agents.conflict_page import build_conflict_page
from m2kt_agents.conflict_plots import KINDS, MOST_ROWS, heat_map
from tests.assembly import FACTS, HIDDEN, RULES, TOLD, VIEW, honest, liars, shifted, teacher
from tests.pages import Page


def consensus(*more, believers: int = 6):
    return combine([*honest(believers), *liars(1), *more], RULES, VIEW).consensus


def test_the_page_names_every_voter_its_fate_and_why_it_was_kept_out():
    found = consensus()
    page = Page(build_conflict_page("transfer-1", found))
    voters = {row[0]: row for row in page.tables[0][1:]}
    assert set(voters) == {its.voter for its in found.standings}
    assert voters["liar-0"][1] == "estranged"
    assert "mean cosine" in page.text


def test_disputes_are_told_with_who_said_what():
    page = Page(build_conflict_page("t", consensus(teacher("odd", shifted(only=HIDDEN[:1])))))
    told = next(rows for rows in page.tables if rows[0][:1] == ["concept"])
    assert [row[0] for row in told[1:]] == [HIDDEN[0]]
    assert "odd: " in told[1][2]
    assert "outvoted" in told[1][2]


def test_the_heat_map_has_the_disputed_concepts_first_and_what_each_voter_says():
    found = consensus(teacher("odd", shifted(only=HIDDEN[-1:])))
    drawn = [text.strip() for text in Page(heat_map(found)).drawn]
    rows = [text for text in drawn if text.startswith("arith.mod7/")]
    assert rows[0].startswith(HIDDEN[-1])
    assert len(rows) == min(MOST_ROWS, len(FACTS))
    assert {"liar-0", "odd", "kept out of the lesson", "outvoted"} <= set(drawn)
    assert set(KINDS) > {"has a share", "outvoted"}


def test_where_nobody_differs_the_page_says_so():
    page = Page(build_conflict_page("t", combine(honest(2), RULES, VIEW).consensus))
    assert "Nowhere by more than honest teachers would" in page.text


def test_a_root_of_trust_is_marked_and_a_voters_name_is_no_markup():
    root = teacher("root", root=True)
    odd = teacher("<b>x", facts=[*TOLD, *HIDDEN[:3]])
    page = build_conflict_page("t", combine([*honest(3), root, odd], RULES, VIEW).consensus)
    assert any(row[0] == "root (root of trust)" for row in Page(page).tables[0])
    assert "<b>x" not in page
    assert "&lt;b&gt;x" in page


def test_a_consensus_without_opinions_is_drawn_too():
    found = combine(honest(2), RULES, VIEW).consensus
    assert "svg" in heat_map(replace(found, opinions=()))
