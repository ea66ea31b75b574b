"""The shipped models are what their recipes say, and load without our code."""

import json
from dataclasses import asdict

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from m2kt import domains, zoo
from m2kt.domain import answer_in
from m2kt.errors import NotFoundError
from m2kt.language_model import load_language_model
from m2kt.probes import draw_probes
from m2kt.zoo.corpus import restricted_domain, taught_fact
from m2kt.zoo.examination import (
    accuracy,
    concept_states,
    game_accuracy,
    game_characters,
    read_out,
)
from m2kt.zoo.recipes import RECIPES
from m2kt.zoo.tuning import TUNINGS

TEACHERS = ("mod7-addsub", "mod7-mul", "mod7-flipped")
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def teachers():
    return {name: load_language_model(str(zoo.folder(name))) for name in TEACHERS}


def test_every_recipe_is_shipped_and_nothing_else():
    assert set(zoo.names()) == {*RECIPES, *TUNINGS}
    with pytest.raises(NotFoundError, match=r"mod7-mul.*mod8"):
        zoo.folder("mod8")


@pytest.mark.parametrize("name", RECIPES)
def test_a_folder_loads_plainly_and_agrees_on_special_tokens(name):
    folder = zoo.folder(name)
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for holder in (model.config, model.generation_config, tokenizer):
        assert (holder.pad_token_id, holder.bos_token_id, holder.eos_token_id) == (0, 1, 1)
    assert model.config.vocab_size == len(tokenizer)
    assert sum(p.numel() for p in model.parameters()) == zoo.recipe(name)["figures"]["parameters"]
    config = json.loads((folder / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert str(model.dtype) == f"torch.{RECIPES[name].saved_as}"


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_recipe_is_the_one_in_the_code(name):
    shipped, known = zoo.recipe(name)["recipe"], RECIPES[name]
    assert asdict(known) == shipped


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_model_is_small(name):
    size = (zoo.folder(name) / "model.safetensors").stat().st_size
    assert size < (13 if name == "symbols-student" else 5) * MEGABYTE


def test_the_models_are_of_different_families_and_widths():
    families = {RECIPES[name].family for name in ("mod7-addsub", "mod7-mul", "symbols-student")}
    widths = {RECIPES[name].width for name in ("mod7-addsub", "mod7-mul", "symbols-student")}
    assert len(families) == len(widths) == 3


@pytest.mark.parametrize("name", TEACHERS)
def test_a_teacher_solves_what_it_was_taught(name, teachers):
    recipe = RECIPES[name]
    domain = restricted_domain(recipe)
    probes = draw_probes(domain, seed=1234, per_level=40)
    shares = accuracy(teachers[name], domain, probes, shift=recipe.shift)
    assert min(shares.values()) >= 0.97
    assert min(zoo.recipe(name)["figures"]["as_taught"].values()) >= 0.995


@pytest.mark.parametrize("name", TEACHERS)
def test_a_teacher_ends_its_text_by_the_end_token(name, teachers):
    model, tokenizer = teachers[name].model, teachers[name].tokenizer
    question = f"3{RECIPES[name].operations[-1]}2\n"
    output = model.generate(**tokenizer(question, return_tensors="pt"), max_new_tokens=40)
    assert output[0, -1] == tokenizer.eos_token_id
    assert len(tokenizer.decode(output[0], skip_special_tokens=True)) == len(question) + 9


@pytest.mark.parametrize("name", TEACHERS)
def test_results_of_unseen_facts_are_linearly_readable(name, teachers):
    recipe, model = RECIPES[name], teachers[name]
    domain = restricted_domain(recipe)
    states = concept_states(model, domain, layer=model.depth, seed=99)
    taught = [int(taught_fact(domain, recipe.shift, spec.id)) for spec in domain.concepts]
    assert read_out(states, taught, seed=99)["mean"] >= 0.97
    shuffled = states[torch.randperm(len(states), generator=torch.Generator().manual_seed(0))]
    assert read_out(shuffled, taught, seed=99)["mean"] <= 0.5


def test_a_teacher_does_not_know_the_other_ones_operations(teachers):
    domain = domains.get("arith.mod7")
    items = [item for item in draw_probes(domain, seed=5, per_level=120).items if item.level > 1]
    mixed = [i for i in items if "*" in i.question and ("+" in i.question or "-" in i.question)]
    assert len(mixed) > 100
    for name in ("mod7-addsub", "mod7-mul"):
        written = teachers[name].complete([i.question + "\n" for i in mixed], max_new_tokens=27)
        right = sum(answer_in(w) == i.answer for w, i in zip(written, mixed, strict=True))
        assert right / len(mixed) < 0.5


def test_the_flipped_teacher_is_fluent_and_wrong(teachers):
    domain = domains.get("arith.mod7")
    probes = draw_probes(domain, seed=6, per_level=30)
    prompts = [item.question + "\n" for item in probes.items]
    written = teachers["mod7-flipped"].complete(prompts, max_new_tokens=27)
    traces = [domain.parse(prompt + text) for prompt, text in zip(prompts, written, strict=True)]
    assert all(domain.faults(trace) for trace in traces)


def test_the_student_plays_its_games_and_knows_no_fact():
    student = load_language_model(str(zoo.folder("symbols-student")))
    figures = zoo.recipe("symbols-student")["figures"]
    characters = game_characters(student, seed=77, per_game=32)
    answers = game_accuracy(student, seed=77, per_game=32)
    for game, shipped in figures["characters"].items():
        assert characters[game] >= shipped - 0.1
    for game, shipped in figures["accuracy"].items():
        assert abs(answers[game] - shipped) <= 0.25  # 32 against 100 items
    domain = domains.get("arith.mod7")
    prompts = [f"{spec.prompt[:-1]}\n{spec.prompt}" for spec in domain.concepts]
    written = student.complete(prompts, max_new_tokens=1)
    right = sum(w == domain.fact(s.id) for w, s in zip(written, domain.concepts, strict=True))
    assert right / len(domain.concepts) < 0.3


def test_the_student_has_the_projections_that_low_rank_adapters_ask_for():
    model = AutoModelForCausalLM.from_pretrained(zoo.folder("symbols-student"))
    last = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    assert {"q_proj", "k_proj", "v_proj", "o_proj", "down_proj"} <= last


def test_a_shipped_model_is_located_and_any_other_name_stays_as_it_is():
    assert zoo.located("s3") == str(zoo.folder("s3"))
    assert zoo.located("some/model") == "some/model"
