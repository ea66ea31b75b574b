import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

from m2kt.activations import (
    decoder,
    decoder_layers,
    logits_of,
    record,
    remember,
    resume,
    resume_at,
    rewrite,
    rows_can_be_shared,
    states_at,
)
from m2kt.errors import CompatibilityError

SIZES = {"vocab_size": 17, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}


def small(family: str):
    generator = torch.Generator().manual_seed(0)
    if family == "gpt2":
        config = GPT2Config(n_embd=16, n_layer=3, n_head=2, n_positions=32, **SIZES)
    else:
        config = LlamaConfig(
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=3,
            num_attention_heads=2,
            num_key_value_heads=2,
            **SIZES,
        )
    model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model


IDS = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]])


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_upper_layers_continue_exactly_where_the_lower_ones_stopped(family, layer):
    model = small(family)
    whole = decoder(model)(input_ids=IDS).last_hidden_state
    assert torch.equal(resume(model, IDS, states_at(model, IDS, layer=layer), layer=layer), whole)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_recorded_states_are_those_that_the_library_reports(family):
    model = small(family)
    with record(model, layers=[0, 1, 2]) as recording:
        output = model(input_ids=IDS, output_hidden_states=True)
    for number in range(3):
        assert torch.equal(recording.states[number], output.hidden_states[number])


def test_a_rewrite_changes_the_result_inside_the_with_only():
    model = small("llama")
    before = model(input_ids=IDS).logits
    with rewrite(model, layer=1, change=lambda states: states + 1):
        inside = model(input_ids=IDS).logits
    assert not torch.equal(inside, before)
    assert torch.equal(model(input_ids=IDS).logits, before)


def test_resuming_puts_every_layer_back_even_after_a_failure():
    model = small("llama")
    layers = list(decoder_layers(model))
    with pytest.raises(RuntimeError):
        resume(model, IDS, torch.zeros(2, 5, 7), layer=2)
    assert list(decoder_layers(model)) == layers
    assert decoder(model)(input_ids=IDS).last_hidden_state.shape == (2, 5, 16)


def test_logits_are_those_of_the_whole_model():
    model = small("gpt2")
    states = decoder(model)(input_ids=IDS).last_hidden_state[:, -1]
    assert torch.allclose(logits_of(model, states), model(input_ids=IDS).logits[:, -1], atol=1e-6)


def test_logits_are_capped_where_the_model_caps_them():
    model = small("llama")
    states = decoder(model)(input_ids=IDS).last_hidden_state[:, -1]
    model.config.final_logit_softcapping = 0.5
    assert float(logits_of(model, states).abs().max()) <= 0.5


@pytest.mark.parametrize("layer", [-1, 4])
def test_a_layer_that_is_not_there_is_refused(layer):
    with pytest.raises(CompatibilityError, match="between 0 and 3"):
        states_at(small("llama"), IDS, layer=layer)


def test_a_model_without_decoder_layers_is_refused():
    with pytest.raises(CompatibilityError, match="decoder-only"):
        decoder_layers(torch.nn.Linear(2, 2))
    with pytest.raises(CompatibilityError, match="decoder inside"):
        decoder(torch.nn.Linear(2, 2))


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_texts_side_by_side_in_a_row_do_not_see_each_other(family):
    model = small(family)
    side_by_side = IDS.reshape(1, 10)
    positions = torch.tensor([[0, 1, 2, 3, 4, 0, 1, 2, 3, 4]])
    states = states_at(model, side_by_side, layer=1, positions=positions)
    packed = resume(model, side_by_side, states, layer=1, positions=positions)
    whole = decoder(model)(input_ids=IDS).last_hidden_state
    assert torch.allclose(packed.reshape(2, 5, -1), whole, atol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_place_is_resumed_with_what_stood_before_it(family, layer):
    model = small(family)
    seen = remember(model, IDS, layer=layer)
    rows, columns = torch.tensor([0, 1, 1]), torch.tensor([4, 0, 2])
    found = resume_at(model, seen, rows, columns, seen.states[rows, columns])
    whole = decoder(model)(input_ids=IDS).last_hidden_state
    assert torch.allclose(found, whole[rows, columns], atol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_logits_of_some_tokens_are_those_of_all(family):
    model, tokens = small(family), torch.tensor([3, 1])
    states = states_at(model, IDS, layer=3)[0]
    found, wanted = logits_of(model, states, tokens), logits_of(model, states)[:, tokens]
    torch.testing.assert_close(found, wanted)  # to float32: sums of another order differ near 0


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_whether_rows_can_be_shared_is_tried_out(family):
    model = small(family)
    assert rows_can_be_shared(model, [1, 2, 3], [7, 8])
    with rewrite(model, layer=1, change=lambda states: states.cumsum(dim=1)):
        assert not rows_can_be_shared(model, [1, 2, 3], [7, 8])


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_state_that_is_rewritten_is_taken_as_it_was_before(family):
    model = small(family)
    with rewrite(model, layer=2, change=lambda states: states + 1.0), torch.no_grad():
        whole = decoder(model)(input_ids=IDS).last_hidden_state
        taken = states_at(model, IDS, layer=2)
        assert torch.equal(resume(model, IDS, taken, layer=2), whole)
