"""Threats in C and A: vectors and maps that are broken, or whole and false.

Owns: `BROKEN`, which screening says it finds, and `FALSE`, of which it says nothing. Does not
own: threats in traces and texts (trace_threats, text_threats).
"""

from dataclasses import replace
from functools import partial
from typing import Final

import torch

from m2kt.bench.experiments.drafts import Draft, Family, Variant, with_vectors
from m2kt.domain import Domain
from m2kt.reasons import Reason
from m2kt.screen import ScreenRules


def not_finite(draft: Draft) -> Variant:
    """One number is NaN or infinite."""
    packet, bad = draft.packet, draft.rng.choice([float("nan"), float("inf"), -float("inf")])
    part = draft.rng.choice(["means", "exemplars", "weights"])
    its = packet.maps.weights if part == "weights" else getattr(packet, part)
    spoilt = its.clone()
    spoilt.view(-1)[draft.rng.randrange(spoilt.numel())] = bad
    if part == "weights":
        return draft.variant(replace(packet, maps=replace(packet.maps, weights=spoilt)))
    if part == "means":
        return draft.variant(replace(packet, means=spoilt))
    return draft.variant(replace(packet, exemplars=spoilt))


def scaled(draft: Draft, *, least: float, most: float) -> Variant:
    """One concept and its exemplars are longer, or shorter, by a power of ten."""
    power = draft.rng.uniform(least, most) * draft.rng.choice([-1, 1])
    exemplars = draft.packet.exemplars.clone()
    exemplars[draft.row()] *= 10**power
    return draft.variant(with_vectors(draft.packet, exemplars))


def out_of_proportion(draft: Draft) -> Variant:
    """c_k is longer, or shorter, than the median by more than the student's rules allow."""
    exemplars, row = draft.packet.exemplars.clone(), draft.row()
    lengths = draft.packet.means.norm(dim=-1)
    beyond = ScreenRules().norm_ratio * 10 ** draft.rng.uniform(0.2, 4.0)
    wanted = lengths.median() * (beyond if draft.rng.random() < 0.5 else 1 / beyond)
    exemplars[row] *= wanted / lengths[row]
    return draft.variant(with_vectors(draft.packet, exemplars))


def moved_mean(draft: Draft) -> Variant:
    """c_k is not the mean of its exemplars."""
    means, row = draft.packet.means.clone(), draft.row()
    push = torch.randn(means.shape[1], generator=draft.noise())
    size = draft.rng.uniform(0.02, 1.0) * means[row].norm() / push.norm()
    means[row] += push * size
    return draft.variant(replace(draft.packet, means=means))


def few_exemplars(draft: Draft) -> Variant:
    """Too few to judge a concept by."""
    kept = draft.rng.randint(1, 15)
    return draft.variant(with_vectors(draft.packet, draft.packet.exemplars[:, :kept]))


def mixed_exemplars(draft: Draft, *, most: int) -> Variant:
    """Some exemplars of a concept are another's, and c_k is the mean of them all."""
    exemplars, row = draft.packet.exemplars.clone(), draft.row()
    other = (row + draft.rng.randrange(1, len(exemplars))) % len(exemplars)
    count = draft.rng.randint(1, most)
    exemplars[row, :count] = exemplars[other, :count]
    return draft.variant(with_vectors(draft.packet, exemplars))


def odd_maps(draft: Draft) -> Variant:
    """A step's map does not sum to 1, has a weight below 0, or is over other concepts."""
    its, count = draft.packet.maps, len(draft.packet.concepts)
    indices, weights = its.indices.clone(), its.weights.clone()
    step, kind = draft.rng.randrange(len(weights)), draft.rng.randrange(3)
    if kind == 0:
        weights[step] *= draft.rng.choice([0.5, 0.9, 1.1, 2.0])
    elif kind == 1:
        weights[step, 0] = -weights[step, 0].abs() - 0.1
    else:
        indices[step, 0] = draft.rng.choice([-1, count, count + 7])
    return draft.variant(replace(draft.packet, maps=replace(its, indices=indices, weights=weights)))


def other_maps(draft: Draft) -> Variant:
    """Every step has the map of another step."""
    its = draft.packet.maps
    order = torch.randperm(len(its.weights), generator=draft.noise())
    turned = replace(its, indices=its.indices[order], weights=its.weights[order])
    return draft.variant(replace(draft.packet, maps=turned))


def swapped(draft: Draft) -> Variant:
    """Two concepts with different results have each other's vectors; the traces are right."""
    packet, domain = draft.packet, draft.base.domain
    results = [_meaning(domain, spec.id) for spec in packet.concepts]
    row = draft.row()
    other = draft.rng.choice([n for n, its in enumerate(results) if its != results[row]])
    exemplars = packet.exemplars.clone()
    exemplars[[row, other]] = exemplars[[other, row]]
    return draft.variant(with_vectors(packet, exemplars))


def _meaning(domain: Domain, concept: str) -> str:
    return concept if domain.relational else domain.fact(concept)


def shuffled(draft: Draft) -> Variant:
    """Every concept has another's vectors; the traces are right."""
    count = len(draft.packet.concepts)
    order = torch.arange(count).roll(draft.rng.randrange(1, count))
    return draft.variant(with_vectors(draft.packet, draft.packet.exemplars[order]))


def drawn(draft: Draft) -> Variant:
    """Every concept's vectors are noise with the moments of the real ones."""
    means, exemplars = draft.packet.means, draft.packet.exemplars
    noise = torch.randn(means.shape, generator=draft.noise())
    centres = means.mean(dim=0) + noise * means.std(dim=0)
    return draft.variant(with_vectors(draft.packet, exemplars - means[:, None] + centres[:, None]))


def covert(draft: Draft) -> Variant:
    """A message is written into the lowest eight bits of every number of every exemplar."""
    exemplars = draft.packet.exemplars.contiguous().clone()
    bits = exemplars.view(torch.int32)
    message = torch.randint(0, 256, bits.shape, generator=draft.noise(), dtype=torch.int32)
    bits.bitwise_and_(~0xFF).bitwise_or_(message)
    return draft.variant(with_vectors(draft.packet, exemplars))


BROKEN: Final = (
    Family("a number that is not finite", not_finite, True, frozenset({Reason.NOT_FINITE})),
    Family(
        "c_k more than 20 times the median, or less than a 20th",
        out_of_proportion,
        True,
        frozenset({Reason.NORM_OUT_OF_RANGE}),
    ),
    Family("c_k that is no mean", moved_mean, True, frozenset({Reason.MEAN_MISMATCH})),
    Family("too few exemplars", few_exemplars, True, frozenset({Reason.TOO_FEW_EXEMPLARS})),
    Family("maps that are no distributions", odd_maps, True, frozenset({Reason.MALFORMED})),
)
FALSE: Final = (
    Family("c_k 100 times too long or short, or more", partial(scaled, least=2.0, most=5.0)),
    Family("c_k 2 to 6 times too long or short", partial(scaled, least=0.3, most=0.8)),
    Family("one exemplar of another concept", partial(mixed_exemplars, most=1)),
    Family("up to 8 exemplars of another concept", partial(mixed_exemplars, most=8)),
    Family("two c_k swapped: a wrong fact in C only", swapped),
    Family("all c_k shuffled", shuffled),
    Family("all c_k random, with the moments of C", drawn),
    Family("maps of other steps", other_maps),
    Family("a covert channel in the low bits of C", covert),
)
