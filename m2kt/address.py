"""Where a state of the student points among K concepts, or at none of them.

    a = softmax over K and a null slot of exp(tau) * 2 * cos(W_q RMSNorm(h), W_k s_k)

Owns: `Address`. Does not own: how it is set (addressing), what is read there (cal, relation).
"""

from typing import final

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int
from torch import Tensor, nn

from m2kt.tensors import ConceptKeys, Scalar


@final
class Address(nn.Module):
    """Attention from a state over concepts and a null slot.

    Attributes:
        members: Which concepts these are, Int [K]: all of a memory's, unless it is told otherwise.
        keys: s_k, the student's own normalised states, Float [K, H]; frozen.
        query: W_q.
        key: W_k; equal to W_q at first.
        tau: Logarithm of half the factor on cosines.
        null: Logit of the null slot.
    """

    members: Int[Tensor, "K"]
    keys: ConceptKeys

    def __init__(
        self, keys: ConceptKeys, *, rank: int, members: Int[Tensor, "K"] | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("members", torch.arange(len(keys)) if members is None else members)
        self.register_buffer("keys", keys.float())
        self.query = nn.Linear(keys.shape[1], rank, bias=False)
        self.key = nn.Linear(keys.shape[1], rank, bias=False)
        self.tau = nn.Parameter(torch.tensor(2.0))
        self.null = nn.Parameter(torch.zeros(1))

    @property
    def sharpness(self) -> Scalar:
        """The factor on cosines."""
        return self.tau.exp() * 2

    @torch.no_grad()
    def point(self, directions: Float[Tensor, "R H"]) -> None:
        """Sets along what queries and keys are compared."""
        self.query.weight.copy_(directions)
        self.key.weight.copy_(directions)

    def cosines(self, states: Float[Tensor, "*B H"]) -> Float[Tensor, "*B K"]:
        """How well each concept fits each state."""
        middle = self.keys.mean(dim=0)
        queries = F.rms_norm(states.float(), states.shape[-1:]) - middle
        addresses = F.normalize(self.key(self.keys - middle), dim=-1)
        return F.normalize(self.query(queries), dim=-1) @ addresses.T

    def scores(self, cosines: Float[Tensor, "*B K"]) -> Float[Tensor, "*B K+1"]:
        """Logits of the attention, the null slot last."""
        null = self.null.expand(*cosines.shape[:-1], 1)
        return torch.cat([cosines * self.sharpness, null], dim=-1)

    def forward(self, states: Float[Tensor, "*B H"]) -> Float[Tensor, "*B K"]:
        """The attention; what is missing to 1 went to the null slot."""
        return self.scores(self.cosines(states)).softmax(dim=-1)[..., :-1]

    def best(self, states: Float[Tensor, "*B H"]) -> Int[Tensor, "*B"]:
        """The one of `members` that fits each state best, whatever the null slot says."""
        return self.members[self.cosines(states).argmax(dim=-1)]
