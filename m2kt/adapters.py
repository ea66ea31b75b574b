"""Low-rank adapters on the linear modules of a frozen model (LoRA: Hu et al., 2021).

    y = W x + b + 2 B (A x)

Forward and backward are written out: one product more and no pass over the outputs more than the
frozen module has, and nothing is computed for W. Source: arXiv 2106.09685.

Before training A can be aimed: its rows become the directions along which the frozen weight
itself would first be changed (LoRA-GA: Wang et al., 2024, arXiv 2407.05000, with B at zero, so
that nothing changes before the first step).

Owns: which modules get an adapter, the adapters, their attachment to a model, their aim.
Does not own: training them (align), the memory beside them (cal).
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, final

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers.pytorch_utils import Conv1D

from m2kt.errors import CompatibilityError
from m2kt.language_model import LanguageModel

SCALE: Final = 2.0
"""Factor on what an adapter adds."""

AIMING: Final = 4
"""Rounds of subspace iteration (Halko et al., 2011): slopes have few directions that matter."""

_TARGETS: Final = (
    "q_proj", "k_proj", "v_proj", "o_proj", "down_proj",  # Llama, Qwen, Gemma, Phi, OPT
    "query_key_value", "dense", "dense_4h_to_h",          # GPT-NeoX
    "c_attn", "c_proj",                                    # GPT-2
)  # fmt: skip
_LINEAR: Final = (nn.Linear, Conv1D)
"""Of what derives from them the weight may be packed."""


def adapter_targets(language_model: LanguageModel, prefix: int) -> list[str]:
    """Names of the linear modules of the layers from `prefix` on that get an adapter.

    Raises:
        CompatibilityError: there is none.
    """
    found = []
    for name, module in language_model.model.named_modules():
        parts = name.split(".")
        numbers = [int(part) for part in parts if part.isdigit()]
        above = bool(numbers) and numbers[0] >= prefix
        if parts[-1] in _TARGETS and above and type(module) in _LINEAR:
            found.append(name)
    if not found:
        raise CompatibilityError(
            f"expected linear modules called {', '.join(_TARGETS)}, found none in"
            f" {language_model.name}; this architecture is not supported yet"
        )
    return found


@contextmanager
def adapted(
    language_model: LanguageModel,
    *,
    prefix: int,
    rank: int,
    kept: Mapping[str, Tensor],
    seed: int,
) -> Iterator[dict[str, nn.Parameter]]:
    """Puts adapters into the model for the length of the `with`; yields them by name.

    The frozen weights are never written; at the end the modules are as they were.

    Args:
        language_model: The model.
        prefix: Layers below that one get none.
        rank: Of A and B.
        kept: Adapters as they were yielded before; if there are none, A is drawn and B zero.
        seed: Of what is drawn.

    Raises:
        CompatibilityError: `kept` is of another model, or of another version.
    """
    model, generator = language_model.model, torch.Generator().manual_seed(seed)
    places = [_place(model, name) for name in adapter_targets(language_model, prefix)]
    found: dict[str, nn.Parameter] = {}
    try:
        for parent, last, name in places:
            module = _Adapted(getattr(parent, last), rank, generator)
            setattr(parent, last, module)
            for part, parameter in (("lora_A", module.lora_A), ("lora_B", module.lora_B)):
                found[f"{name}.{part}"] = parameter
        _fill(found, kept)
        yield found
    finally:
        for parent, last, _ in places:
            module = getattr(parent, last)
            if isinstance(module, _Adapted):
                setattr(parent, last, module.frozen)


@contextmanager
def aimed(model: nn.Module) -> Iterator[None]:
    """Adds up, inside the `with`, gradients of the frozen weights; then aims the adapters."""
    adapters = [its for its in model.modules() if isinstance(its, _Adapted)]
    for its in adapters:
        its.slope = torch.zeros_like(its.frozen_matrix, dtype=torch.float32)
    try:
        yield
        for its in adapters:
            its.aim()
    finally:
        for its in adapters:
            its.slope = None


def _fill(found: Mapping[str, nn.Parameter], kept: Mapping[str, Tensor]) -> None:
    """Loads what was kept."""
    if kept and {n: t.shape for n, t in kept.items()} != {n: p.shape for n, p in found.items()}:
        strange = sorted(kept.keys() ^ found.keys())[:2] or "the same names with other shapes"
        raise CompatibilityError(
            f"expected the {len(found)} adapter tensors of this model, found {len(kept)}, and"
            f" {strange}; they are of another model or version: un-learn, learn again"
        )
    for name, tensor in kept.items():
        found[name].data.copy_(tensor)


def _place(model: nn.Module, name: str) -> tuple[nn.Module, str, str]:
    parent, _, last = name.rpartition(".")
    return model.get_submodule(parent), last, name


@final
class _Adapted(nn.Module):
    """A frozen linear module with an adapter.

    Attributes:
        frozen: The module.
        lora_A: Float [rank, in].
        lora_B: Float [out, rank].
        slope: Gradient of the frozen weight, Float [out, in], while it is added up.
    """

    def __init__(self, frozen: nn.Module, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.frozen = frozen
        self.slope: Tensor | None = None
        out, width = self.frozen_matrix.shape
        drawn = torch.randn(rank, width, generator=generator) / math.sqrt(width)
        self.lora_A = nn.Parameter(drawn.to(self.weight.device))
        self.lora_B = nn.Parameter(torch.zeros(out, rank, device=self.weight.device))

    @property
    def weight(self) -> Tensor:
        """Of the frozen module, for models that look at it."""
        weight: Tensor = self.frozen.weight  # type: ignore[assignment]
        return weight

    @property
    def frozen_matrix(self) -> Float[Tensor, "O I"]:
        """What rows are multiplied by."""
        return self.weight.T if isinstance(self.frozen, Conv1D) else self.weight

    def forward(self, states: Float[Tensor, "*B I"]) -> Float[Tensor, "*B O"]:
        """What the frozen module says, and what the adapter adds."""
        bias: Tensor | None = self.frozen.bias  # type: ignore[assignment]
        rows = states.flatten(0, -2)
        found: Tensor = _Sum.apply(rows, self.frozen_matrix, bias, self.lora_A, self.lora_B)
        if self.slope is not None and found.requires_grad:
            found.register_hook(partial(self._add, self.slope, rows.detach()))
        return found.view(*states.shape[:-1], -1)

    @staticmethod
    def _add(slope: Tensor, rows: Tensor, moved: Tensor) -> None:
        slope.add_(moved.T @ rows)

    @torch.no_grad()
    def aim(self) -> None:
        """A becomes the leading right singular vectors of the slope, by subspace iteration."""
        slope = self.slope
        self.lora_A.grad = self.lora_B.grad = None
        if slope is None or not bool(slope.any()):
            return
        rows = self.lora_A.T
        for _ in range(AIMING):
            rows = torch.linalg.qr(slope.T @ (slope @ rows)).Q
        self.lora_A.copy_(rows.T)


class _Sum(torch.autograd.Function):
    """W x + b + SCALE B (A x) of N rows. W and b get no gradient."""

    @staticmethod
    def forward(  # noqa: PLR0913 - PyTorch calls it
        ctx: Any,  # noqa: ANN401
        rows: Float[Tensor, "N I"],
        weight: Float[Tensor, "O I"],
        bias: Float[Tensor, "O"] | None,
        down: Float[Tensor, "R I"],
        up: Float[Tensor, "O R"],
    ) -> Float[Tensor, "N O"]:
        """The sum."""
        down, up = down.to(rows.dtype), up.to(rows.dtype)
        inner = rows @ down.T
        ctx.save_for_backward(rows, inner, weight, down, up)
        found: Tensor = F.linear(rows, weight, bias)
        return found.addmm_(inner, up.T, alpha=SCALE)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, moved: Float[Tensor, "N O"]) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Gradients of rows, A and B."""
        rows, inner, weight, down, up = ctx.saved_tensors
        back = (moved @ up).mul_(SCALE)
        wanted = ctx.needs_input_grad
        of_rows = (moved @ weight).addmm_(back, down) if wanted[0] else None
        of_down = (back.T @ rows).float() if wanted[3] else None
        of_up = (moved.T @ inner).float().mul_(SCALE) if wanted[4] else None
        return of_rows, None, None, of_down, of_up
