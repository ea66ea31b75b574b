import json
from contextlib import nullcontext

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from m2kt.errors import CompatibilityError
from m2kt.language_model import LanguageModel, compute_dtype, load_language_model
from m2kt.tensors import digest_state
from tests.lessons import model, multiplication


def test_the_card_describes_the_model():
    card = model("mod7-mul").card
    assert (card.family, card.hidden_size) == ("gpt_neox", 96)
    assert card.weights_digest == digest_state(model("mod7-mul").model.state_dict())


def test_others_are_not_told_in_which_folder_a_model_lies():
    assert model("mod7-mul").card.base_lineage == ("mod7-mul",)


def test_no_weight_can_be_trained():
    assert not any(p.requires_grad for p in model("mod7-mul").model.parameters())


def test_a_token_begins_wherever_a_result_is_due():
    trace = multiplication().solve("3*5*2")
    row = model("mod7-mul").encode_trace(trace)
    text = [model("mod7-mul").tokenizer.decode([i]) for i in row.ids]
    assert "".join(text) == trace.text
    assert "".join(text[: row.prompt_length]) == trace.prompt
    assert [text[at + 1] for at in row.due] == [step.result for step in trace.steps]


def test_completions_do_not_depend_on_the_company_they_are_made_in():
    texts = ["3*5\n", "3*5*2*6\n", "1*1*4\n"]
    together = model("mod7-mul").complete(texts, max_new_tokens=27)
    alone = [model("mod7-mul").complete([text], max_new_tokens=27)[0] for text in texts]
    assert together == alone
    assert together[0].startswith("3*5=1\n#1\n")


def test_a_prompt_that_does_not_fit_is_refused_with_a_remedy():
    with pytest.raises(CompatibilityError, match="fewer or shorter examples"):
        model("mod7-addsub").complete(["1+2\n" * 30], max_new_tokens=5)


def test_a_completion_that_does_not_fit_is_refused_and_one_that_ends_in_time_is_not():
    lm = model("mod7-addsub")
    room = lm.positions - len(lm.encode("1+2\n"))
    [said] = lm.complete(["1+2\n"], max_new_tokens=room + 1)
    assert lm.complete(["1+2\n"], max_new_tokens=10 * room) == [said]
    text = "1+2\n" * (lm.positions // len(lm.encode("1+2\n")))
    with pytest.raises(CompatibilityError, match="to be written"):
        lm.complete([text], max_new_tokens=9)


@pytest.mark.parametrize(("name", "learnt"), [("mod7-addsub", True), ("mod7-mul", False)])
def test_positions_are_counted_where_they_are_learnt_one_by_one(name, learnt):
    its = model(name)
    assert its.positions == (its.model.config.max_position_embeddings if learnt else None)


@pytest.mark.parametrize(
    ("family", "named"),
    [
        ("gpt2", {"n_positions": 12}),
        ("opt", {"max_position_embeddings": 12, "word_embed_proj_dim": 16, "ffn_dim": 16}),
        ("roberta", {"max_position_embeddings": 12, "pad_token_id": 1, "is_decoder": True}),
        ("ctrl", {"n_positions": 12, "n_embd": 16, "n_layer": 1, "n_head": 2, "dff": 16}),
        ("gptj", {"n_positions": 12, "rotary_dim": 4}),
        ("llama", {"max_position_embeddings": 12}),
    ],
)
def test_every_position_that_is_counted_is_there_and_no_other(family, named):
    sizes = {
        "vocab_size": 40,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    config = AutoConfig.for_model(family, **(sizes | named))
    its = AutoModelForCausalLM.from_config(config)
    lm = LanguageModel(family, its, model("mod7-mul").tokenizer, "cpu")
    assert (lm.positions is None) == (family == "llama")
    count = lm.positions or 12
    lm.model(input_ids=torch.full((1, count), 5))
    with nullcontext() if lm.positions is None else pytest.raises((IndexError, RuntimeError)):
        lm.model(input_ids=torch.full((1, count + 1), 5))


def test_a_text_that_has_no_positions_is_never_read():
    with pytest.raises(CompatibilityError, match="shorter texts"):
        model("mod7-addsub").last_states(["1+2\n" * 60], layer=1)


def test_states_at_the_end_do_not_depend_on_padding():
    lm = model("mod7-mul")
    both = lm.last_states(["3*5=", "3*5*2*2\n3*5="], layer=2)
    assert torch.allclose(both[0], lm.last_states(["3*5="], layer=2)[0], atol=1e-5)


def test_symbols_that_begin_alike_are_refused():
    with pytest.raises(CompatibilityError, match="rename"):
        model("mod7-mul").symbol_ids(["1", "12"])


def test_an_unknown_model_is_refused_with_a_remedy(tmp_path):
    with pytest.raises(CompatibilityError, match="check the name"):
        load_language_model(str(tmp_path / "nothing"))


def test_small_models_compute_exactly():
    assert compute_dtype(1_000_000, "cpu") == torch.float32
    assert compute_dtype(100_000_000, "cpu") in {torch.bfloat16, torch.float32}


@pytest.mark.parametrize("base", [None, "", "itself"])
def test_adapters_that_name_no_model_are_refused(base, tmp_path):
    named = str(tmp_path) if base == "itself" else base
    settings = tmp_path / "adapter_config.json"
    settings.write_text(json.dumps({"base_model_name_or_path": named}))
    with pytest.raises(CompatibilityError, match="to name a whole model"):
        load_language_model(str(tmp_path))
