"""Each family of models that the README names is read and takes a CAL: tiny untrained models."""

import random
import re
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from m2kt.align import align
from m2kt.errors import CompatibilityError
from m2kt.identity import AgentId
from m2kt.inventory import named
from m2kt.language_model import LanguageModel
from m2kt.student import Student
from m2kt.tensors import digest_state
from tests.lessons import FAST, lesson, model, multiplication

README = (Path(__file__).parents[2] / "README.md").read_text()
# What the families call by names of their own has the size that fits; the others ignore it.
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 8,
    "rotary_dim": 4,
    "ffn_dim": 48,
    "word_embed_proj_dim": 32,
    "num_local_experts": 2,
    "max_position_embeddings": 128,
    "attention_types": [[["global", "local"], 2]],
    "bos_token_id": 1,
    "eos_token_id": 1,
    "pad_token_id": 0,
}


def families() -> list[str]:
    """The `model_type`s that the README names."""
    [named] = re.findall(r"by `model_type`[^:]*:\s+((?:`[a-z0-9_]+`[,\s]*)+)", README)
    return re.findall(r"`([a-z0-9_]+)`", named)


def untrained(family: str) -> LanguageModel:
    """A model of that family with the tokenizer of a shipped one."""
    tokenizer = model("mod7-mul").tokenizer
    config = AutoConfig.for_model(family, vocab_size=len(tokenizer), **SIZES)
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        made = AutoModelForCausalLM.from_config(config)
    return LanguageModel(family, made.float(), tokenizer, "cpu")


def test_the_readme_names_families():
    assert {"llama", "gpt2", "gpt_neox", "stablelm"} < set(families())


@pytest.mark.parametrize("family", families())
def test_a_model_of_the_family_is_read_and_takes_a_layer(family):
    lm, grammar = untrained(family), multiplication()
    assert lm.depth == SIZES["num_hidden_layers"]
    weights = digest_state(lm.model.state_dict())

    held = named(lm, grammar, count=2, layer=lm.depth, rng=random.Random(0))
    exemplars = held.exemplars
    assert exemplars.shape == (len(grammar.concepts), 2, lm.width)
    assert exemplars.std(dim=0).max() > 0, "concepts differ"

    short = replace(FAST, readout_steps=2, steps=2, warmup=1)
    candidate = align(Student(AgentId("s"), lm), lesson(), grammar, short, lambda _: None)
    with pytest.raises(CompatibilityError, match="positions") if lm.positions else nullcontext():
        lm.last_states(["1+2\n" * SIZES["max_position_embeddings"]], layer=1)
    moved = [
        t for name, t in candidate.cal.adapters.items() if name.endswith(".lora_B") and t.any()
    ]
    assert moved, "adapters have learnt"
    assert digest_state(lm.model.state_dict()) == weights


def test_a_family_without_attention_is_refused():
    student = Student(AgentId("s"), untrained("mamba"))
    short = replace(FAST, readout_steps=1, steps=1)
    with pytest.raises(CompatibilityError, match="not supported yet"):
        align(student, lesson(), multiplication(), short, lambda _: None)
