import pytest
import torch

from m2kt.blend import Share
from m2kt.cal import CALConfig, ConceptAlignmentLayer, attached
from m2kt.errors import CompatibilityError
from m2kt.tensors import digest_state
from tests.lessons import SMALL_CAL, model

KINDS = ("linear", "mlp", "low_rank")


def cal(kind: str = "mlp", concepts: int = 5, seed: int = 0) -> ConceptAlignmentLayer:
    generator = torch.Generator().manual_seed(1)
    keys = torch.randn(concepts, 128, generator=generator)
    shares = [
        Share(torch.randn(3, 9, generator=generator), torch.tensor([0, 1, 2]), torch.ones(3)),
        Share(torch.randn(2, 7, generator=generator), torch.tensor([3, 4]), torch.ones(2)),
    ]
    config = CALConfig(projection=kind, memory_depth=0.5, prefix_depth=0.25, projection_width=6)
    return ConceptAlignmentLayer(config, keys, shares, seed=seed)


@pytest.mark.parametrize("kind", KINDS)
def test_two_teachers_of_different_width_share_one_memory(kind):
    assert cal(kind).values().shape == (5, 128)


def test_attention_leaves_room_for_the_null_slot():
    layer = cal()
    layer.look(torch.randn(2, 3, 128))
    assert layer.attention.shape == (2, 3, 5)
    assert bool((layer.attention.sum(-1) < 1).all())


def test_a_memory_that_is_not_read_changes_nothing():
    layer, states = cal(), torch.randn(1, 2, 128)
    layer.reading = False
    assert layer.give(layer.look(states)) is states


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_and_header_make_the_same_layer_again(kind):
    layer = cal(kind)
    with attached(model("mod7-addsub"), layer):
        pass
    again = ConceptAlignmentLayer.from_tensors(layer.tensors(), layer.header())
    states = torch.randn(1, 4, 128)
    assert torch.equal(again.give(again.look(states)), layer.give(layer.look(states)))
    assert digest_state(again.tensors()) == digest_state(layer.tensors())
    assert layer.adapters


def test_the_same_seed_draws_the_same_layer():
    assert digest_state(cal(seed=3).tensors()) == digest_state(cal(seed=3).tensors())
    assert digest_state(cal(seed=3).tensors()) != digest_state(cal(seed=4).tensors())


def test_tensors_of_another_version_are_refused():
    layer = cal()
    with pytest.raises(CompatibilityError, match="another version"):
        ConceptAlignmentLayer.from_tensors(layer.tensors(), {})


@pytest.mark.parametrize("name", ["mod7-addsub", "mod7-mul"])
def test_attaching_leaves_the_frozen_model_as_it_was(name):
    lm = model(name)
    generator = torch.Generator().manual_seed(1)
    share = Share(torch.randn(2, 4, generator=generator), torch.tensor([0, 1]), torch.ones(2))
    layer = ConceptAlignmentLayer(SMALL_CAL, torch.randn(2, lm.width), [share], seed=0)
    before, said = digest_state(lm.model.state_dict()), lm.complete(["3+4\n"], max_new_tokens=9)
    with attached(lm, layer) as adapters:
        for parameter in adapters:
            parameter.data.add_(0.5)
        assert lm.complete(["3+4\n"], max_new_tokens=9) != said
    assert digest_state(lm.model.state_dict()) == before
    assert lm.complete(["3+4\n"], max_new_tokens=9) == said
    assert not any(p.requires_grad for p in lm.model.parameters())


def test_adapters_do_not_move_where_the_memory_looks():
    lm = model("mod7-addsub")
    share = Share(torch.randn(2, 4), torch.tensor([0, 1]), torch.ones(2))
    layer = ConceptAlignmentLayer(SMALL_CAL, torch.randn(2, lm.width), [share], seed=0)
    with attached(lm, layer) as adapters:
        lm.complete(["3+4\n"], max_new_tokens=1)
        found = layer.attention.clone()
        for parameter in adapters:
            parameter.data.add_(0.5)
        lm.complete(["3+4\n"], max_new_tokens=1)
    assert torch.equal(layer.attention, found)


def test_what_an_earlier_version_kept_is_refused():
    layer = cal()
    old = {name: its for name, its in layer.header().items() if name != "cal_format"}
    for header in (old, layer.header() | {"cal_format": "1"}):
        with pytest.raises(CompatibilityError, match="un-learn, learn again"):
            ConceptAlignmentLayer.from_tensors(layer.tensors(), header)
