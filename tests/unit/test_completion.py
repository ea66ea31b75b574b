import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    Mamba2Config,
)

from m2kt.activations import record
from m2kt.completion import batches_by_length, greedy
from tests.lessons import model

SIZES = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "tie_word_embeddings": False,
    "initializer_range": 0.3,
}
ATTENTION = SIZES | {
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
SLIDING = {"head_dim": 8, "sliding_window": 8, "layer_types": ["sliding_attention"] * 2}
MIXED = SLIDING | {"layer_types": ["sliding_attention", "full_attention"]}
STATE_SPACE = {"num_heads": 4, "head_dim": 16, "expand": 2, "n_groups": 2, "state_size": 8}
FAMILIES = {
    "rotary": LlamaConfig(**ATTENTION),
    "sliding window": Gemma3TextConfig(**ATTENTION, **SLIDING),
    "both windows and none": Gemma3TextConfig(**ATTENTION, **MIXED),
    "learnt positions": GPT2Config(**ATTENTION),
    "one projection": GPTNeoXConfig(**ATTENTION),
    "distances, no exchange": BloomConfig(**ATTENTION),
    "state space": Mamba2Config(**SIZES, **STATE_SPACE, eos_token_id=2, pad_token_id=0),
}
SHOTS = [[3 + (7 * at) % 50 for at in range(40)] + own for own in ([5, 9], [17], [4, 8, 30], [21])]


def written(lm, rows: list[list[int]]) -> list[list[int]]:
    """What is written under each row, without the padding after an end."""
    return [
        [token for token in its if token != 0] for its in greedy(lm, rows, max_new_tokens=12, pad=0)
    ]


def tokens_read(lm, rows: list[list[int]]) -> int:
    """Tokens that the first layer saw."""
    seen = []
    with record(lm, layers=[0]) as recording:
        handle = lm.register_forward_hook(
            lambda *_: seen.append(recording.states[0].shape[:2].numel())
        )
        written(lm, rows)
        handle.remove()
    return sum(seen)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_written_is_what_transformers_writes(family: str):
    torch.manual_seed(1)
    lm = AutoModelForCausalLM.from_config(FAMILIES[family]).eval()
    plain = [
        lm.generate(torch.tensor([row]), max_new_tokens=12, do_sample=False, pad_token_id=0)
        for row in SHOTS
    ]
    wanted = [
        [token for token in its[0, len(row) :].tolist() if token != 0]
        for its, row in zip(plain, SHOTS, strict=True)
    ]
    assert [written(lm, [row])[0] for row in SHOTS] == wanted


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_written_is_what_each_prompt_alone_would_get(family: str):
    torch.manual_seed(1)
    lm = AutoModelForCausalLM.from_config(FAMILIES[family]).eval()
    same_length = [row for row in SHOTS if len(row) == 41]
    alone = [written(lm, [row])[0] for row in same_length]
    assert written(lm, same_length) == alone
    assert len({tuple(its) for its in alone}) > 1


def test_prompts_of_different_lengths_may_begin_alike():
    torch.manual_seed(1)
    lm = AutoModelForCausalLM.from_config(FAMILIES["rotary"]).eval()
    assert written(lm, SHOTS) == [written(lm, [row])[0] for row in SHOTS]


def test_what_all_prompts_begin_with_is_read_once():
    lm = model("mod7-mul").model
    rows = [[3 + at % 9 for at in range(60)] + [own, 3] for own in (4, 5, 6, 7)]
    different = [[3 + (at + 1) % 9 for at in range(60)] + rows[0][60:], *rows[1:]]
    assert tokens_read(lm, rows) == tokens_read(lm, different) - 3 * 60


def test_a_prompt_that_is_all_shared_keeps_a_token_of_its_own():
    lm = model("mod7-mul").model
    rows = [[3 + at % 9 for at in range(60)]] * 2
    assert written(lm, rows) == [written(lm, rows[:1])[0]] * 2


def test_no_prompt_no_completion():
    assert written(model("mod7-mul").model, []) == []


def test_batches_hold_rows_of_like_length():
    rows = [[0] * length for length in (5, 1, 4, 2, 3)]
    assert batches_by_length(rows, 2) == [[1, 3], [4, 2], [0]]
