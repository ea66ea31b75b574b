"""Untrained models of three families, with weights drawn from a seed.

Owns: from a recipe to a configured model, and its initial weights.
Does not own: training them (training).
"""

import math
from typing import Final

import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoXConfig,
    PretrainedConfig,
    PreTrainedModel,
    StableLmConfig,
)

from m2kt.zoo.characters import END_ID, PAD_ID, SPECIAL
from m2kt.zoo.recipes import Recipe

_INTO_THE_STREAM: Final = (
    "c_proj.weight",
    "dense.weight",
    "dense_4h_to_h.weight",
    "o_proj.weight",
    "down_proj.weight",
)


ROTARY_SHARE: Final = 0.5
"""Share of a head that carries positions, in the families that rotate."""


def build(recipe: Recipe) -> PreTrainedModel:
    """An untrained model: matrices normal with deviation 0.02, norms one, biases zero.

    What writes into the residual stream is scaled by 1/sqrt(2 L), as in GPT-2. The
    global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(configure(recipe))
    generator = torch.Generator().manual_seed(recipe.seed)
    narrow = 1 / math.sqrt(2 * recipe.layers)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() >= 2:
                into = name.endswith(_INTO_THE_STREAM)
                weight.normal_(0.0, 0.02 * (narrow if into else 1.0), generator=generator)
            else:
                nn.init.constant_(weight, 0.0 if name.endswith("bias") else 1.0)
    return model


def configure(recipe: Recipe) -> PretrainedConfig:
    """The Hugging Face configuration of a recipe.

    The ids of special tokens are always given: a GPT-NeoX configuration otherwise says
    that token 2 ends a text, whatever character has that id, and generation stops there.
    """
    makers = {"gpt2": _gpt2, "gpt_neox": _gpt_neox, "stablelm": _stablelm}
    config = makers[recipe.family](recipe)
    config.bos_token_id = config.eos_token_id = END_ID
    config.pad_token_id = PAD_ID
    return config


def _vocabulary(recipe: Recipe) -> int:
    return len(SPECIAL) + len(recipe.characters)


def _gpt2(recipe: Recipe) -> PretrainedConfig:
    return GPT2Config(
        vocab_size=_vocabulary(recipe),
        n_positions=recipe.context,
        n_embd=recipe.width,
        n_layer=recipe.layers,
        n_head=recipe.heads,
        n_inner=recipe.inner,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=END_ID,
        eos_token_id=END_ID,
    )


def _gpt_neox(recipe: Recipe) -> PretrainedConfig:
    config = GPTNeoXConfig(
        vocab_size=_vocabulary(recipe),
        hidden_size=recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        intermediate_size=recipe.inner,
        max_position_embeddings=recipe.context,
        rotary_pct=ROTARY_SHARE,
    )
    # transformers 5 saves it under another name, which 4 would ignore without a word.
    config.rotary_pct = ROTARY_SHARE
    return config


def _stablelm(recipe: Recipe) -> PretrainedConfig:
    config = StableLmConfig(
        vocab_size=_vocabulary(recipe),
        hidden_size=recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        intermediate_size=recipe.inner,
        max_position_embeddings=recipe.context,
        tie_word_embeddings=True,
        partial_rotary_factor=ROTARY_SHARE,
    )
    config.partial_rotary_factor = ROTARY_SHARE
    return config
