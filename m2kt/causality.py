"""What single attention heads do for a step, found by taking it from them.

    drop(S) = margin(x) - margin(x, heads S say what they say in x')      at the place where
    effect(S) = mean drop(S) / mean (margin(x) - margin(x'))              the result is due

x and x' are a contrast. The margin of A is the log weight in the teacher's concept activation map
of x's concept less that of the concept of x'; the margin of logits is that of the two results.
The effect of all heads is 1: the token at the place is the same, so what differs comes by heads.

Owns: `HeadTrial`, `MapView`, `Way`, `Readings`.
Does not own: contrasts, exchanging heads (attention), which heads, and tests (head_test).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, final

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float, Int
from torch import Tensor

from m2kt.activations import Remembered, logits_of, record, remember, resume_at
from m2kt.attention import Change, HeadStates, attended
from m2kt.contrasts import Contrast
from m2kt.language_model import LanguageModel
from m2kt.tensors import ConceptMeans

ROWS: Final = 256
"""Texts, times sets of heads, that are worked on side by side."""
APART: Final = 0.5
"""Of a value vector's length: what makes another of it."""


@final
class Way(StrEnum):
    """What is taken from heads.

    Attributes:
        RESAMPLE: What they say: they say what they say in the other text.
        PATTERN: Where they look: they look where they look in the other text.
        UNIFORM: Where they look: they look everywhere alike.
    """

    RESAMPLE = "resample"
    PATTERN = "pattern"
    UNIFORM = "uniform"


@final
@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """What was read at the place of each of N texts, for each of S sets of heads.

    Attributes:
        maps: Margin of A, Float [S, N].
        logits: Margin of logits, Float [S, N].
        right: Whether the text's own result is still the likeliest token, Bool [S, N].
    """

    maps: Float[Tensor, "S N"]
    logits: Float[Tensor, "S N"]
    right: Bool[Tensor, "S N"]


Margin = Callable[[Readings], Float[Tensor, "S N"]]
"""One of the two: `of_maps`, `of_logits`."""


def of_maps(its: Readings) -> Float[Tensor, "S N"]:
    """Margin of A."""
    return its.maps


def of_logits(its: Readings) -> Float[Tensor, "S N"]:
    """Margin of logits."""
    return its.logits


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MapView:
    """How the teacher's concept activation map is read.

    Attributes:
        means: c_k, Float [K, D].
        rows: Row of each concept in it, by id.
        layer: Hidden state that concepts are read from.
        sharpness: Factor on cosines before the softmax.
    """

    means: ConceptMeans
    rows: dict[str, int]
    layer: int
    sharpness: float


