"""Greedy completions of many prompts; what all of them begin with is read once.

Owns: `greedy`, batches by length, padding. Does not own: text and tokens (language_model).
"""

from collections.abc import Sequence
from contextlib import nullcontext
from itertools import takewhile
from typing import cast

import torch
from torch import nn
from transformers import GenerationMixin

from m2kt.activations import contiguous_head
from m2kt.opening import read_opening

BATCH = 128
"""Prompts that are completed side by side."""

WORTH_SHARING = 16
"""Tokens that all prompts must begin with, before these are read apart from the rest."""


def batches_by_length(rows: Sequence[Sequence[int]], size: int) -> list[list[int]]:
    """Indices of `rows`, shortest first, in batches: little padding."""
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    return [order[at : at + size] for at in range(0, len(order), size)]


class EndOfContextError(Exception):
    """A model has more to say than it has positions for."""


@torch.no_grad()
def greedy(
    model: nn.Module,
    rows: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    pad: int,
    positions: int | None = None,
) -> list[list[int]]:
    """For each row of token ids those that the model writes under it, likeliest first.

    Rows are padded between what all of them begin with and what is their own. None is longer than
    `positions`, all that the model has, and none is written on beyond them.

    Raises:
        EndOfContextError: the model would write on there.
    """
    device = next(model.parameters()).device
    shared = _opening(rows)
    opening = read_opening(model, shared if len(shared) >= WORTH_SHARING else ())
    start = opening.length if opening is not None else 0
    found: list[list[int]] = [[] for _ in rows]
    for batch in batches_by_length(rows, BATCH):
        width = max(len(rows[i]) for i in batch)
        ids, mask = _padded([rows[i] for i in batch], start, width, pad)
        room = max_new_tokens if positions is None else positions - width + 1
        attended = nullcontext() if opening is None else opening.attended(model)
        with contiguous_head(model), attended as cache:
            output = cast(GenerationMixin, model).generate(
                torch.tensor(ids, device=device),
                attention_mask=torch.tensor(mask, device=device),
                past_key_values=cache,
                max_new_tokens=min(room, max_new_tokens),
                do_sample=False,
                pad_token_id=pad,
            )
        for index, written in zip(batch, output[:, width:].tolist(), strict=True):
            found[index] = written
        if room < max_new_tokens and not _ended(model, [found[i] for i in batch]):
            raise EndOfContextError(f"{width} tokens and more than {room} to be written")
    return found


def _padded(
    rows: Sequence[Sequence[int]], start: int, width: int, pad: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Ids and mask of rows that are padded to `width` after their first `start` tokens."""
    gaps = [width - len(row) for row in rows]
    ids = [[*row[:start], *[pad] * gap, *row[start:]] for row, gap in zip(rows, gaps, strict=True)]
    return ids, [[*[1] * start, *[0] * gap, *[1] * (width - gap - start)] for gap in gaps]


def _ended(model: nn.Module, written: Sequence[Sequence[int]]) -> bool:
    """Whether every row came to its end by itself."""
    ends = cast(GenerationMixin, model).generation_config.eos_token_id
    ends = {ends} if isinstance(ends, int) else set(ends or ())
    return all(not ends.isdisjoint(row) for row in written)


def _opening(rows: Sequence[Sequence[int]]) -> list[int]:
    """What two or more rows begin with, the last token of none of them included."""
    columns = zip(*(row[:-1] for row in rows), strict=False) if len(rows) > 1 else iter(())
    return [column[0] for column in takewhile(lambda its: len(set(its)) == 1, columns)]
