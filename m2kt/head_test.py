"""Which attention heads are behind A, and do they carry the steps more than others would?

    p = (1 + random sets with at least that effect) / (1 + random sets)

Heads are chosen on some contrasts, in the order of what each alone does to A, until together they
take `carried` of its margin. They are tested on other contrasts: together against random sets of
as many heads, and each alone over contrasts, by signs (Fisher's randomisation test), with the
false discovery rate of Benjamini and Hochberg (1995) over all heads of the model.

Owns: `HeadTest`, `Trials`, `examine_heads`. Does not own: what an effect is (causality), packets.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Final, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from m2kt.causality import HeadTrial, MapView, Margin, Way, of_logits, of_maps
from m2kt.contrasts import draw_contrasts
from m2kt.domain import Grammar, Recall
from m2kt.errors import CompatibilityError
from m2kt.language_model import LanguageModel
from m2kt.tested_heads import SIGNIFICANT, TestedHead

Head = tuple[int, int]
"""Layer and number in it, from 0."""

FLIPS: Final = 20_000
"""Draws of signs."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HeadTestConfig:
    """How heads are chosen and tested.

    Attributes:
        contrasts: One half chooses, the other tests.
        carried: Share of the margin of A that the chosen heads take together.
        least: Heads that are chosen at least: of fewer there are too few sets.
        sets: Random sets.
        seed: Of every draw.
    """

    contrasts: int = 256
    carried: float = 0.9
    least: int = 3
    sets: int = 200
    seed: int = 0


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class HeadTest:
    """What was found; effects are those of resampling, on contrasts that did not choose.

    Attributes:
        order: All heads, by what each alone does to A, on the contrasts that choose.
        chosen: The first of them.
        maps: Effect of the chosen set on the margin of A.
        logits: Effect of it on the margin of logits.
        right: Share of steps that are still right without it.
        others: The random sets.
        random_maps: Effects of random sets on the margin of A, Float [S].
        random_logits: Effects of random sets on the margin of logits, Float [S].
        matched: How many of the random sets have their heads in the same layers.
        singles: Effect of each head alone on the margin of logits, Float [E, H].
        single_p: Its p-value, adjusted over all heads, Float [E, H].
    """

    order: tuple[Head, ...]
    chosen: tuple[Head, ...]
    maps: float
    logits: float
    right: float
    others: tuple[tuple[Head, ...], ...]
    random_maps: Float[Tensor, "S"]
    random_logits: Float[Tensor, "S"]
    matched: int
    singles: Float[Tensor, "E H"]
    single_p: Float[Tensor, "E H"]

    @property
    def p(self) -> float:
        """Of the chosen set: the worse of A and logits."""
        return max(p_among(self.maps, self.random_maps), p_among(self.logits, self.random_logits))

    @property
    def tested(self) -> tuple[TestedHead, ...]:
        """The chosen heads. A head passes if it does and the set does; others have no weight."""
        found = [(head, float(self.singles[head]), self._p_of(head)) for head in self.chosen]
        total = sum(effect for _, effect, p in found if p < SIGNIFICANT)
        return tuple(
            TestedHead(*head, effect, p, effect / total if p < SIGNIFICANT else 0.0)
            for head, effect, p in found
        )

    def _p_of(self, head: Head) -> float:
        return max(float(self.single_p[head]), self.p)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """A teacher on the contrasts that choose heads, and on those that test them.

    Attributes:
        choosing: The ones.
        testing: The others.
        asked: Texts that the teacher was given to draw them.
    """

    choosing: HeadTrial
    testing: HeadTrial
    asked: int

    @property
    def passes(self) -> int:
        """Forward passes so far, those to draw them aside."""
        return self.choosing.passes + self.testing.passes


def draw_trials(
    teacher: LanguageModel,
    grammar: Grammar,
    recall: Recall,
    view: MapView,
    config: HeadTestConfig,
) -> Trials:
    """Contrasts of a domain, one half to choose and one half to test.

    Raises:
        CompatibilityError: there are too few that the teacher knows.
    """
    rng = random.Random(config.seed)
    drawn, asked = draw_contrasts(teacher, grammar, recall, count=config.contrasts, rng=rng)
    half = len(drawn) // 2
    return Trials(
        HeadTrial(teacher, drawn[:half], view), HeadTrial(teacher, drawn[half:], view), asked
    )


def examine_heads(trials: Trials, config: HeadTestConfig) -> HeadTest:
    """Chooses the heads behind A and tests them.

    Raises:
        CompatibilityError: the model has too few heads for so many random sets.
    """
    testing = trials.testing
    shape, order = (testing.layers, testing.heads), by_effect(trials.choosing)
    chosen = _chosen(trials.choosing, order, config)
    others, matched = other_sets(chosen, shape, config.sets, random.Random(config.seed))
    its = testing.without(sets_of([chosen], *shape), Way.RESAMPLE)
    theirs = testing.without(sets_of(others, *shape), Way.RESAMPLE)
    alone = testing.without(every_single(*shape), Way.RESAMPLE)
    p = sign_p(testing.drops(alone, of_logits), seed=config.seed)
    return HeadTest(
        order=order,
        chosen=chosen,
        maps=float(testing.effects(its, of_maps)),
        logits=float(testing.effects(its, of_logits)),
        right=float(its.right.float().mean()),
        others=tuple(others),
        random_maps=testing.effects(theirs, of_maps),
        random_logits=testing.effects(theirs, of_logits),
        matched=matched,
        singles=testing.effects(alone, of_logits).view(shape),
        single_p=adjusted(p).view(shape),
    )


