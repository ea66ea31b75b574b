"""Attention of many texts that begin alike: keys and values of that opening are kept once.

    softmax([q K_s^T; q K^T]) [V_s; V]

K_s and V_s are of the opening, one copy for all texts; K and V of what each goes on with. Query
heads that share keys are one product, and nothing is repeated. (Prefix-shared decoding: Juravsky
et al., 2024, arXiv 2402.05099.)

Owns: `Opening`, its attention and cache. Does not own: what texts begin with (completion).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.masking_utils import sdpa_mask

NAME: Final = "m2kt_opening"
"""Of this attention, where transformers looks it up."""

Kept = tuple[Float[Tensor, "K S D"], Float[Tensor, "K S D"]]
"""Keys and values of S tokens in one layer, of each of K heads."""

_kept: ContextVar[Sequence[Kept]] = ContextVar("kept", default=())
"""Of the opening that is attended to now, by layer."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Opening:
    """What a model keeps of the tokens that many texts begin with.

    Attributes:
        length: S, the number of tokens; 0 if nothing is kept apart.
        kept: Their keys and values, by layer.
    """

    length: int
    kept: Sequence[Kept]

    @contextmanager
    def attended(self, model: nn.Module) -> Iterator[DynamicCache | None]:
        """Inside the `with` the model attends to it; yields the cache for what comes after it.

        None where the model makes its own.
        """
        cache = DynamicCache() if self.kept else None
        if cache is not None:
            cache.layers = [_After(self.length) for _ in self.kept]
        token = _kept.set(self.kept)
        try:
            with _attending(model):
                yield cache
        finally:
            _kept.reset(token)


def read_opening(model: nn.Module, ids: Sequence[int]) -> Opening | None:
    """Reads what texts begin with; None if the model's attention cannot be exchanged.

    Nothing is kept apart for a model with a layer that keeps a window or a state: padding would
    push the past out of it.
    """
    if not _can_attend(model):
        return None
    if not ids:
        return Opening(0, ())
    device = next(model.parameters()).device
    output = model(input_ids=torch.tensor([ids], device=device), use_cache=True)
    layers = getattr(getattr(output, "past_key_values", None), "layers", ())
    if not layers or any(type(its) is not DynamicLayer for its in layers):
        return Opening(0, ())
    return Opening(len(ids), [(its.keys[0], its.values[0]) for its in layers])


def _can_attend(model: nn.Module) -> bool:
    """Whether its attention is a function that can be exchanged, and masks say all of it."""
    chosen = getattr(getattr(model, "config", None), "_attn_implementation", None)
    return chosen == "sdpa" and bool(getattr(model, "_supports_attention_backend", False))


@contextmanager
def _attending(model: nn.Module) -> Iterator[None]:
    """Inside the `with` every layer attends by `_attend`."""
    configs: list[Any] = [its.config for its in model.modules() if hasattr(its, "config")]
    before = [(its, its._attn_implementation) for its in configs]
    try:
        for its, _ in before:
            its._attn_implementation = NAME
        yield
    finally:
        for its, chosen in reversed(before):
            its._attn_implementation = chosen


@final
class _After(DynamicLayer):
    """Keys and values of what stands after an opening, which counts as seen.

    Attributes:
        before: Tokens of the opening.
    """

    def __init__(self, before: int) -> None:
        super().__init__()
        self.before = before

    def get_seq_length(self) -> int:
        """Of the opening and what was kept since."""
        return self.before + int(super().get_seq_length())


def _attend(  # noqa: PLR0913 - transformers calls it
    module: nn.Module,
    query: Float[Tensor, "B H T D"],
    key: Float[Tensor, "B K U D"],
    value: Float[Tensor, "B K U D"],
    attention_mask: Bool[Tensor, "B 1 T L"] | None,
    scaling: float | None = None,
    **_: Any,  # noqa: ANN401 - whatever transformers hands over
) -> tuple[Float[Tensor, "B T H D"], None]:
    """Attention to the opening's S tokens and to the U that came after it; L is S + U."""
    texts, heads, length, width = query.shape
    shared = key.shape[1]
    asked = heads // shared * length  # queries of a text that are put to the same keys
    first_keys, first_values = _opening_of(module, key, value)
    scaled = query * (width**-0.5 if scaling is None else scaling)
    queries = scaled.reshape(texts, shared, asked, width)
    scores = torch.cat([_of_all(queries, first_keys.mT), queries @ key.mT], dim=-1).float()
    scores = scores.view(texts, shared, heads // shared, length, -1)
    allowed = _causal(length, scores) if attention_mask is None else attention_mask[:, :, None]
    scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=-1).to(value.dtype).view(texts, shared, asked, -1)
    of_first, own = weights.tensor_split([first_keys.shape[1]], dim=-1)
    found = own @ value + _of_all(of_first, first_values)
    return found.reshape(texts, heads, length, -1).transpose(1, 2).contiguous(), None


def _of_all(
    rows: Float[Tensor, "B K N M"], matrix: Float[Tensor, "K M P"]
) -> Float[Tensor, "B K N P"]:
    """For each of K heads one product with the rows of all B texts."""
    texts, shared, count, inner = rows.shape
    together = rows.transpose(0, 1).reshape(shared, texts * count, inner)
    return (together @ matrix).view(shared, texts, count, matrix.shape[-1]).transpose(0, 1)


def _opening_of(module: nn.Module, key: Tensor, value: Tensor) -> Kept:
    """Of this layer; no token if nothing is kept apart."""
    kept, number = _kept.get(), getattr(module, "layer_idx", None)
    if kept and isinstance(number, int):
        return kept[number]
    return key[0, :, :0], value[0, :, :0]


def _causal(length: int, scores: Tensor) -> Bool[Tensor, "T L"]:
    """The last `length` tokens see what stands before them."""
    every = scores.shape[-1]
    return torch.ones(length, every, dtype=torch.bool, device=scores.device).tril(every - length)


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
