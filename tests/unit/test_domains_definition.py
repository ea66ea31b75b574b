"""A TOML file makes a domain; whatever is wrong with it is told."""

import random
from pathlib import Path

import pytest

from m2kt import domains
from m2kt.domains.definition import read
from m2kt.errors import RequestError

README = Path(domains.__file__).with_name("README.md").resolve().read_text()
COLOURS, TRACE = (README.split(f"```{kind}\n")[1].split("```")[0] for kind in ("toml", "text"))


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "domain.toml"
        path.write_text(text)
        return path

    return write


def test_a_file_makes_a_domain(written):
    domain = read(written(COLOURS))
    assert domain.solve("r+g!").text == TRACE == "r+g!\nr+g=b\nb!=r\n#r\n"
    assert [c.id for c in domain.concepts[-2:]] == ["colours.mix/g!", "colours.mix/b!"]
    assert domain.concepts[1].gloss == "r mixed with g"
    assert domain.concepts[-1].gloss == "the opposite of b"
    assert len(domain.concepts) == 12
    trace = domain.solve(domain.question(random.Random(0), 4).text)
    assert domain.parse(trace.text) == trace


def test_words_may_be_states(written):
    text = 'name = "light"\nlongest = 2\nsymbols = ["red", "amber", "green"]\n[[operations]]\n'
    domain = read(
        written(text + 'sign = ">"\noperands = []\ntable = [["amber"], ["green"], ["red"]]')
    )
    trace = domain.solve("red>>")
    assert trace.text == "red>>\nred>=amber\namber>=green\n#green\n"
    assert domain.parse(trace.text) == trace
    assert len(trace.completion) <= domain.completion_characters(2)
    assert domain.levels == (1, 2)


def test_a_file_may_say_that_its_facts_relate_concepts(written):
    sums = 'table = ["012", "120", "201"]'
    text = f'name = "sums"\nsymbols = "012"\nrelational = true\n[[operations]]\nsign = "+"\n{sums}'
    domain = read(written(text))
    assert domain.relational
    assert [spec.id for spec in domain.concepts] == ["sums/0", "sums/1", "sums/2", "sums/+"]
    with pytest.raises(RequestError, match="`relational` true or false"):
        read(written(text.replace("true", '"yes"')))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"colours.mix"', '"Colours Mix"', "a name such as"),
        ('name = "colours.mix"', "", "a text `name`"),
        ("symbols", "symbol", "found symbol"),
        ("gloss", "glos", "found glos"),
        ('["r", "g", "b"]', '["r", "rg", "b"]', "none begins another"),
        ('["r", "g", "b"]', '["r", "g", "="]', "without spaces"),
        ('["r", "g", "b"]', "3", "a list of texts for symbols"),
        ('"rbg", ', "", "a row for each of 3 symbols"),
        ('"rbg"', '"rb"', "expected 3 results in row 'r'"),
        ('"rbg"', '"rbx"', "expected the table of '\\+'"),
        ('sign = "!"', 'sign = "+"', "none begins another"),
        ('sign = "!"', "", "texts for `sign`"),
        ("[[operations]]", "[operations]", "expected a domain in TOML"),
        ('symbols = ["r"', "symbols = [r", "expected a domain in TOML"),
    ],
)
def test_a_file_that_describes_no_domain_is_refused(written, old, new, told):
    assert old in COLOURS
    with pytest.raises(RequestError, match=told):
        read(written(COLOURS.replace(old, new)))


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path, written):
    with pytest.raises(RequestError, match="expected a domain in TOML"):
        read(tmp_path / "nothing.toml")
    with pytest.raises(RequestError, match="expected at most"):
        read(written("#" * 1_000_001))


def test_an_added_domain_is_known_by_name(written):
    path = written(COLOURS.replace("colours.mix", "colours.added"))
    assert domains.add(path) is domains.get("colours.added")
    assert "colours.added" in domains.names()
    assert domains.add(path) is domains.get("colours.added")


def test_a_domain_of_ours_is_not_replaced(written):
    for name in ("arith.mod7", "group.s3"):
        with pytest.raises(RequestError, match="expected a new name"):
            domains.add(written(COLOURS.replace("colours.mix", name)))