def judged_alike(testing: HeadTrial, found: HeadTest, heads: Sequence[Head]) -> HeadTest:
    """The same test of other heads, as many, against the same random sets."""
    its = testing.without(sets_of([heads], testing.layers, testing.heads), Way.RESAMPLE)
    return replace(
        found,
        chosen=tuple(heads),
        maps=float(testing.effects(its, of_maps)),
        logits=float(testing.effects(its, of_logits)),
        right=float(its.right.float().mean()),
    )


def by_effect(trial: HeadTrial, margin: Margin = of_maps) -> tuple[Head, ...]:
    """All heads by what each alone does to a margin, the most first."""
    shape = (trial.layers, trial.heads)
    alone = trial.effects(trial.without(every_single(*shape), Way.RESAMPLE), margin)
    return tuple(divmod(at, trial.heads) for at in alone.argsort(descending=True).tolist())


def _chosen(trial: HeadTrial, order: Sequence[Head], config: HeadTestConfig) -> tuple[Head, ...]:
    """The first heads that together take enough of the margin of A."""
    for count in range(config.least, len(order)):
        sets = sets_of([order[:count]], trial.layers, trial.heads)
        taken = trial.effects(trial.without(sets, Way.RESAMPLE), of_maps)
        if float(taken) >= config.carried:
            return tuple(order[:count])
    return tuple(order)


def sets_of(sets: Sequence[Sequence[Head]], layers: int, heads: int) -> Bool[Tensor, "S E H"]:
    """Sets of heads as masks."""
    masks = torch.zeros(len(sets), layers, heads, dtype=torch.bool)
    for row, its in enumerate(sets):
        for layer, head in its:
            masks[row, layer, head] = True
    return masks


def every_single(layers: int, heads: int) -> Bool[Tensor, "S E H"]:
    """Each head as a set of its own, in order."""
    return torch.eye(layers * heads, dtype=torch.bool).view(-1, layers, heads)


def other_sets(
    chosen: Sequence[Head], shape: tuple[int, int], count: int, rng: random.Random
) -> tuple[list[tuple[Head, ...]], int]:
    """`count` different sets of as many heads, none of them `chosen`, and how many are matched.

    Those whose heads lie in the same layers as the chosen ones come first, drawn if there are
    more than enough; the rest are drawn from all others.

    Raises:
        CompatibilityError: there are not so many sets.
    """
    size, every = len(chosen), list(product(range(shape[0]), range(shape[1])))
    if math.comb(len(every), size) - 1 < count:
        raise CompatibilityError(
            f"expected {count} other sets of {size} heads, found {math.comb(len(every), size) - 1}"
            f" among {len(every)} heads; a model with more of them can be tested"
        )
    found = _matched(chosen, shape[1], count, rng)
    matched, taken = len(found), {frozenset(its) for its in (*found, chosen)}
    while len(found) < count:
        drawn = tuple(sorted(rng.sample(every, size)))
        if frozenset(drawn) not in taken:
            taken.add(frozenset(drawn))
            found.append(drawn)
    return found, matched


def _matched(
    chosen: Sequence[Head], heads: int, count: int, rng: random.Random
) -> list[tuple[Head, ...]]:
    """Other sets with as many heads in each layer: all of them, or `count` that are drawn."""
    sizes = {
        layer: sum(its == layer for its, _ in chosen) for layer in sorted({e for e, _ in chosen})
    }
    own, total = frozenset(chosen), math.prod(math.comb(heads, size) for size in sizes.values())
    if total <= 4 * count:
        parts = [
            [tuple((layer, head) for head in its) for its in combinations(range(heads), size)]
            for layer, size in sizes.items()
        ]
        every = [sum(its, ()) for its in product(*parts)]
        others = [its for its in every if frozenset(its) != own]
        return rng.sample(others, min(count, len(others)))
    found: dict[frozenset[Head], tuple[Head, ...]] = {}
    while len(found) < count:
        drawn = tuple(
            (layer, head)
            for layer, size in sizes.items()
            for head in rng.sample(range(heads), size)
        )
        if frozenset(drawn) != own:
            found[frozenset(drawn)] = drawn
    return list(found.values())


def p_among(effect: float, others: Float[Tensor, "S"]) -> float:
    """Share of sets with at least that effect, this one counted."""
    return (1 + int((others >= effect).sum())) / (1 + len(others))


def sign_p(drops: Float[Tensor, "S N"], *, seed: int) -> Float[Tensor, "S"]:
    """One-sided: how often N drops with signs that are drawn have at least that sum."""
    generator = torch.Generator().manual_seed(seed)
    its, reached = drops.double().cpu(), torch.zeros(len(drops), dtype=torch.double)
    for part in torch.arange(FLIPS).split(1000):
        signs = torch.randint(0, 2, (its.shape[1], len(part)), generator=generator) * 2.0 - 1.0
        reached += (its @ signs.double() >= its.sum(dim=1, keepdim=True)).sum(dim=1)
    return ((1 + reached) / (1 + FLIPS)).float()


def adjusted(p: Float[Tensor, "S"]) -> Float[Tensor, "S"]:
    """p-values adjusted by Benjamini and Hochberg."""
    order = p.argsort(descending=True)
    ranks = torch.arange(len(p), 0, -1, dtype=p.dtype)
    scaled = (p[order] * len(p) / ranks).cummin(dim=0).values.clamp_max(1.0)
    return torch.empty_like(p).scatter(0, order, scaled)
