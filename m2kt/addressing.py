"""How the memory finds which concept is due: in closed form, on the frozen student.

The student's own states tell which concept is due, but along directions that are small
beside what all its states have in common. Fisher's linear discriminant finds them: whiten
by the scatter within concepts, then keep the directions in which concepts differ most
(Fisher, 1936; Bishop, *Pattern Recognition and Machine Learning*, section 4.1.6). Each is
scaled by how much of what is seen along it is signal, as in probabilistic LDA (Ioffe, 2006).

Owns: `address`, which sets a CAL's projections of queries and keys, tau and null slot.
Does not own: the attention itself (cal), the places it is fitted on (drills).
"""

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int
from torch import Tensor

from m2kt.cal import ConceptAlignmentLayer
from m2kt.drills import Drills
from m2kt.tensors import ConceptKeys, mean_by

SHARPNESS_COST = 1e-3
"""What a unit of the factor on cosines costs: places that were fitted look too certain."""

SHRINKAGE = 0.03
"""Share of the mean variance that is added to the scatter within concepts."""


def concept_keys(drills: Drills, count: int) -> ConceptKeys:
    """Mean of the student's normalised states where each concept is due, Float [K, H]."""
    return mean_by(drills.concepts, _normalised(drills.states), count)


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


def address(cal: ConceptAlignmentLayer, drills: Drills) -> float:
    """Sets where `cal` looks for which concept; the mean cross-entropy that is left.

    The projections of queries and keys come in closed form; the factor on cosines and the
    null slot minimise -log a_k where concept k is due, and -log a_null elsewhere.
    """
    states = _normalised(drills.states)
    found = discriminant(states, drills.concepts, cal.keys, rank=cal.config.key_rank)
    with torch.no_grad():
        cal.query.weight.copy_(found)
        cal.key.weight.copy_(found)
        scored = cal.cosines(torch.cat([drills.states, drills.elsewhere]))
    nothing = drills.concepts.new_full((len(drills.elsewhere),), len(cal.keys))
    wanted = torch.cat([drills.concepts, nothing])
    optimizer = torch.optim.LBFGS([cal.tau, cal.null], max_iter=100, line_search_fn="strong_wolfe")

    def evaluate() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(cal.scores(scored), wanted) + SHARPNESS_COST * cal.sharpness
        loss.backward()
        return loss

    optimizer.step(evaluate)
    with torch.no_grad():
        return float(F.cross_entropy(cal.scores(scored), wanted))


def _normalised(states: Float[Tensor, "N H"]) -> Float[Tensor, "N H"]:
    return F.rms_norm(states.float(), states.shape[-1:])
