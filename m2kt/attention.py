"""Single attention heads of a frozen model: what each looks at and says, and what if it did not.

    p = softmax(q K^T s + mask)        the pattern of a head at one place
    z = p V                            what it says there, before heads are mixed

At chosen places z of a head may be exchanged for that of another text (resample ablation), or
p alone, while the values stay the text's own (pattern patching). (Zhang and Nanda, 2024,
arXiv 2309.16042.) Attention functions of transformers can be exchanged: one code for all models.

Owns: `attended`, `Change`, `HeadStates`. Does not own: which heads, and what it shows (causality).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from m2kt.errors import CompatibilityError

NAME: Final = "m2kt_heads"
"""Of this attention, where transformers looks it up."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class HeadStates:
    """All heads at one place of each of N texts; E layers with H heads each.

    Attributes:
        patterns: What they look at, Float [N, E, H, L].
        outputs: z, Float [N, E, H, D].
    """

    patterns: Float[Tensor, "N E H L"]
    outputs: Float[Tensor, "N E H D"]


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Change:
    """What some heads are made to say or look at, at one place of each of B texts.

    Attributes:
        heads: Which, Bool [B, E, H].
        columns: The places, Int [B].
        source: Where it is taken from; row b for text b.
        pattern_only: Whether values stay the text's own.
    """

    heads: Bool[Tensor, "B E H"]
    columns: Int[Tensor, "B"]
    source: HeadStates
    pattern_only: bool = False


@final
@dataclass(slots=True)
class Attended:
    """Every head in the last forward pass, by layer.

    Attributes:
        patterns: Float [B, H, T, L] each.
        outputs: Float [B, T, H, D] each.
        change: What is exchanged.
    """

    change: Change | None = None
    patterns: dict[int, Float[Tensor, "B H T L"]] = field(default_factory=dict)
    outputs: dict[int, Float[Tensor, "B T H D"]] = field(default_factory=dict)

    def at(self, columns: Int[Tensor, "B"]) -> HeadStates:
        """All heads at one place of each text."""
        rows = torch.arange(len(columns), device=columns.device)
        layers = sorted(self.outputs)
        return HeadStates(
            torch.stack([self.patterns[number][rows, :, columns] for number in layers], dim=1),
            torch.stack([self.outputs[number][rows, columns] for number in layers], dim=1),
        )


_now: ContextVar[Attended | None] = ContextVar("attended", default=None)
"""What looks on, inside a `with`."""


@contextmanager
def attended(model: nn.Module, change: Change | None = None) -> Iterator[Attended]:
    """Inside the `with` every forward pass is recorded, and `change` made in it.

    Raises:
        CompatibilityError: the model's attention cannot be exchanged.
    """
    configs: list[Any] = [its.config for its in model.modules() if hasattr(its, "config")]
    before = [(its, its._attn_implementation) for its in configs]
    if not getattr(model, "_supports_attention_backend", False):
        raise CompatibilityError(
            f"expected a model whose attention can be exchanged, found {type(model).__name__};"
            " its heads cannot be told apart yet"
        )
    seen = Attended(change)
    token = _now.set(seen)
    try:
        for its, _ in before:
            its._attn_implementation = NAME
        yield seen
    finally:
        for its, chosen in reversed(before):
            its._attn_implementation = chosen
        _now.reset(token)


def _attend(  # noqa: PLR0913 - transformers calls it
    module: nn.Module,
    query: Float[Tensor, "B H T D"],
    key: Float[Tensor, "B K L D"],
    value: Float[Tensor, "B K L W"],
    attention_mask: Float[Tensor, "B 1 T L"] | None,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,  # noqa: ANN401 - whatever transformers hands over
) -> tuple[Float[Tensor, "B T H W"], None]:
    """Attention as it is always computed, recorded and changed; K heads of keys for H.

    Raises:
        CompatibilityError: the model computes it otherwise: it caps scores, or has sinks.
    """
    if softcap is not None or s_aux is not None:
        raise CompatibilityError(
            "expected attention as a softmax of scores, found one with capped scores or sinks;"
            " its heads cannot be tested yet: set heads to 0"
        )
    shared = query.shape[1] // key.shape[1]
    keys, values = _repeated(key, shared), _repeated(value, shared)
    scores = query @ keys.mT * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if attention_mask is not None:
        scores = scores + attention_mask
    patterns = scores.float().softmax(dim=-1).to(value.dtype)
    seen, number = _now.get(), getattr(module, "layer_idx", None)
    if seen is None or not isinstance(number, int):
        return (patterns @ values).transpose(1, 2).contiguous(), None
    change = seen.change
    if change is not None and change.pattern_only:
        looks = _with(patterns.transpose(1, 2), change, change.source.patterns[:, number], number)
        patterns = looks.transpose(1, 2)
    outputs = (patterns @ values).transpose(1, 2).contiguous()
    if change is not None and not change.pattern_only:
        outputs = _with(outputs, change, change.source.outputs[:, number], number)
    seen.patterns[number], seen.outputs[number] = patterns, outputs
    return outputs, None


def _repeated(its: Float[Tensor, "B K L W"], times: int) -> Float[Tensor, "B H L W"]:
    """Each head of keys or values, for all heads of queries that share it."""
    return its if times == 1 else its.repeat_interleave(times, dim=1)


def _with(
    found: Float[Tensor, "B T H X"], change: Change, other: Float[Tensor, "B H X"], layer: int
) -> Float[Tensor, "B T H X"]:
    """`found` with what is taken from elsewhere, for the chosen heads at the chosen places."""
    rows = torch.arange(len(found), device=found.device)
    here = change.heads[:, layer, :, None]
    mixed = found.clone()
    mixed[rows, change.columns] = torch.where(here, other, found[rows, change.columns])
    return mixed


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, eager_mask)
