"""A relation is learnt from a few facts if, and only if, concepts lie as they are related."""

import math

import pytest
import torch

from m2kt.blend import Share
from m2kt.cal import CALConfig, ConceptAlignmentLayer
from m2kt.domains.chains import Chains, Operation
from m2kt.domains.relations import Relations
from m2kt.errors import AlignmentError
from m2kt.relating import RelationPlan, fit, require_all
from m2kt.relation import Relation, Role, Roles

MODULUS, WIDTH = 31, 24
PLAN = RelationPlan(steps=400)


def circles() -> torch.Tensor:
    """Concepts as a network that has understood addition keeps them: numbers lie on circles."""
    generator = torch.Generator().manual_seed(0)
    angles = torch.arange(MODULUS)[:, None] * 2 * math.pi / MODULUS * torch.tensor([1, 3, 7, 11])
    numbers = torch.cat([angles.cos(), angles.sin()], dim=1)
    turn = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=generator))[0][:8]
    return torch.cat([numbers @ turn, torch.randn(2, WIDTH, generator=generator)])


def memory(concepts: torch.Tensor) -> ConceptAlignmentLayer:
    elements, operators = torch.arange(MODULUS), torch.tensor([MODULUS, MODULUS + 1])
    generator = torch.Generator().manual_seed(1)
    left, operator, right = (
        Role(its, torch.randn(len(its), 8, generator=generator))
        for its in (elements, operators, elements)
    )
    share = Share(concepts, torch.arange(len(concepts)), torch.ones(len(concepts)))
    shape = CALConfig(relation_rank=8, relation_width=64, relation_inner=128)
    return ConceptAlignmentLayer(shape, Roles(elements, left, operator, right), [share], seed=0)


def relation(concepts: torch.Tensor) -> Relation:
    found = memory(concepts).relation
    assert found is not None
    return found


def table() -> tuple[torch.Tensor, torch.Tensor]:
    """All sums and differences, and what comes out."""
    numbers = torch.arange(MODULUS)
    left, sign, right = torch.cartesian_prod(numbers, torch.arange(2), numbers).T
    facts = torch.stack([left, MODULUS + sign, right], dim=1)
    return facts, torch.where(sign == 0, left + right, left - right) % MODULUS


def unseen_right(concepts: torch.Tensor, share: float) -> float:
    """What is right of the facts that were not shown."""
    its, (facts, wanted) = relation(concepts), table()
    order = torch.randperm(len(facts), generator=torch.Generator().manual_seed(2))
    shown, rest = order[: int(share * len(order))], order[int(share * len(order)) :]
    fit(its, facts[shown], wanted[shown], PLAN, lambda _step, _loss: None)
    with torch.no_grad():
        return float((its.outcomes(facts[rest]).argmax(dim=-1) == wanted[rest]).float().mean())


def test_geometry_tells_the_facts_that_were_not_shown():
    assert unseen_right(circles(), 0.15) > 0.9


@pytest.mark.parametrize("order", ["shuffled", "random"])
def test_without_geometry_the_same_facts_tell_next_to_nothing(order):
    generator, concepts = torch.Generator().manual_seed(3), circles()
    if order == "shuffled":
        concepts[:MODULUS] = concepts[torch.randperm(MODULUS, generator=generator)]
    else:
        concepts = torch.randn(concepts.shape, generator=generator)
    assert unseen_right(concepts, 0.15) < 0.2


def test_every_step_is_watched_and_the_facts_shown_are_learnt():
    its, (facts, wanted) = relation(circles()), table()
    heard: list[tuple[int, float]] = []
    fit(its, facts[:90], wanted[:90], PLAN, lambda *news: heard.append(news))
    assert [step for step, _ in heard] == list(range(PLAN.steps))
    assert heard[-1][1] < 0.05 < heard[0][1]
    assert torch.equal(its.outcomes(facts[:90]).argmax(dim=-1), wanted[:90])


@pytest.mark.parametrize(
    ("left_out", "told"), [("sums/2", "without 'sums/2'"), ("sums/+", r"without 'sums/\+'")]
)
def test_a_lesson_without_a_concept_that_facts_need_is_refused(left_out, told):
    table = {(str(a), str(b)): str((a + b) % 3) for a in range(3) for b in range(3)}
    domain = Relations(Chains("sums", "012", [Operation("+", "", tuple("012"), table)]))
    names = [spec.id for spec in domain.concepts]
    require_all(domain, {name: number for number, name in enumerate(names)})
    with pytest.raises(AlignmentError, match=told):
        require_all(domain, {name: 0 for name in names if name != left_out})


def test_the_memory_of_a_relation_is_made_again_from_its_tensors():
    its = memory(circles())
    again = ConceptAlignmentLayer.from_tensors(its.tensors(), its.header())
    states = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(4))
    assert torch.equal(again.find(states), its.find(states))
    assert again.relation is not None


def test_rehearsal_leaves_a_relation_as_it_was_learnt():
    its = memory(circles())
    trained = {id(parameter) for parameter in its.rehearsed()}
    assert trained
    assert trained.isdisjoint(id(parameter) for parameter in its.find.parameters())
