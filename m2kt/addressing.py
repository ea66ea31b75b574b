"""How the memory finds which concept is due: in closed form, on the frozen student.

The student's own states tell which concept is due, but along directions that are small
beside what all its states have in common. Fisher's linear discriminant finds them: whiten
by the scatter within concepts, then keep the directions in which concepts differ most
(Fisher, 1936; Bishop, *Pattern Recognition and Machine Learning*, section 4.1.6). Each is
scaled by how much of what is seen along it is signal, as in probabilistic LDA (Ioffe, 2006).

Owns: `address`, which sets projections of queries and keys, tau and null slot, and
`recognised`, which says how well concepts can be found in some states at all.
Does not own: the attention itself (address), the places it is fitted on (drills).
"""

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int
from torch import Tensor

from m2kt.address import Address
from m2kt.cal import ConceptAlignmentLayer
from m2kt.drills import Drills
from m2kt.relation import Role, Roles
from m2kt.tensors import ConceptKeys, mean_by

SHARPNESS_COST = 1e-3
"""What a unit of the factor on cosines costs: places that were fitted look too certain."""

SHRINKAGE = 0.03
"""Share of the mean variance that is added to the scatter within concepts."""


def concept_keys(drills: Drills, count: int) -> ConceptKeys | Roles:
    """Mean of the student's normalised states where each concept is due, Float [K, H].

    In a relational domain a mean for each role that a concept may have.
    """
    states = _normalised(drills.looked)
    if not drills.operands.shape[1]:
        return mean_by(drills.concepts, states, count)
    left, operator, right = (_role(states, its) for its in drills.operands.T)
    return Roles(drills.concepts.unique(), left, operator, right)


def recognised(drills: Drills, count: int, *, rank: int) -> float:
    """Share of places at which the right concept is found, by what the other places tell.

    Every second place of a concept is left out of the fit. Concepts with one place say nothing.
    """
    turns = _turns(drills.concepts) % 2 == 1
    known, asked = drills.concepts[~turns], drills.concepts[turns]
    if not len(asked):
        return 0.0
    states = _normalised(drills.looked)
    its = Address(mean_by(known, states[~turns], count), rank=rank).to(states.device)
    its.point(discriminant(states[~turns], known, its.keys, rank=rank))
    with torch.no_grad():
        best = its.cosines(states[turns]).argmax(dim=-1)
    return float((best == asked).float().mean())


def _turns(concepts: Int[Tensor, "N"]) -> Int[Tensor, "N"]:
    """For each place how many places of its concept stand before it."""
    order = concepts.argsort(stable=True)
    counts = concepts.bincount()
    starts = counts.cumsum(dim=0) - counts
    numbers = torch.arange(len(concepts), device=concepts.device)
    return torch.empty_like(concepts).index_copy(0, order, numbers - starts[concepts[order]])


def _role(states: Float[Tensor, "N H"], concepts: Int[Tensor, "N"]) -> Role:
    members, numbers = concepts.unique(return_inverse=True)
    return Role(members, mean_by(numbers, states, len(members)))


def set_addresses(cal: ConceptAlignmentLayer, drills: Drills) -> float:
    """Sets where `cal` looks for what; the mean cross-entropy that is left."""
    find = cal.find
    if isinstance(find, Address):
        return address(find, drills.looked, drills.concepts, drills.elsewhere)
    roles = (find.left, find.operator, find.right)
    left = [
        address(its, drills.looked, torch.searchsorted(its.members, column), drills.elsewhere)
        for its, column in zip(roles, drills.operands.T.contiguous(), strict=True)
    ]
    return sum(left) / len(left)


@torch.no_grad()
def discriminant(
    states: Float[Tensor, "N H"], concepts: Int[Tensor, "N"], keys: ConceptKeys, *, rank: int
) -> Float[Tensor, "R H"]:
    """The `rank` directions that tell concepts apart best; zeros where there are fewer.

    Args:
        states: Normalised states.
        concepts: Which concept is due at each.
        keys: Mean state of each concept.
        rank: R.
    """
    spread = states - keys[concepts]
    within = spread.T @ spread / len(spread)
    level = within.diagonal().mean().clamp_min(1e-6)
    within += SHRINKAGE * level * torch.eye(len(within), device=within.device)
    whiten = torch.linalg.inv(torch.linalg.cholesky(within))
    between = (keys - keys.mean(dim=0)) @ whiten.T
    _, strengths, turned = torch.linalg.svd(between, full_matrices=False)
    signal = strengths.square() / len(keys)
    directions = ((signal / (signal + 1))[:, None] * turned)[:rank] @ whiten
    found = states.new_zeros(rank, states.shape[1])
    found[: len(directions)] = directions / directions.norm(dim=-1).mean()
    return found


def address(
    its: Address,
    states: Float[Tensor, "N H"],
    concepts: Int[Tensor, "N"],
    elsewhere: Float[Tensor, "M H"],
) -> float:
    """Sets where `its` concepts are found; the mean cross-entropy that is left.

    The projections of queries and keys come in closed form; the factor on cosines and the
    null slot minimise -log a_k where concept k is due, and -log a_null elsewhere.

    Args:
        its: What is set.
        states: The student's at places where something is due.
        concepts: What, as a number among `its` members.
        elsewhere: The student's states at places where nothing is due.
    """
    found = discriminant(_normalised(states), concepts, its.keys, rank=its.query.out_features)
    with torch.no_grad():
        its.point(found)
        scored = its.cosines(torch.cat([states, elsewhere]))
    nothing = concepts.new_full((len(elsewhere),), len(its.keys))
    wanted = torch.cat([concepts, nothing])
    optimizer = torch.optim.LBFGS([its.tau, its.null], max_iter=100, line_search_fn="strong_wolfe")

    def evaluate() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(its.scores(scored), wanted) + SHARPNESS_COST * its.sharpness
        loss.backward()
        return loss

    optimizer.step(evaluate)
    with torch.no_grad():
        return float(F.cross_entropy(its.scores(scored), wanted))


def _normalised(states: Float[Tensor, "N H"]) -> Float[Tensor, "N H"]:
    return F.rms_norm(states.float(), states.shape[-1:])
