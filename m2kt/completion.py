"""Greedy completions of many prompts; what all of them begin with is read once.

Owns: `greedy`, batches by length, padding. Does not own: text and tokens (language_model).
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import cast

import torch
from torch import nn
from transformers import DynamicCache, GenerationMixin
from transformers.cache_utils import DynamicLayer

from m2kt.activations import contiguous_head

BATCH = 128
"""Prompts that are completed side by side."""

WORTH_SHARING = 16
"""Tokens that all prompts must begin with, before these are read apart from the rest."""


def batches_by_length(rows: Sequence[Sequence[int]], size: int) -> list[list[int]]:
    """Indices of `rows`, shortest first, in batches: little padding."""
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    return [order[at : at + size] for at in range(0, len(order), size)]


@torch.no_grad()
def greedy(
    model: nn.Module, rows: Sequence[Sequence[int]], *, max_new_tokens: int, pad: int
) -> list[list[int]]:
    """For each row of token ids those that the model writes under it, likeliest first.

    Rows are padded between what all of them begin with and what is their own.
    """
    device = next(model.parameters()).device
    shared = _opening(rows)
    cache = _read(model, torch.tensor([shared], device=device))
    start = len(shared) if cache is not None else 0
    found: list[list[int]] = [[] for _ in rows]
    for batch in batches_by_length(rows, BATCH):
        width = max(len(rows[i]) for i in batch)
        gaps = [width - len(rows[i]) for i in batch]
        rest = [
            ([pad] * gap, [0] * gap, rows[i][start:]) for i, gap in zip(batch, gaps, strict=True)
        ]
        ids = [[*shared[:start], *pads, *own] for pads, _, own in rest]
        mask = [[*[1] * start, *hidden, *[1] * len(own)] for _, hidden, own in rest]
        with contiguous_head(model):
            output = cast(GenerationMixin, model).generate(
                torch.tensor(ids, device=device),
                attention_mask=torch.tensor(mask, device=device),
                past_key_values=_copies(cache, len(batch)),
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=pad,
            )
        for index, written in zip(batch, output[:, width:].tolist(), strict=True):
            found[index] = written
    return found


def _opening(rows: Sequence[Sequence[int]]) -> list[int]:
    """What two or more rows begin with, the last token of none of them included."""
    columns = zip(*(row[:-1] for row in rows), strict=False) if len(rows) > 1 else iter(())
    return [column[0] for column in takewhile(lambda its: len(set(its)) == 1, columns)]


def _read(model: nn.Module, shared: torch.Tensor) -> DynamicCache | None:
    """What the model keeps of the tokens that all prompts share; None if that cannot be shared.

    A layer that keeps a window or a state is left alone: padding would push the past out of it.
    """
    if shared.shape[1] < WORTH_SHARING:
        return None
    cache = getattr(model(input_ids=shared, use_cache=True), "past_key_values", None)
    plain = isinstance(cache, DynamicCache) and all(
        type(its) is DynamicLayer for its in cache.layers
    )
    return cache if plain else None


def _copies(cache: DynamicCache | None, count: int) -> DynamicCache | None:
    """One copy of `cache` for each of `count` prompts."""
    if cache is None:
        return None
    copies = DynamicCache()
    for number, layer in enumerate(cache.layers):
        every = (part.repeat_interleave(count, dim=0) for part in (layer.keys, layer.values))
        copies.update(*every, number)
    return copies
