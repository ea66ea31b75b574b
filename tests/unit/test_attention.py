import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
)

from m2kt.attention import Change, HeadStates, attended
from m2kt.errors import CompatibilityError

SIZES = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
}
GEMMA = {"head_dim": 8, "sliding_window": 6, "layer_types": ["sliding_attention"] * 3}
FAMILIES = {
    "gpt2": GPT2Config(**SIZES),
    "gpt_neox": GPTNeoXConfig(**SIZES),
    "llama": LlamaConfig(**SIZES),
    "gemma3": Gemma3TextConfig(**SIZES, **GEMMA),
}
IDS = torch.tensor([[5, 9, 11, 4, 17, 30, 2, 8, 7, 3], [6, 9, 12, 4, 40, 30, 22, 8, 7, 3]])
LAST = torch.full((2,), 9)
EVERY = torch.ones(2, 3, 4, dtype=torch.bool)


def untrained(config):
    torch.manual_seed(1)
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.fixture(params=FAMILIES)
def lm(request):
    return untrained(FAMILIES[request.param])


def swapped(states: HeadStates) -> HeadStates:
    return HeadStates(states.patterns.flip(0), states.outputs.flip(0))


@torch.no_grad()
def test_to_look_on_changes_nothing_and_nothing_stays(lm):
    wanted, chosen = lm(IDS).logits, lm.config._attn_implementation
    with attended(lm) as seen:
        torch.testing.assert_close(lm(IDS).logits, wanted, atol=1e-4, rtol=1e-4)
    assert sorted(seen.patterns) == sorted(seen.outputs) == [0, 1, 2]
    assert lm.config._attn_implementation == chosen
    assert torch.equal(lm(IDS).logits, wanted)


@torch.no_grad()
def test_patterns_are_those_that_the_model_tells_of_itself(lm):
    with attended(lm) as seen:
        lm(IDS)
    lm.set_attn_implementation("eager")
    told = lm(IDS, output_attentions=True).attentions
    for number, pattern in enumerate(told):
        torch.testing.assert_close(seen.patterns[number], pattern, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_place_where_all_heads_say_what_they_say_elsewhere_is_that_place(lm):
    wanted = lm(IDS).logits
    with attended(lm) as seen:
        lm(IDS)
    change = Change(heads=EVERY, columns=LAST, source=swapped(seen.at(LAST)))
    with attended(lm, change):
        found = lm(IDS).logits
    torch.testing.assert_close(found[:, 9], wanted[:, 9].flip(0), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[:, :9], wanted[:, :9], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_only_the_chosen_head_of_the_chosen_text_changes(lm):
    heads = torch.zeros_like(EVERY)
    heads[0, 1, 2] = True
    with attended(lm) as seen:
        lm(IDS)
    before, other = seen.at(LAST), swapped(seen.at(LAST))
    with attended(lm, Change(heads=heads, columns=LAST, source=other)) as changed:
        lm(IDS)
    after = changed.at(LAST)
    torch.testing.assert_close(after.outputs[0, 1, 2], other.outputs[0, 1, 2])
    torch.testing.assert_close(after.outputs[0, 1, :2], before.outputs[0, 1, :2])
    torch.testing.assert_close(after.outputs[1], before.outputs[1])
    assert not torch.allclose(after.outputs[0, 2], before.outputs[0, 2])


@torch.no_grad()
def test_a_pattern_from_elsewhere_meets_the_texts_own_values(lm):
    with attended(lm) as seen:
        lm(IDS)
    own, first = seen.at(LAST), torch.zeros_like(seen.at(LAST).patterns)
    first[..., 9] = 1.0  # every head looks at the place itself
    change = Change(
        heads=EVERY,
        columns=LAST,
        source=HeadStates(first, torch.full_like(own.outputs, torch.nan)),
        pattern_only=True,
    )
    with attended(lm, change) as changed:
        lm(IDS)
    after = changed.at(LAST)
    assert torch.equal(after.patterns, first)
    assert torch.isfinite(after.outputs).all()
    torch.testing.assert_close(changed.outputs[0][:, 0], seen.outputs[0][:, 0])  # nothing before


@torch.no_grad()
def test_the_pattern_that_a_text_has_changes_nothing(lm):
    wanted = lm(IDS).logits
    with attended(lm) as seen:
        lm(IDS)
    change = Change(heads=EVERY, columns=LAST, source=seen.at(LAST), pattern_only=True)
    with attended(lm, change):
        torch.testing.assert_close(lm(IDS).logits, wanted, atol=1e-4, rtol=1e-4)


def test_an_error_inside_leaves_the_model_as_it_was():
    lm = untrained(FAMILIES["gpt2"])
    chosen = lm.config._attn_implementation
    with pytest.raises(ZeroDivisionError), attended(lm):
        raise ZeroDivisionError
    assert lm.config._attn_implementation == chosen


def test_a_model_whose_attention_cannot_be_exchanged_is_refused():
    lm = untrained(BloomConfig(vocab_size=61, hidden_size=32, n_layer=2, n_head=4))
    with pytest.raises(CompatibilityError, match="can be exchanged"), attended(lm):
        pass


def test_a_model_that_computes_attention_otherwise_is_refused():
    lm = untrained(Gemma2Config(**SIZES, **GEMMA))
    with pytest.raises(CompatibilityError, match="capped"), attended(lm):
        lm(IDS)
