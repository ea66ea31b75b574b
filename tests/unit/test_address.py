import torch

from m2kt.address import Address


def address(count: int = 5) -> Address:
    generator = torch.Generator().manual_seed(0)
    found = Address(torch.randn(count, 8, generator=generator), rank=8)
    with torch.no_grad():
        for its in (found.query, found.key):
            its.weight.copy_(torch.eye(8))
    return found


def test_a_state_points_at_the_concept_whose_key_it_is():
    its = address()
    found = its(its.keys)
    assert torch.equal(found.argmax(dim=-1), torch.arange(5))


def test_what_goes_to_the_null_slot_is_missing_from_the_attention():
    its, states = address(), torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        its.null.fill_(50.0)
        assert float(its(states).sum(dim=-1).max()) < 1e-6
    assert torch.equal(its.best(its.keys), torch.arange(5))


def test_its_members_are_all_concepts_unless_it_is_told_otherwise():
    assert torch.equal(address().members, torch.arange(5))
    some = Address(torch.eye(2, 8), rank=8, members=torch.tensor([3, 7]))
    with torch.no_grad():
        some.key.weight.copy_(some.query.weight)
    assert some.best(some.keys).tolist() == [3, 7]
