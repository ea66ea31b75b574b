import pytest
import torch
from torch import nn

from m2kt.adapters import SCALE, adapted, adapter_targets, aimed
from m2kt.errors import CompatibilityError
from m2kt.language_model import LanguageModel
from m2kt.tensors import digest_state
from tests.lessons import model

TEACHERS = ("mod7-addsub", "mod7-mul")  # GPT-2, whose weights lie the other way, and GPT-NeoX


@pytest.mark.parametrize("name", TEACHERS)
def test_forward_and_gradients_are_those_of_the_formula(name):
    lm, generator = model(name), torch.Generator().manual_seed(0)
    target = adapter_targets(lm, 1)[0]
    frozen = lm.model.get_submodule(target)
    width = frozen.weight.shape[0 if name == "mod7-addsub" else 1]
    states = torch.randn(2, 3, width, generator=generator, requires_grad=True)
    with adapted(lm, prefix=1, rank=4, kept={}, seed=0) as adapters:
        down, up = adapters[f"{target}.lora_A"], adapters[f"{target}.lora_B"]
        up.data.normal_(generator=generator)
        found = lm.model.get_submodule(target)(states)
        wanted = frozen(states) + SCALE * (states @ down.T @ up.T)
        assert torch.allclose(found, wanted, atol=1e-5)
        weights = torch.randn(found.shape, generator=generator)
        leaves = (states, down, up)
        ours = torch.autograd.grad((found * weights).sum(), leaves)
        theirs = torch.autograd.grad((wanted * weights).sum(), leaves)
    for mine, reference in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, reference, atol=1e-4)


def test_adapters_stay_float32_beside_a_model_in_bfloat16():
    lm = model("mod7-mul")
    half = LanguageModel("half", _copy(lm.model).to(torch.bfloat16), lm.tokenizer, "cpu")
    with adapted(half, prefix=0, rank=2, kept={}, seed=0) as adapters:
        logits = half.model(input_ids=torch.tensor([half.encode("3*4")])).logits
        assert logits.dtype == torch.bfloat16
        logits.float().square().mean().backward()
        moved = [p.grad for name, p in adapters.items() if name.endswith(".lora_B")]
    assert all(grad.dtype == torch.float32 and bool(grad.any()) for grad in moved)


def test_new_adapters_change_nothing_and_kept_ones_come_back():
    lm = model("mod7-mul")
    said = lm.complete(["3*4\n"], max_new_tokens=9)
    with adapted(lm, prefix=1, rank=4, kept={}, seed=0) as adapters:
        assert lm.complete(["3*4\n"], max_new_tokens=9) == said
        for parameter in adapters.values():
            parameter.data.add_(0.5)
        kept = {name: its.detach().clone() for name, its in adapters.items()}
        changed = lm.complete(["3*4\n"], max_new_tokens=9)
    assert changed != said
    with adapted(lm, prefix=1, rank=4, kept=kept, seed=1):
        assert lm.complete(["3*4\n"], max_new_tokens=9) == changed


@pytest.mark.parametrize("name", TEACHERS)
def test_the_model_is_as_it_was_even_after_an_error(name):
    lm = model(name)
    before, modules = digest_state(lm.model.state_dict()), dict(lm.model.named_modules())
    with pytest.raises(ZeroDivisionError), adapted(lm, prefix=0, rank=4, kept={}, seed=0):
        raise ZeroDivisionError
    assert digest_state(lm.model.state_dict()) == before
    assert dict(lm.model.named_modules()) == modules


def test_adapters_of_another_model_are_refused_and_the_model_is_as_it_was():
    lm = model("mod7-mul")
    modules = dict(lm.model.named_modules())
    with adapted(lm, prefix=1, rank=4, kept={}, seed=0) as adapters:
        kept = {name: its.detach().clone() for name, its in adapters.items()}
    for wrong in (
        {f"{name}.weight": its for name, its in kept.items()},
        {name: its[:1] for name, its in kept.items()},
        dict(list(kept.items())[1:]),
    ):
        refused = pytest.raises(CompatibilityError, match="another model or version")
        with refused, adapted(lm, prefix=1, rank=4, kept=wrong, seed=0):
            pass
        assert dict(lm.model.named_modules()) == modules


def test_only_layers_above_the_prefix_are_adapted():
    names = adapter_targets(model("mod7-addsub"), 1)
    assert {int(name.split(".")[2]) for name in names} == {1, 2, 3}


def test_a_model_whose_linear_modules_are_of_another_kind_is_refused():
    class Packed(nn.Linear):
        """Stands for a quantised module: its weight is not what it multiplies with."""

    lm = model("mod7-mul")
    packed = LanguageModel("packed", _copy(lm.model), lm.tokenizer, "cpu")
    for module in packed.model.modules():
        if type(module) is nn.Linear:
            module.__class__ = Packed
    with pytest.raises(CompatibilityError, match="not supported yet"):
        adapter_targets(packed, 0)


def _copy(original: nn.Module) -> nn.Module:
    made = type(original)(original.config)
    made.load_state_dict(original.state_dict())
    return made


def aimed_adapters(name: str) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The gradient of a loss by each frozen matrix, and A after it was aimed."""
    lm = LanguageModel(name, _copy(model(name).model), model(name).tokenizer, "cpu")
    ids = torch.tensor([lm.encode("3*4+5")])
    targets = adapter_targets(lm, 1)
    weights = {n: lm.model.get_submodule(n).weight.requires_grad_() for n in targets}
    lm.model(input_ids=ids, labels=ids).loss.backward()
    slopes = {n: its.grad.T if name == "mod7-addsub" else its.grad for n, its in weights.items()}
    lm.model.requires_grad_(False)
    with adapted(lm, prefix=1, rank=2, kept={}, seed=0) as adapters:
        with aimed(lm.model):
            lm.model(input_ids=ids, labels=ids).loss.backward()
        return slopes, {n: adapters[f"{n}.lora_A"].detach().clone() for n in targets}


@pytest.mark.parametrize("name", TEACHERS)
def test_an_aimed_adapter_spans_what_would_first_change_the_frozen_weight(name):
    for target, found in zip(*(its.values() for its in aimed_adapters(name)), strict=True):
        best = torch.linalg.svdvals(target)[:2].square().sum()
        assert torch.allclose(found @ found.T, torch.eye(2), atol=1e-4)
        assert (target @ found.T).square().sum() > 0.98 * best


def test_aiming_changes_nothing_that_the_model_says_and_leaves_no_gradient():
    lm = model("mod7-mul")
    said = lm.complete(["3*4\n"], max_new_tokens=9)
    with adapted(lm, prefix=1, rank=2, kept={}, seed=0) as adapters:
        ids = torch.tensor([lm.encode("3*4")])
        with aimed(lm.model):
            lm.model(input_ids=ids, labels=ids).loss.backward()
        assert lm.complete(["3*4\n"], max_new_tokens=9) == said
        assert all(its.grad is None for its in adapters.values())
