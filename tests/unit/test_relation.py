import torch

from m2kt.blend import Share
from m2kt.relation import Relation, Role, Roles

ELEMENTS, OPERATORS = torch.tensor([0, 1, 2]), torch.tensor([3])
KEYS = 3 * torch.eye(8)


def relation() -> Relation:
    """Of three elements and one operator; a state that is a sum of their keys points at them."""
    roles = Roles(
        ELEMENTS,
        Role(ELEMENTS, KEYS[:3]),
        Role(OPERATORS, KEYS[3:4]),
        Role(ELEMENTS, KEYS[4:7]),
    )
    concepts = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    share = Share(concepts, torch.arange(4), torch.ones(4))
    its = Relation(roles, [share], rank=8, width=5, inner=7)
    with torch.no_grad():
        for address in (its.left, its.operator, its.right):
            address.tau.fill_(4.0)
            for projection in (address.query, address.key):
                projection.weight.copy_(torch.eye(8))
    return its


def test_a_state_attends_to_what_comes_out_of_the_operands_it_points_at():
    its = relation()
    state = KEYS[2] + KEYS[3] + KEYS[5]
    with torch.no_grad():
        found = its(state)
        wanted = its.outcomes(torch.tensor([[2, 3, 1]]))[0].softmax(dim=-1)
    assert torch.allclose(found[:3], wanted, atol=1e-3)
    assert float(found[3]) == 0.0


def test_nothing_is_attended_to_where_no_operand_is_found():
    its = relation()
    with torch.no_grad():
        for address in (its.left, its.right):
            address.null.fill_(1e3)
        assert float(its(KEYS[7]).sum()) < 1e-3


def test_only_the_map_is_fitted_to_facts():
    its = relation()
    addressed = {
        id(p) for address in (its.left, its.operator, its.right) for p in address.parameters()
    }
    mapped = {id(p) for p in its.map_parameters()}
    assert mapped.isdisjoint(addressed)
    assert mapped | addressed == {id(p) for p in its.parameters()}
