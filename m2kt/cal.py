"""The Concept Alignment Layer (CAL): the only thing in a student that is trained.

    values  v_k = sum over teachers of share * phi(RMSNorm(c_k)), one phi a packet
    look    a   = where h points among the concepts (address), or what comes out of those that
                  it points at (relation); h is the last state of the frozen prefix, or that
                  which the memory gives to
    give    h  <- h + g * sum_k a_k v_k            at one layer, two thirds up
    adapt   low-rank adapters on the projections of the layers above the frozen prefix

Owns: the memory, the CAL's attachment to a frozen model, its tensors and header.
Does not own: adapters (adapters), training (align), keeping what was trained (store).
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Final, Literal, final

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from m2kt.activations import rewrite
from m2kt.adapters import adapted
from m2kt.address import Address
from m2kt.blend import PARTS, Blend, Share
from m2kt.errors import CompatibilityError
from m2kt.language_model import LanguageModel
from m2kt.relation import Relation, Role, Roles
from m2kt.tensors import Attention, ConceptKeys, ConceptValues, Hidden

FORMAT: Final = "2"
"""Of what is kept: 1 looked where it gave."""

Projection = Literal["linear", "mlp", "low_rank"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CALConfig:
    """Shape of a CAL.

    Attributes:
        projection: Kind of phi.
        projection_width: Inner width of an `mlp`, rank of a `low_rank` phi.
        key_rank: Width of queries and keys.
        relation_width: W, of the codes of concepts that facts relate.
        relation_inner: Inner width of the relation.
        relation_rank: Width of queries and keys where operands are looked for.
        memory_depth: Where the memory gives, as a share of the student's layers.
        prefix_depth: Share of the layers, from below, that carry no adapter.
        adapter_rank: Rank of the low-rank adapters.
        looks_early: Whether the memory looks at the prefix, which no adapter moves, or where it
            gives.
    """

    projection: Projection = "mlp"
    projection_width: int = 256
    key_rank: int = 32
    relation_width: int = 160
    relation_inner: int = 128
    relation_rank: int = 96
    memory_depth: float = 2 / 3
    prefix_depth: float = 8 / 30
    adapter_rank: int = 8
    looks_early: bool = True

    def memory_layer(self, depth: int) -> int:
        """The hidden state to which the memory gives, of a student of `depth` layers."""
        return min(depth - 1, max(1, round(self.memory_depth * depth)))

    def look_layer(self, depth: int) -> int:
        """The hidden state in which the memory looks."""
        return self.prefix(depth) if self.looks_early else self.memory_layer(depth)

    def above_memory(self) -> "CALConfig":
        """The same without adapters below the memory: it looks where it gives."""
        return replace(self, prefix_depth=1.0)

    def prefix(self, depth: int) -> int:
        """Number of layers below the lowest adapter."""
        return min(self.memory_layer(depth), round(self.prefix_depth * depth))


def _phi(kind: Projection, inner: int, width_out: int, width_in: int) -> nn.Sequential:
    if kind == "linear":
        return nn.Sequential(nn.Linear(width_in, width_out))
    if kind == "low_rank":
        return nn.Sequential(nn.Linear(width_in, inner, bias=False), nn.Linear(inner, width_out))
    return nn.Sequential(nn.Linear(width_in, inner), nn.GELU(), nn.Linear(inner, width_out))


def _draw(module: nn.Module, generator: torch.Generator) -> None:
    """PyTorch's own initialisation of linear layers, from a generator of ours; W_k = W_q."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            bound = 1 / math.sqrt(layer.in_features)
            for parameter in layer.parameters():
                nn.init.uniform_(parameter, -bound, bound, generator=generator)
    for its in module.modules():
        if isinstance(its, Address):
            its.key.weight.data.copy_(its.query.weight.data)


