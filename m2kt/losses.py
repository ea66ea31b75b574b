r"""The composite loss L = alpha L_geo + beta L_struct + gamma L_reason + lambda L_safety.

Each term is a pure function; the sum returns its parts. Source: arXiv 2511.17638,
equations 12 to 18, in the forms that `DESIGN.md` section 1 and `SCIENCE.md` section 1 give.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows
from jaxtyping import Float, Int
from torch import Tensor

from m2kt.tensors import ConceptValues, Scalar

FLOOR = 1e-6
"""Added to a probability before its logarithm is taken."""


def geometry_loss(values: ConceptValues, targets: ConceptValues) -> Scalar:
    r"""L_geo (Eq. 12), as a mean over concepts.

    .. math:: \frac{1}{K} \sum_k \| \phi_\theta(c_k) - c^S_k \|_2^2
    """
    return (values - targets).square().sum(dim=-1).mean()


def structure_loss_l1(teacher: Float[Tensor, "N K"], student: Float[Tensor, "N K"]) -> Scalar:
    r"""L_struct (Eq. 13-14), as a mean over steps.

    .. math:: \frac{1}{N} \sum_n \| A^T_n - A^S_n \|_1
    """
    return (teacher - student).abs().sum(dim=-1).mean()


def structure_loss(teacher: Float[Tensor, "N K"], student: Float[Tensor, "N K"]) -> Scalar:
    r"""L_struct as a cross-entropy: the same optimum as Eq. 13-14, and it trains better.

    .. math:: -\frac{1}{N} \sum_n \sum_k A^T_{nk} \log A^S_{nk}
    """
    return -(teacher * (student + FLOOR).log()).sum(dim=-1).mean()


def structure_divergence(
    teacher: Float[Tensor, "N K"], student: Float[Tensor, "N K"]
) -> Float[Tensor, ""]:
    r"""KL(A^T || A^S) in nats, as a mean over steps: L_struct without what the teacher's maps have.

    .. math:: \frac{1}{N} \sum_n \sum_k A^T_{nk} \log (A^T_{nk} / A^S_{nk})
    """
    own = -(teacher * (teacher + FLOOR).log()).sum(dim=-1).mean()
    return structure_loss(teacher, student) - own


def structure_figures(
    teacher: Float[Tensor, "N K"], student: Float[Tensor, "N K"], due: Int[Tensor, "N"]
) -> dict[str, float]:
    """How far the student's maps are from the teacher's, and how often the concept due leads.

    What a teacher's map says of concepts with one result is much alike, so the first may stay
    large where the second is as good as can be.
    """
    return {
        "divergence_structure": float(structure_divergence(teacher, student)),
        "structure_agreement": float((student.argmax(dim=-1) == due).float().mean()),
    }


def reasoning_loss(logits: Float[Tensor, "N V"], symbols: Int[Tensor, "N"]) -> Scalar:
    r"""L_reason (Eq. 15-16): mean of CE(s_i, t_i) over the states of the traces."""
    return F.cross_entropy(logits.float(), symbols)


def safety_loss(
    values: ConceptValues, directions: Float[Tensor, "U H"], *, margin: float, sharpness: float
) -> Scalar:
    r"""L_safety (Eq. 17-18): sum over concepts of a penalty on what they were projected to.

    .. math:: \frac{1}{K} \sum_k \sum_u
        \mathrm{softplus}(\beta (\cos(\phi_\theta(c_k), w_u) - \tau)) / \beta

    The paper penalises c_k, which is constant in theta; the projected concept is not.

    Args:
        values: phi(c_k).
        directions: Unit vectors w_u that point at what must not be learnt; U may be 0.
        margin: tau, the cosine from which on it hurts.
        sharpness: beta.
    """
    if directions.shape[0] == 0:
        return values.new_zeros(())
    cosines = F.normalize(values, dim=-1) @ F.normalize(directions, dim=-1).T
    return F.softplus(sharpness * (cosines - margin)).sum(dim=-1).mean() / sharpness


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """alpha, beta, gamma and lambda."""

    geometry: float = 1.0
    structure: float = 0.1
    reason: float = 1.0
    safety: float = 1.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LossParts:
    """The four terms of one step."""

    geometry: Scalar
    structure: Scalar
    reason: Scalar
    safety: Scalar

    def total(self, weights: LossWeights) -> Scalar:
        """The weighted sum."""
        terms = torch.stack([self.geometry, self.structure, self.reason, self.safety])
        scale = [weights.geometry, weights.structure, weights.reason, weights.safety]
        return (terms * terms.new_tensor(scale)).sum()

    def figures(self) -> dict[str, float]:
        """The terms by name, for a report."""
        names = ("geometry", "structure", "reason", "safety")
        return {f"loss_{name}": float(getattr(self, name).detach()) for name in names}
