r"""What comes out when an operator relates two elements, told by how concepts lie to one another.

.. math:: y = J (L u_{left} \odot R u_{right} \odot G u_{operator}),\quad
    p_k = \mathrm{softmax}_k (y \cdot u_k / \sqrt{W})

u_k are codes of the concepts: one linear map of the teacher's c_k. The same few sums teach
nothing when c_k are shuffled: the facts are in the geometry. Source: `SCIENCE.md` section 3.

Owns: `Relation`. Does not own: where its operands are found (address), how it is learnt (align).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from m2kt.address import Address
from m2kt.blend import Blend, Share
from m2kt.tensors import ConceptMeans


@dataclass(frozen=True, slots=True, eq=False)
class Role:
    """What a concept may be in a fact of a relational domain: an operand, or the operator.

    Attributes:
        members: Which concepts may be it, Int [M].
        keys: The student's mean normalised state where each of them is it, Float [M, H].
    """

    members: Int[Tensor, "M"]
    keys: Float[Tensor, "M H"]


@dataclass(frozen=True, slots=True, eq=False)
class Roles:
    """Where a student finds what a fact relates.

    Attributes:
        elements: Which concepts may come out, Int [E].
        left: The left operand.
        operator: The operator.
        right: The right operand.
    """

    elements: Int[Tensor, "E"]
    left: Role
    operator: Role
    right: Role


@final
class Relation(nn.Module):
    """A gated bilinear map among the codes of K concepts.

    Attributes:
        elements: Which concepts may come out, Int [E].
        codes: u_k, of all concepts.
        left: Where a state finds the left operand, among the concepts that may be one.
        operator: The same of the operator.
        right: The same of the right operand.
    """

    elements: Int[Tensor, "E"]

    def __init__(
        self, roles: Roles, shares: Sequence[Share], *, rank: int, width: int, inner: int
    ) -> None:
        """Makes an untrained one.

        Args:
            roles: Which concept may be what.
            shares: What each packet gives.
            rank: Width of queries and keys.
            width: W, of codes.
            inner: Width at which the three are multiplied.
        """
        super().__init__()
        self.register_buffer("elements", roles.elements)
        self.left, self.operator, self.right = (
            Address(role.keys, rank=rank, members=role.members)
            for role in (roles.left, roles.operator, roles.right)
        )
        centred = [replace(share, means=_centred(share.means)) for share in shares]
        self.codes = Blend(centred, lambda its: nn.Linear(its, width, bias=False))
        self.from_left = nn.Linear(width, inner, bias=False)
        self.from_operator = nn.Linear(width, inner)
        self.from_right = nn.Linear(width, inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)

    def map_parameters(self) -> list[nn.Parameter]:
        """What says which element comes out, and nothing of where operands are found."""
        maps = (self.codes, self.from_left, self.from_operator, self.from_right, self.out)
        return [parameter for its in maps for parameter in its.parameters()]

    def forward(self, states: Float[Tensor, "*B H"]) -> Float[Tensor, "*B K"]:
        """Attention over concepts at each state: on what comes out, if anything is due there.

        Each operand is the one concept that fits best: a mixture of several would relate to
        something that is none of them. Something is due if either operand is found.
        """
        facts = [its.best(states) for its in (self.left, self.operator, self.right)]
        found = self.outcomes(torch.stack(facts, dim=-1)).softmax(dim=-1)
        due = torch.maximum(self.left(states).sum(dim=-1), self.right(states).sum(dim=-1))
        nothing = found.new_zeros(*states.shape[:-1], self.codes.count)
        return nothing.index_copy(-1, self.elements, due[..., None] * found)

    def outcomes(self, facts: Int[Tensor, "*B 3"]) -> Float[Tensor, "*B E"]:
        """Logits over elements of what comes out.

        Args:
            facts: Which concepts are left operand, operator and right operand.
        """
        codes = self.codes()
        left, operator, right = facts.unbind(dim=-1)
        joined: Tensor = self.out(
            self.from_left(codes)[left]
            * self.from_operator(codes)[operator]
            * self.from_right(codes)[right]
        )
        found: Tensor = joined @ codes[self.elements].T / math.sqrt(codes.shape[1])
        return found


def _centred(means: ConceptMeans) -> ConceptMeans:
    """Concepts without what all of them have in common, on one scale."""
    middle = means.mean(dim=0)
    return (means - middle) / (means - middle).std()