@final
class ConceptAlignmentLayer(nn.Module):
    """A concept memory and low-rank adapters for one frozen student.

    Attributes:
        config: Its shape.
        find: Where a state points among the concepts, or what comes of those it points at.
        phi: From the packets' concepts to values.
        gate: g.
        adapters: Tensors of the low-rank adapters, by name; empty before training.
        attention: Attention over the K concepts in the last forward pass, Float [B, T, K].
        reading: Whether the memory is read at all.
    """

    def __init__(
        self, config: CALConfig, keys: ConceptKeys | Roles, shares: Sequence[Share], *, seed: int
    ) -> None:
        """Draws an untrained one.

        Args:
            config: Its shape.
            keys: s_k, the student's own normalised states, Float [K, H]; of a relational domain
                those of each role.
            shares: What each packet gives.
            seed: Of what is drawn.
        """
        super().__init__()
        self.config, self.seed = config, seed
        normed = [
            replace(share, means=F.rms_norm(share.means.float(), share.means.shape[1:]))
            for share in shares
        ]
        width = (keys.left.keys if isinstance(keys, Roles) else keys).shape[1]
        self.phi = Blend(normed, partial(_phi, config.projection, config.projection_width, width))
        self.find: Address | Relation
        if isinstance(keys, Roles):
            self.find = Relation(
                keys,
                normed,
                rank=config.relation_rank,
                width=config.relation_width,
                inner=config.relation_inner,
            )
        else:
            self.find = Address(keys, rank=config.key_rank)
        self.gate = nn.Parameter(torch.tensor(1.0))
        _draw(self, torch.Generator().manual_seed(seed))
        self.adapters: dict[str, Tensor] = {}
        self.attention: Attention | None = None
        self.reading = True

    @property
    def relation(self) -> Relation | None:
        """How the facts of a relational domain come of its concepts."""
        return self.find if isinstance(self.find, Relation) else None

    def rehearsed(self) -> list[nn.Parameter]:
        """What rehearsal trains: all of it, but for a relation, which is learnt before."""
        kept = {id(its) for its in self.relation.parameters()} if self.relation else set()
        return [its for its in self.parameters() if id(its) not in kept]

    def values(self) -> ConceptValues:
        """phi(c_k) of every concept, Float [K, H]."""
        found: ConceptValues = self.phi()
        return found

    def look(self, states: Hidden) -> Hidden:
        """Finds what is due at every position; the states stay as they are."""
        self.attention = self.find(states) if self.reading else None
        return states

    def give(self, states: Hidden) -> Hidden:
        """Adds what was found to every position."""
        if self.attention is None:
            return states
        return states + (self.gate * (self.attention @ self.values())).to(states.dtype)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that has to be kept, by name."""
        own = {f"memory.{name}": tensor for name, tensor in self.state_dict().items()}
        return own | {f"adapter.{name}": tensor for name, tensor in self.adapters.items()}

    def header(self) -> dict[str, str]:
        """What is needed beside the tensors to make it again."""
        return {
            "cal_format": FORMAT,
            "cal_config": json.dumps(asdict(self.config)),
            "cal_seed": str(self.seed),
        }

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], header: Mapping[str, str]
    ) -> "ConceptAlignmentLayer":
        """Inverse of `tensors` and `header`.

        Raises:
            CompatibilityError: they do not describe a CAL.
        """
        try:
            if header["cal_format"] != FORMAT:
                raise ValueError(f"format {header['cal_format'][:9]!r}, not {FORMAT!r}")
            memory = {n[7:]: t for n, t in tensors.items() if n.startswith("memory.")}
            count = sum(name.startswith("phi.means_") for name in memory)
            shares = [Share(*(memory[f"phi.{part}_{n}"] for part in PARTS)) for n in range(count)]
            config = CALConfig(**json.loads(header["cal_config"]))
            made = cls(config, _keys(memory), shares, seed=int(header["cal_seed"]))
            made.load_state_dict(memory)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CompatibilityError(
                f"expected the tensors and header of a CAL, found {len(tensors)} tensors and"
                f" {sorted(header)}: {str(error)[:200]}; it was written by another version:"
                " un-learn, learn again"
            ) from error
        made.adapters = {n[8:]: t for n, t in tensors.items() if n.startswith("adapter.")}
        return made


def _keys(memory: Mapping[str, Tensor]) -> ConceptKeys | Roles:
    """The keys that a CAL with these tensors was made with."""
    if "find.keys" in memory:
        return memory["find.keys"]
    left, operator, right = (
        Role(*(memory[f"find.{role}.{part}"] for part in ("members", "keys")))
        for role in ("left", "operator", "right")
    )
    return Roles(memory["find.elements"], left, operator, right)


@contextmanager
def remembering(language_model: LanguageModel, cal: ConceptAlignmentLayer) -> Iterator[None]:
    """Puts the memory of `cal`, without its adapters, into the model inside the `with`."""
    model, config, depth = language_model.model, cal.config, language_model.depth
    with (
        rewrite(model, layer=config.look_layer(depth), change=cal.look),
        rewrite(model, layer=config.memory_layer(depth), change=cal.give),
    ):
        yield


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
            with remembering(language_model, cal):
                yield list(adapters.values())
        finally:
            cal.adapters = {name: its.detach().clone() for name, its in adapters.items()}
