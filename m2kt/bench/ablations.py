"""Ablations: the same lesson with a part of the learning left out, or another in its place.

    all                  nothing is changed
    no_geometry          no phase A, which is L_geo: concepts that no trace shows are not read out
    no_structure         nothing says which concept is due
    no_reason            nothing says what to write
    only_geometry        phase A, and no rehearsal
    only_structure       rehearsal of what is due alone
    only_reason          rehearsal of texts alone
    linear_phi           c_k is projected by one matrix
    low_rank_phi         by two narrow ones

L_safety is no part: it is zero unless a student names what is unsafe.

Owns: `ABLATIONS`. Does not own: how they are run (matrix), the loss (losses).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from m2kt.align import AlignConfig
from m2kt.cal import Projection

Change = Callable[[AlignConfig], AlignConfig]


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

    return change


def _projected(kind: Projection) -> Change:
    return lambda config: replace(config, cal=replace(config.cal, projection=kind))


ABLATIONS: Final[Mapping[str, Change]] = MappingProxyType(
    {
        "all": _terms(),
        "no_geometry": _terms(geometry=False),
        "no_structure": _terms(structure=False),
        "no_reason": _terms(reason=False),
        "only_geometry": _terms(structure=False, reason=False),
        "only_structure": _terms(geometry=False, reason=False),
        "only_reason": _terms(geometry=False, structure=False),
        "linear_phi": _projected("linear"),
        "low_rank_phi": _projected("low_rank"),
    }
)
"""By name: what is changed in how a lesson is learnt."""
