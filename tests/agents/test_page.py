"""The shell of a page: everything is escaped that is not HTML already."""

import pytest

from m2kt_agents import page
from m2kt_agents.page import Html
from tests.pages import Page

EVIL = '<script>alert("1")</script>&'


def whole(*parts: str, summary: str = "") -> Page:
    tiles, sections = [page.tile(EVIL, EVIL)], [page.section(EVIL, *parts)]
    return Page(page.page(EVIL, EVIL, summary, tiles=tiles, sections=sections))


def test_text_never_becomes_markup():
    table = page.table([EVIL, "b"], [[EVIL, page.code([EVIL, "x"])], [page.pre(EVIL), EVIL]])
    found = whole(table, page.facts([(EVIL, EVIL)]), page.figure("<svg></svg>", EVIL))
    assert found.count("script") == 0
    assert found.headlines == [EVIL]
    assert found.rows() == [[EVIL, "b"], [EVIL, EVIL + "x"], [EVIL, EVIL], [EVIL, EVIL]]
    assert found.text.count(EVIL) == 13  # seven cells, tab, headline, tile, section, caption


def test_what_is_html_already_is_left_alone():
    found = whole(page.table(["a"], [[Html("<b>1</b>")]]), summary="<i>2</i>")
    assert (found.count("b"), found.count("i")) == (2, 1)  # the other is the tile's


def test_a_browser_is_told_to_fetch_nothing():
    found = whole()
    policies = [its["content"] for tag, its in found.tags if tag == "meta" and "content" in its]
    assert "default-src 'none'; style-src 'unsafe-inline'" in policies
    assert found.elsewhere() == []


def test_a_table_without_names_has_no_header():
    assert Page(page.table(["", ""], [["a", "b"]])).tables == [[["a", "b"]]]


def test_figures_stand_on_the_right_unless_they_are_words():
    kinds = [its.get("class") for tag, its in Page(page.table("ab", ["cd"])).tags if tag == "td"]
    assert kinds == [None, "n"]
    words = page.table("ab", ["cd"], numeric=False)
    assert [its.get("class") for tag, its in Page(words).tags if tag == "td"] == [None, None]


def test_a_row_that_is_too_short_is_an_error():
    with pytest.raises(ValueError, match="shorter"):
        page.table(["a", "b"], [["c"]])


def test_a_tile_is_good_or_bad_or_neither():
    kinds = [
        next(its.get("class") for tag, its in Page(page.tile("1", "x", good)).tags if tag == "b")
        for good in (True, False, None)
    ]
    assert kinds == ["good", "bad", None]
