"""A model is taught by adapters for real; what is saved is small, names its base, and loads."""

import json
from dataclasses import replace
from statistics import fmean

import pytest
import torch
from peft import AutoPeftModelForCausalLM
from safetensors.torch import load_file

from m2kt import domains, zoo
from m2kt.adapters import adapted
from m2kt.errors import AlignmentError, CompatibilityError
from m2kt.language_model import load_language_model
from m2kt.packaged import SMOLLM2
from m2kt.probes import draw_probes
from m2kt.zoo.examination import accuracy
from m2kt.zoo.tuning import TUNINGS, skill, tune
from tests.lessons import model

BASES = {"mod7-addsub": "gpt2", "mod7-mul": "gpt_neox"}
MEGABYTE = 1_000_000


def small(base, **changes):
    tuning = skill(base, domains.get("arith.mod7"), name=f"tuned-{base}")
    return replace(tuning, **{"steps": 20, "rank": 4, "descent": 5, "prefix_depth": 0.5} | changes)


@pytest.fixture(scope="module", params=BASES)
def taught(request, tmp_path_factory):
    tuning = small(request.param)
    out = tmp_path_factory.mktemp("zoo") / tuning.name
    return tuning, out, tune(tuning, out)


def test_adapters_alone_are_saved_and_say_whose_they_are(taught):
    tuning, out, figures = taught
    names = {"adapter_config.json", "adapter_model.safetensors", "recipe.json", "README.md"}
    assert {its.name for its in out.iterdir()} <= names
    assert (out / "adapter_model.safetensors").stat().st_size < MEGABYTE / 10
    assert figures.loss_last < figures.loss_first
    written = json.loads((out / "recipe.json").read_text())
    assert written["recipe"]["base"] == tuning.base
    assert written["recipe"]["family"] == BASES[tuning.base]
    assert written["recipe"]["steps_taken"] == tuning.steps


def test_the_folder_is_a_model_that_descends_from_its_base(taught):
    tuning, out, _ = taught
    tuned, base = load_language_model(str(out)), model(tuning.base)
    assert tuned.card.base_lineage == (tuning.name, tuning.base)
    assert tuned.card.parameters == base.card.parameters
    assert tuned.card.weights_digest != base.card.weights_digest
    assert not any("lora" in name for name in tuned.model.state_dict())


def test_merged_attached_and_plain_peft_say_the_same(taught):
    tuning, out, _ = taught
    tuned, base = load_language_model(str(out)), model(tuning.base)
    ids = base.padded([base.encode("3*5\n"), base.encode("1*6\n")])
    saved = {
        name.removeprefix("base_model.model.").removesuffix(".weight"): its
        for name, its in load_file(out / "adapter_model.safetensors").items()
    }
    with torch.no_grad():
        merged, before = tuned.model(input_ids=ids).logits, base.model(input_ids=ids).logits
        prefix = round(tuning.prefix_depth * base.depth)
        with adapted(base, prefix=prefix, rank=tuning.rank, kept=saved, seed=0):
            attached = base.model(input_ids=ids).logits
        plain = AutoPeftModelForCausalLM.from_pretrained(out)(input_ids=ids).logits
    assert torch.allclose(merged, attached, atol=1e-3)
    assert torch.allclose(merged, plain, atol=1e-3)
    assert (merged - before).abs().max() > 0.1


def test_a_rate_that_diverges_is_an_error(tmp_path):
    with pytest.raises(AlignmentError, match="lower learning_rate"):
        tune(small("mod7-mul", learning_rate=1e30), tmp_path / "bad")


def test_a_base_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(CompatibilityError, match="check the name"):
        tune(small(str(tmp_path / "nothing")), tmp_path / "bad")


@pytest.mark.parametrize("name", TUNINGS)
def test_a_shipped_tuning_is_the_one_in_the_code_and_small(name):
    shipped, known = zoo.recipe(name), TUNINGS[name]
    settings = {its: getattr(known, its) for its in type(known).__dataclass_fields__}
    assert settings.items() <= shipped["recipe"].items()
    assert fmean(shipped["figures"]["accuracy"].values()) >= 0.97
    files = {its.name: its.stat().st_size for its in zoo.folder(name).iterdir()}
    assert "model.safetensors" not in files
    assert sum(files.values()) < 4 * MEGABYTE
    config = json.loads((zoo.folder(name) / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "HuggingFaceTB/SmolLM2-135M-Instruct"


@pytest.mark.slow
def test_a_shipped_tuning_makes_a_teacher_of_a_language_model():
    name = "smollm2-s3"
    tuned, domain = load_language_model(str(zoo.folder(name))), domains.get("group.s3")
    assert tuned.card.base_lineage == (name, SMOLLM2)
    shares = accuracy(tuned, domain, draw_probes(domain, seed=77, per_level=8))
    assert sum(shares.values()) / len(shares) >= 0.9
