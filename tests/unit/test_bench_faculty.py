"""Teachers that are shipped are found, others are trained once."""

import json
from dataclasses import replace

import pytest

from m2kt import domains, zoo
from m2kt.bench import faculty
from m2kt.bench.faculty import DOMAIN, FACULTY, ROOT, WEAK, located
from m2kt.errors import M2KTError
from m2kt.language_model import load_language_model
from m2kt.progress import silent


def test_ten_teachers_of_four_families_know_the_domain_and_weak_ones_are_others():
    shipped = {name: zoo.recipe(name)["recipe"] for name in FACULTY if name in zoo.names()}
    families = {its["family"] for its in shipped.values()}
    families |= {its.family for its in faculty._RECIPES.values()}
    assert families == {"gpt2", "gpt_neox", "stablelm", "llama"}
    assert {its["domain"] for its in shipped.values()} == {DOMAIN}
    assert len(set(FACULTY)) == 10
    assert not set(FACULTY) & set(WEAK)
    assert {*FACULTY, ROOT, *WEAK} == set(shipped) | set(faculty._RECIPES)
    assert ROOT not in {*FACULTY, *WEAK}


def test_no_two_that_are_trained_are_alike_and_weak_ones_stop_early():
    recipes = faculty._RECIPES
    assert len({(its.family, its.width) for its in recipes.values()}) == len(FACULTY) - 2
    assert len({its.seed for its in recipes.values()}) == len(recipes)
    steps = {name: its.steps for name, its in recipes.items()}
    assert max(steps[name] for name in WEAK) < min(steps[n] for n in (*FACULTY, ROOT) if n in steps)


@pytest.mark.parametrize("name", [name for name in FACULTY if name in zoo.names()])
def test_one_that_is_shipped_is_found_by_its_name(name, tmp_path):
    assert located(name, tmp_path) == name
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_one_that_is_not_there_is_trained_and_then_found(tmp_path, monkeypatch):
    name = FACULTY[2]
    few = replace(faculty._RECIPES[name], width=32, layers=1, inner=64, steps=3, batch=4)
    monkeypatch.setattr(faculty, "_RECIPES", {name: few})
    told = []
    place = located(name, tmp_path, told.append)
    assert place == str(tmp_path / name)
    assert told
    assert json.loads((tmp_path / name / "recipe.json").read_text())["recipe"]["steps"] == 3
    assert load_language_model(place).complete(["a"], max_new_tokens=1)
    recipe, told = (tmp_path / name / "recipe.json").stat().st_mtime_ns, []
    assert located(name, tmp_path, told.append) == place
    assert told == []
    assert (tmp_path / name / "recipe.json").stat().st_mtime_ns == recipe


def test_nobody_else_is_trained(tmp_path):
    with pytest.raises((KeyError, M2KTError)):
        located("headmaster", tmp_path, silent)
    assert list(tmp_path.iterdir()) == []


def test_the_domain_is_known():
    assert len(domains.get(DOMAIN).facts) == 36
