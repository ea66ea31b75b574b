"""Ablations: the same lesson with a part left out, another in its place, or less or more of it.

    all                  nothing is changed
    no_geometry          no phase A, which is L_geo: concepts that no trace shows are not read out
    no_structure         nothing says which concept is due
    no_reason            nothing says what to write
    only_geometry        phase A, and no rehearsal
    only_structure       rehearsal of what is due alone
    only_reason          rehearsal of texts alone
    late                 the memory looks where it gives, also where it need not
    drawn                the same, and its addresses are drawn: phase B has to find them
    drawn_no_structure   the same without L_struct
    linear_phi           c_k is projected by one matrix
    low_rank_phi         by two narrow ones
    concepts_SHARE       C holds that share of the concepts that no trace shows
    exemplars_COUNT      concepts are the mean of so many states, instead of 16
    readout_STEPS        so many steps of phase A, of which there are 60: L_geo on its way

L_safety is no part of these: it is zero unless a student names what is unsafe. `TERMS` are all
four terms, for a student that does: `all`, `none`, `no_TERM` and `only_TERM`. A phase that none of
the terms left has a part in has no steps; L_safety has its part in phase B.

Owns: `ABLATIONS`, `TERMS`. Does not own: how they are run (matrix), the loss (losses).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from m2kt.align_config import AlignConfig
from m2kt.bench.cells import Cell
from m2kt.cal import Projection
from m2kt.losses import LossWeights

Change = Callable[[Cell], Cell]

NEVER: Final = 2.0
"""More than all places: concepts do not count as recognised, however many are."""
CONCEPTS: Final = (0.0, 0.25, 0.5, 0.75)
EXEMPLARS: Final = (1, 4, 64)
READOUT_STEPS: Final = (1, 3, 10, 30, 60, 120)
FOUR: Final = ("geometry", "structure", "reason", "safety")
"""The terms of the loss."""


def _aligned(change: Callable[[AlignConfig], AlignConfig]) -> Change:
    return lambda cell: replace(cell, align=change(cell.align))


def _terms(*, geometry: bool = True, structure: bool = True, reason: bool = True) -> Change:
    """Learning by some terms only."""

    def change(config: AlignConfig) -> AlignConfig:
        own = config.weights
        weights = replace(
            own,
            structure=own.structure if structure else 0.0,
            reason=own.reason if reason else 0.0,
        )
        return replace(
            config,
            weights=weights,
            readout_steps=config.readout_steps if geometry else 0,
            steps=config.steps if structure or reason else 0,
        )

    return _aligned(change)


def _by(*kept: str) -> Change:
    """Learning by the terms `kept` alone, each with its usual weight."""

    def change(config: AlignConfig) -> AlignConfig:
        weights = {name: getattr(config.weights, name) * (name in kept) for name in FOUR}
        return replace(
            config,
            weights=LossWeights(**weights),
            readout_steps=config.readout_steps if "geometry" in kept else 0,
            steps=config.steps if {"structure", "reason", "safety"} & {*kept} else 0,
        )

    return _aligned(change)


def _late(*, addressed: bool, structure: bool = True) -> Change:
    """The memory looks where it gives; where, is found in closed form or in phase B."""
    terms = _terms(structure=structure)
    change = _aligned(lambda config: replace(config, recognised=NEVER, addressed=addressed))
    return lambda cell: change(terms(cell))


def _projected(kind: Projection) -> Change:
    return _aligned(lambda config: replace(config, cal=replace(config.cal, projection=kind)))


def _held(share: float) -> Change:
    return lambda cell: replace(cell, held=share)


def _exemplars(count: int) -> Change:
    return lambda cell: replace(cell, exemplars=count)


def _read_out(steps: int) -> Change:
    return _aligned(lambda config: replace(config, readout_steps=steps))


ABLATIONS: Final[Mapping[str, Change]] = MappingProxyType(
    {
        "all": _terms(),
        "no_geometry": _terms(geometry=False),
        "no_structure": _terms(structure=False),
        "no_reason": _terms(reason=False),
        "only_geometry": _terms(structure=False, reason=False),
        "only_structure": _terms(geometry=False, reason=False),
        "only_reason": _terms(geometry=False, structure=False),
        "late": _late(addressed=True),
        "drawn": _late(addressed=False),
        "drawn_no_structure": _late(addressed=False, structure=False),
        "linear_phi": _projected("linear"),
        "low_rank_phi": _projected("low_rank"),
        **{f"concepts_{share:g}": _held(share) for share in CONCEPTS},
        **{f"exemplars_{count}": _exemplars(count) for count in EXEMPLARS},
        **{f"readout_{steps}": _read_out(steps) for steps in READOUT_STEPS},
    }
)
"""By name: what is changed in the cell whose lesson is learnt."""

TERMS: Final[Mapping[str, Change]] = MappingProxyType(
    {
        "all": _by(*FOUR),
        **{f"no_{name}": _by(*(other for other in FOUR if other != name)) for name in FOUR},
        **{f"only_{name}": _by(name) for name in FOUR},
        "none": _by(),
    }
)
"""The same of the four terms of the loss, each left out and each alone."""