@final
class HeadTrial:
    """A teacher on contrasts, whose heads can be taken what they bring.

    Attributes:
        layers: E, decoder layers.
        heads: H, query heads of each.
        intact: The text as it is, one set.
        other: The other text, by the margins of the first, one set.
        passes: Forward passes of the teacher so far, most of them of one token.
    """

    def __init__(
        self, teacher: LanguageModel, contrasts: Sequence[Contrast], view: MapView
    ) -> None:
        self._teacher, self._view, self._contrasts = teacher, view, tuple(contrasts)
        self.passes = 2 * len(contrasts)
        device = teacher.device
        self._results = torch.tensor([(c.result, c.other_result) for c in contrasts], device=device)
        pairs = [(view.rows[c.concept], view.rows[c.other_concept]) for c in contrasts]
        self._concepts = torch.tensor(pairs, device=device)
        self._columns = torch.tensor([len(c.ids) - 1 for c in contrasts], device=device)
        self._seen = _remembered(teacher, [c.ids for c in contrasts])
        self._other = _remembered(teacher, [c.other_ids for c in contrasts])
        self.intact, self._own = self._read(self._seen)
        self.other, self._others = self._read(self._other)
        self.layers, self.heads = self._own.outputs.shape[1:3]

    def without(self, sets: Bool[Tensor, "S E H"], way: Way) -> Readings:
        """The text, when the heads of a set are taken what they bring."""
        source = self._uniform() if way is Way.UNIFORM else self._others
        count = len(self._columns)
        numbers = torch.arange(len(sets) * count, device=self._columns.device)
        found = []
        for part in numbers.split(ROWS):
            rows = part % count
            change = Change(
                heads=sets.to(part.device)[part // count],
                columns=torch.zeros_like(rows),
                source=HeadStates(source.patterns[rows], source.outputs[rows]),
                pattern_only=way is not Way.RESAMPLE,
            )
            found.append(self._at(self._seen, rows, change)[0])
        return _joined(found, len(sets))

    def backward(self) -> "HeadTrial":
        """The same with each text and its other exchanged."""
        its = [contrast.backward for contrast in self._contrasts]
        return HeadTrial(self._teacher, its, self._view)

    def drops(self, found: Readings, margin: Margin) -> Float[Tensor, "S N"]:
        """How much of a margin is gone, for each set and text."""
        return margin(self.intact) - margin(found)

    def effects(self, found: Readings, margin: Margin) -> Float[Tensor, "S"]:
        """How much of a margin is gone, as a share of what all heads together make."""
        whole = (margin(self.intact) - margin(self.other)).mean()
        return self.drops(found, margin).mean(dim=1) / whole

    def relevant(self) -> Float[Tensor, "E H"]:
        """Share of each head's attention where it finds something else in the other text.

        Something else is a value vector that differs by more than `APART` of its length.
        """
        length, places = self._seen.ids.shape[1], self._columns[:, None, None, None]
        found = []
        for number, (pair, other) in enumerate(zip(self._seen.past, self._other.past, strict=True)):
            values, others = pair[1].float(), other[1].float()
            apart = (values - others).norm(dim=-1) > APART * values.norm(dim=-1)
            apart = apart.repeat_interleave(self.heads // apart.shape[1], dim=1)
            patterns = self._own.patterns[:, number].float()
            before = (patterns[..., :length] * apart).sum(dim=-1)
            here = apart.gather(2, places[:, :, 0].expand(-1, self.heads, 1))[..., 0]
            found.append((before + patterns[..., length] * here).mean(dim=0))
        return torch.stack(found)

    def _uniform(self) -> HeadStates:
        """Every token up to the place is looked at alike."""
        length = self._seen.ids.shape[1]
        before = torch.arange(length, device=self._columns.device) < self._columns[:, None]
        allowed = torch.cat([before, before.new_ones(len(before), 1)], dim=1).float()
        flat = (allowed / allowed.sum(dim=1, keepdim=True))[:, None, None]
        return HeadStates(flat.expand_as(self._own.patterns), self._own.outputs)

    def _read(self, seen: Remembered) -> tuple[Readings, HeadStates]:
        every = torch.arange(len(self._columns), device=self._columns.device)
        readings, heads = zip(
            *(self._at(seen, rows, None) for rows in every.split(ROWS)), strict=True
        )
        return _joined(readings, 1), HeadStates(
            torch.cat([its.patterns for its in heads]), torch.cat([its.outputs for its in heads])
        )

    @torch.no_grad()
    def _at(
        self, seen: Remembered, rows: Int[Tensor, "R"], change: Change | None
    ) -> tuple[Readings, HeadStates]:
        """The place of each of some texts, worked on alone."""
        model, columns = self._teacher.model, self._columns[rows]
        with (
            record(model, layers=[self._view.layer]) as recording,
            attended(model, change) as looked,
        ):
            final = resume_at(model, seen, rows, columns, seen.states[rows, columns])
        self.passes += len(rows)
        logits = logits_of(model, final).float()
        own, other = self._results[rows].unbind(dim=1)
        margins = logits.gather(1, own[:, None]) - logits.gather(1, other[:, None])
        return Readings(
            self._map_margins(recording.states[self._view.layer][:, 0].float(), rows)[None],
            margins.T,
            (logits.argmax(dim=1) == own)[None],
        ), looked.at(torch.zeros_like(columns))

    def _map_margins(self, states: Float[Tensor, "R D"], rows: Int[Tensor, "R"]) -> Tensor:
        """Log weight of the text's own concept in A, less that of the other text's."""
        means = self._view.means.to(states.device)
        centre = means.mean(dim=0)
        unit = F.normalize(means - centre, dim=-1)[self._concepts[rows]]
        cosines = (F.normalize(states - centre, dim=-1)[:, None] * unit).sum(dim=-1)
        return self._view.sharpness * (cosines[:, 0] - cosines[:, 1])


def _joined(parts: Sequence[Readings], sets: int) -> Readings:
    """Parts of the readings of all texts, set by set."""
    return Readings(
        torch.cat([its.maps for its in parts], dim=1).view(sets, -1),
        torch.cat([its.logits for its in parts], dim=1).view(sets, -1),
        torch.cat([its.right for its in parts], dim=1).view(sets, -1),
    )


def _remembered(teacher: LanguageModel, rows: Sequence[Sequence[int]]) -> Remembered:
    return remember(teacher.model, teacher.padded(rows), layer=0)
