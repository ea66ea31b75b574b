import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    Qwen3Config,
)

from m2kt.opening import Opening, read_opening

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
EXCHANGED = {
    "grouped heads": LlamaConfig(**SIZES),
    "normed heads": Qwen3Config(**SIZES, head_dim=8),
    "learnt positions": GPT2Config(**SIZES),
    "one projection": GPTNeoXConfig(**SIZES),
}
FIRST = [3 + (7 * at) % 50 for at in range(20)]
OWN = [[5, 9, 11, 4], [17, 30, 2, 8]]


def untrained(config):
    torch.manual_seed(1)
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize("family", EXCHANGED)
@torch.no_grad()
def test_what_comes_after_an_opening_is_said_as_if_all_had_been_read(family: str):
    lm = untrained(EXCHANGED[family])
    whole = lm(torch.tensor([FIRST + own for own in OWN])).logits[:, len(FIRST) :]
    opening = read_opening(lm, FIRST)
    assert opening is not None
    with opening.attended(lm) as cache:
        said = lm(torch.tensor(OWN)[:, :3], past_key_values=cache).logits
        last = lm(torch.tensor(OWN)[:, 3:], past_key_values=cache).logits  # one token
    torch.testing.assert_close(torch.cat([said, last], dim=1), whole, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_padding_between_the_opening_and_what_follows_changes_nothing():
    lm = untrained(EXCHANGED["grouped heads"])
    whole = lm(torch.tensor([FIRST + OWN[0]])).logits[:, len(FIRST) :]
    opening = read_opening(lm, FIRST)
    assert opening is not None
    seen = torch.tensor([[*[1] * len(FIRST), 0, 0, *[1] * len(OWN[0])]])
    places = (seen.cumsum(dim=-1) - 1)[:, len(FIRST) :].clamp_min(0)
    with opening.attended(lm) as cache:
        said = lm(
            torch.tensor([[0, 0, *OWN[0]]]),
            attention_mask=seen,
            position_ids=places,
            past_key_values=cache,
        ).logits
    torch.testing.assert_close(said[:, 2:], whole, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("config", [*EXCHANGED.values(), Gemma3TextConfig(**SIZES, **GEMMA)])
@torch.no_grad()
def test_with_nothing_kept_apart_attention_is_what_it_was(config):
    lm, rows = untrained(config), torch.tensor([FIRST, FIRST[::-1]])
    wanted = lm(rows).logits
    with Opening(0, ()).attended(lm) as cache:
        assert cache is None
        torch.testing.assert_close(lm(rows).logits, wanted, atol=1e-4, rtol=1e-4)


def test_the_attention_of_a_model_is_its_own_again_after_a_failure():
    lm = untrained(EXCHANGED["grouped heads"])

    def fail() -> None:
        with Opening(0, ()).attended(lm):
            assert lm.config._attn_implementation != "sdpa"
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert lm.config._attn_implementation == "sdpa"


def test_a_layer_with_a_window_keeps_no_opening_apart():
    opening = read_opening(untrained(Gemma3TextConfig(**SIZES, **GEMMA)), FIRST)
    assert opening is not None
    assert (opening.length, list(opening.kept)) == (0, [])


def test_attention_that_cannot_be_exchanged_is_left_alone():
    assert read_opening(untrained(BloomConfig(**SIZES)), FIRST) is None
