"""The Concept Alignment Layer (CAL): the only thing in a student that is trained.

    keys    s_k   the student's own normalised state where concept k's result is due (frozen)
    values  v_k = sum over teachers of share * phi(RMSNorm(c_k)), one phi a packet
    attend  a   = softmax over K and a null slot of exp(tau) * 2 * cos(W_q RMSNorm(h), W_k s_k)
    inject  h  <- h + g * sum_k a_k v_k            at one layer, two thirds up
    adapt   low-rank adapters on the projections of the layers above the frozen prefix

Owns: the memory, the CAL's attachment to a frozen model, its tensors and header.
Does not own: adapters (adapters), training (align), keeping what was trained (store).
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Literal, final

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int
from torch import Tensor, nn

from m2kt.activations import rewrite
from m2kt.adapters import adapted
from m2kt.errors import CompatibilityError
from m2kt.language_model import LanguageModel
from m2kt.tensors import Attention, ConceptKeys, ConceptMeans, ConceptValues, Hidden, Scalar

Projection = Literal["linear", "mlp", "low_rank"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CALConfig:
    """Shape of a CAL.

    Attributes:
        projection: Kind of phi.
        projection_width: Inner width of an `mlp`, rank of a `low_rank` phi.
        key_rank: Width of queries and keys.
        memory_depth: Where the memory is read, as a share of the student's layers.
        prefix_depth: Share of the layers, from below, that carry no adapter.
        adapter_rank: Rank of the low-rank adapters.
    """

    projection: Projection = "mlp"
    projection_width: int = 256
    key_rank: int = 32
    memory_depth: float = 2 / 3
    prefix_depth: float = 8 / 30
    adapter_rank: int = 8

    def memory_layer(self, depth: int) -> int:
        """The hidden state at which the memory is read, of a student of `depth` layers."""
        return min(depth - 1, max(1, round(self.memory_depth * depth)))

    def prefix(self, depth: int) -> int:
        """Number of layers below the lowest adapter."""
        return min(self.memory_layer(depth), round(self.prefix_depth * depth))


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """What one packet gives to the concepts of a memory.

    Attributes:
        means: c_k of the concepts that it gives, Float [K', D].
        slots: Which concept of the memory each is, Int [K'].
        weights: Its share in that concept, Float [K'].
    """

    means: ConceptMeans
    slots: Int[Tensor, "K"]
    weights: Float[Tensor, "K"]


def _phi(kind: Projection, width_in: int, inner: int, width_out: int) -> nn.Sequential:
    if kind == "linear":
        return nn.Sequential(nn.Linear(width_in, width_out))
    if kind == "low_rank":
        return nn.Sequential(nn.Linear(width_in, inner, bias=False), nn.Linear(inner, width_out))
    return nn.Sequential(nn.Linear(width_in, inner), nn.GELU(), nn.Linear(inner, width_out))


def _draw(module: nn.Module, generator: torch.Generator) -> None:
    """PyTorch's own initialisation of linear layers, from a generator of ours."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            bound = 1 / math.sqrt(layer.in_features)
            for parameter in layer.parameters():
                nn.init.uniform_(parameter, -bound, bound, generator=generator)


@final
class ConceptAlignmentLayer(nn.Module):
    """A concept memory and low-rank adapters for one frozen student.

    Attributes:
        config: Its shape.
        adapters: Tensors of the low-rank adapters, by name; empty before training.
        attention: Attention over the K concepts in the last forward pass, Float [B, T, K].
        reading: Whether the memory is read at all.
    """

    keys: ConceptKeys

    def __init__(
        self, config: CALConfig, keys: ConceptKeys, shares: Sequence[Share], *, seed: int
    ) -> None:
        super().__init__()
        width = keys.shape[1]
        self.config, self.seed = config, seed
        self.register_buffer("keys", keys.float())
        self.phi = nn.ModuleList()
        for number, share in enumerate(shares):
            inner, width_in = config.projection_width, share.means.shape[1]
            self.phi.append(_phi(config.projection, width_in, inner, width))
            self.register_buffer(f"means_{number}", F.rms_norm(share.means.float(), (width_in,)))
            self.register_buffer(f"slots_{number}", share.slots.long())
            self.register_buffer(f"weights_{number}", share.weights.float())
        self.query = nn.Linear(width, config.key_rank, bias=False)
        self.key = nn.Linear(width, config.key_rank, bias=False)
        self.gate = nn.Parameter(torch.tensor(1.0))
        self.tau = nn.Parameter(torch.tensor(2.0))
        self.null = nn.Parameter(torch.zeros(1))
        _draw(self, torch.Generator().manual_seed(seed))
        self.key.weight.data.copy_(self.query.weight.data)
        self.adapters: dict[str, Tensor] = {}
        self.attention: Attention | None = None
        self.reading = True

    def values(self) -> ConceptValues:
        """phi(c_k) of every concept, Float [K, H]."""
        total = torch.zeros_like(self.keys)
        for number, phi in enumerate(self.phi):
            means = getattr(self, f"means_{number}")
            part = phi(means) * getattr(self, f"weights_{number}")[:, None]
            total = total.index_add(0, getattr(self, f"slots_{number}"), part)
        return total

    @property
    def sharpness(self) -> Scalar:
        """The factor on cosines."""
        return self.tau.exp() * 2

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

    def forward(self, states: Hidden) -> Hidden:
        """Reads the memory at every position and adds what it finds."""
        if not self.reading:
            return states
        self.attention = self.scores(self.cosines(states)).softmax(dim=-1)[..., :-1]
        return states + (self.gate * (self.attention @ self.values())).to(states.dtype)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that has to be kept, by name."""
        own = {f"memory.{name}": tensor for name, tensor in self.state_dict().items()}
        return own | {f"adapter.{name}": tensor for name, tensor in self.adapters.items()}

    def header(self) -> dict[str, str]:
        """What is needed beside the tensors to make it again."""
        return {"cal_config": json.dumps(asdict(self.config)), "cal_seed": str(self.seed)}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], header: Mapping[str, str]
    ) -> "ConceptAlignmentLayer":
        """Inverse of `tensors` and `header`.

        Raises:
            CompatibilityError: they do not describe a CAL.
        """
        try:
            memory = {n[7:]: t for n, t in tensors.items() if n.startswith("memory.")}
            count = sum(name.startswith("means_") for name in memory)
            shares = [
                Share(*(memory[f"{part}_{n}"] for part in ("means", "slots", "weights")))
                for n in range(count)
            ]
            config = CALConfig(**json.loads(header["cal_config"]))
            made = cls(config, memory["keys"], shares, seed=int(header["cal_seed"]))
            made.load_state_dict(memory)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CompatibilityError(
                f"expected the tensors and header of a CAL, found {len(tensors)} tensors and"
                f" {sorted(header)}: {str(error)[:200]}; it was written by another version"
            ) from error
        made.adapters = {n[8:]: t for n, t in tensors.items() if n.startswith("adapter.")}
        return made


@contextmanager
def attached(
    language_model: LanguageModel, cal: ConceptAlignmentLayer
) -> Iterator[list[nn.Parameter]]:
    """Puts `cal` into the model for the length of the `with`; yields the adapters' parameters.

    At the end the model is as it was, and `cal.adapters` holds what the adapters have become.
    """
    config, depth = cal.config, language_model.depth
    with adapted(
        language_model,
        prefix=config.prefix(depth),
        rank=config.adapter_rank,
        kept=cal.adapters,
        seed=cal.seed + 1,
    ) as adapters:
        try:
            with rewrite(language_model.model, layer=config.memory_layer(depth), change=cal):
                yield list(adapters.values())
        finally:
            cal.adapters = {name: its.detach().clone() for name, its in adapters.items()}
