"""One teacher whose attention heads are taken what they bring: all that is measured of it.

The chosen heads, a negative control of as many, where heads look alone, and numbers of heads.

Owns: `Ward`, `examined`. Does not own: choosing and testing heads (head_test), contrasts, what is
taken from heads (causality), what several teachers show together (attention_causality).
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final, final

from m2kt import domains
from m2kt.bench.subjects import SUBJECTS, Subject, load_model
from m2kt.causality import HeadTrial, MapView, Way, of_logits
from m2kt.extract import ExtractConfig, inventory
from m2kt.head_test import (
    Head,
    HeadTest,
    HeadTestConfig,
    Trials,
    draw_trials,
    examine_heads,
    judged_alike,
    p_among,
    sets_of,
)
from m2kt.identity import AgentId

DOSES: Final = 8
"""Random sets of each size, beside the heads in order."""
HALF: Final = 0.5


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Ward:
    """A teacher whose heads were tested, on one draw of contrasts.

    Attributes:
        teacher: Its name.
        family: Its architecture.
        seed: Of the draw.
        found: The chosen heads.
        control: Heads that look as much where both texts are the same.
        masses: Attention of the chosen heads where texts differ, of the control where they do not.
        looks: Effect on logits, and p, if only where heads look is taken, by way.
        backward: The same, the other way: from the text to the other one.
        doses: For each number of heads: effect in order, and mean of random sets.
        whole: Margin of logits that all heads make.
    """

    teacher: str
    family: str
    seed: int
    found: HeadTest
    control: HeadTest
    masses: tuple[float, float]
    looks: Mapping[Way, tuple[float, float]]
    backward: Mapping[Way, float]
    doses: Sequence[tuple[float, float]]
    whole: float


def examined(teacher: str, config: HeadTestConfig) -> Ward:
    """Everything about one teacher on one draw."""
    model = load_model(teacher)
    its = next(found for found in SUBJECTS.values() if teacher in found.teachers)
    trials = _trials(teacher, its, config)
    found, testing = examine_heads(trials, config), trials.testing
    control, masses = control_heads(testing, found)
    return Ward(
        teacher=teacher,
        family=model.card.family,
        seed=config.seed,
        found=found,
        control=judged_alike(testing, found, control),
        masses=masses,
        looks={way: _look(testing, found, way) for way in (Way.PATTERN, Way.UNIFORM)},
        backward={
            way: _effect(testing.backward(), found.chosen, way)
            for way in (Way.RESAMPLE, Way.PATTERN)
        },
        doses=_doses(testing, found, config.seed),
        whole=float((testing.intact.logits - testing.other.logits).mean()),
    )


def _trials(teacher: str, its: Subject, config: HeadTestConfig) -> Trials:
    model, grammar = load_model(teacher), its.taught(teacher)
    extract = ExtractConfig(seed=config.seed)
    held = inventory(
        model, grammar, extract, agent=AgentId(teacher), rng=random.Random(config.seed)
    )
    view = MapView(
        means=held.means,
        rows={spec.id: row for row, spec in enumerate(held.concepts)},
        layer=held.site.layer,
        sharpness=extract.map_sharpness,
    )
    return draw_trials(model, grammar, domains.get(its.domain).fact, view, config)


def control_heads(
    trial: HeadTrial, found: HeadTest
) -> tuple[tuple[Head, ...], tuple[float, float]]:
    """Other heads, as many, whose attention where both texts are the same is as much.

    For each chosen head the one that comes closest, among those that look there for more than
    half. With the means of both masses: of the chosen where texts differ, of these elsewhere.
    """
    masses = trial.relevant()
    left = [head for head in sorted(found.order) if head not in found.chosen]
    control: list[Head] = []
    for head in found.chosen[: len(left)]:
        wanted = float(masses[head])

        def far(other: Head, wanted: float = wanted) -> tuple[bool, float]:
            elsewhere = 1.0 - float(masses[other])
            return elsewhere <= HALF, abs(elsewhere - wanted)

        control.append(min(left, key=far))
        left.remove(control[-1])
    own = fmean(float(masses[head]) for head in found.chosen)
    return tuple(control), (own, fmean(1.0 - float(masses[head]) for head in control))


def _effect(trial: HeadTrial, heads: Sequence[Head], way: Way) -> float:
    its = trial.without(sets_of([heads], trial.layers, trial.heads), way)
    return float(trial.effects(its, of_logits))


def _look(trial: HeadTrial, found: HeadTest, way: Way) -> tuple[float, float]:
    """What it does to logits if only where the chosen heads look is taken, and its p."""
    effect = _effect(trial, found.chosen, way)
    others = trial.without(sets_of(found.others, trial.layers, trial.heads), way)
    return effect, p_among(effect, trial.effects(others, of_logits))


def _doses(trial: HeadTrial, found: HeadTest, seed: int) -> list[tuple[float, float]]:
    """Effect on logits of the first heads in order, and of as many drawn ones, by number."""
    rng, order = random.Random(seed), found.order
    doses = []
    for count in range(1, len(order) + 1):
        sets = [order[:count], *(rng.sample(order, count) for _ in range(DOSES))]
        masks = sets_of(sets, trial.layers, trial.heads)
        effects = trial.effects(trial.without(masks, Way.RESAMPLE), of_logits)
        doses.append((float(effects[0]), float(effects[1:].mean())))
    return doses
