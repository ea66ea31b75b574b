"""The paper's experiments and checks: each one claim or more, measured, with its verdict.

Owns: `EXPERIMENTS`, `load`. Does not own: what any of them measures (the modules named here),
how their records look (experiment).
"""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from m2kt.bench.experiments.experiment import Measure

EXPERIMENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "baseline-alignment": "Alignment of 100 concepts: L_geo on its way, and accuracy with it.",
        "loss-ablation": "What each of the four losses is for, alone and left out.",
        "safety-rollback": "A known-bad concept: is it found, refused, and nothing changed?",
        "probe-fidelity": "Can linear probes read what concepts mean, before and after phi?",
        "attention-causality": "Do the heads behind A carry the steps, against random heads?",
        "safety-coverage": "What the first screening finds, by family, and what it finds wrongly.",
        "concept-extractors": "Three ways to find concepts: fidelity, agreement, student's gain.",
        "teacher-pairs": "Teachers of several families, students of several: retention of each.",
        "transferability": "Gain predicted from cards and 1 % of C, against the gain measured.",
        "aggregate": "Several teachers, some hostile: what is kept, what liars do, what it costs.",
        "divergence-bound": "Concept-level divergence against retention: fit, and lower bound.",
    }
)
"""By the name of its command, in one sentence what is measured; the module has the same name."""


def load(name: str) -> "Measure":
    """The function `measure` of an experiment's module, which is loaded only now."""
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    found: Measure = module.measure
    return found
