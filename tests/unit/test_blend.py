import torch
from torch import nn

from m2kt.blend import Blend, Share


def doubled(_width: int) -> nn.Linear:
    its = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        its.weight.copy_(2 * torch.eye(2))
    return its


FIRST = Share(
    torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 2]), torch.tensor([1.0, 0.5])
)
SECOND = Share(
    torch.tensor([[4.0, 4.0], [6.0, 8.0]]), torch.tensor([1, 2]), torch.tensor([1.0, 0.5])
)


def test_a_concept_is_the_sum_of_its_packets_shares():
    found = Blend([FIRST, SECOND], doubled)()
    assert found.tolist() == [[2.0, 0.0], [8.0, 8.0], [6.0, 9.0]]


def test_every_packet_has_a_map_of_its_own_width():
    wide = Share(torch.ones(1, 5), torch.tensor([1]), torch.ones(1))
    its = Blend([FIRST, wide], lambda width: nn.Linear(width, 3))
    assert [layer.in_features for layer in its.maps] == [2, 5]
    assert its().shape == (3, 3)


def test_what_it_was_made_of_can_be_read_back():
    for have, want in zip(Blend([FIRST, SECOND], doubled).shares(), (FIRST, SECOND), strict=True):
        assert torch.equal(have.means, want.means)
        assert torch.equal(have.slots, want.slots)
        assert torch.equal(have.weights, want.weights)
