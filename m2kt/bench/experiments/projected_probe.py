"""What a student's native probe reads where a projected concept was added to the frozen student.

Owns: `Reading`, `Place`, `place_of`, `read`.
Does not own: the native probe (native_probe), phi (align), what follows (probe_fidelity).
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import torch
from jaxtyping import Float
from torch import Tensor

from m2kt.bench.experiments.concept_probe import results_of, same_probe
from m2kt.bench.experiments.lecture import Lecture
from m2kt.bench.experiments.native_probe import NativeProbe, injected, native_probe
from m2kt.cal import CALConfig
from m2kt.drills import DrillPlan, Drills, drill

CONTEXTS: Final = 4
"""Places at which each concept is read."""
TEXTS: Final = 256
"""Worked problems on which a native probe is fitted."""
NATIVE_SEED: Final = 5
PLACE_SEED: Final = 1_000
"""Of the texts of native probes, and of places: no lesson draws from them."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is read of the concepts that no trace shows.

    Attributes:
        kind: Which phi.
        seed: Of the lesson.
        marks: For each concept the share of places read right, at the hidden state that counts.
        by_layer: Share of all their places, by number of the hidden state.
        same: Accuracy of the probe that was fitted on c_k, on cosines.
        displaced: Share of concepts read from g phi(c_k) alone, at the memory's hidden state.
    """

    kind: str
    seed: int
    marks: Mapping[str, float]
    by_layer: Mapping[int, float]
    same: float
    displaced: float

    @property
    def accuracy(self) -> float:
        """Mean over concepts."""
        return sum(self.marks.values()) / len(self.marks)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a student is probed in one lesson.

    Attributes:
        lecture: The lesson of one teacher.
        native: The student's probes.
        drills: Places where concepts are due.
        penalty: Of the probe on c_k.
    """

    lecture: Lecture
    native: NativeProbe
    drills: Drills
    penalty: float


def native_of(lecture: Lecture, shape: CALConfig) -> NativeProbe:
    """Probes of a student's own states in a domain, from the memory's on."""
    model = lecture.student.language_model
    lowest, rng = shape.memory_layer(model.depth), random.Random(NATIVE_SEED)
    return native_probe(model, lecture.domain, lowest=lowest, texts=TEXTS, rng=rng)


def drills_of(lecture: Lecture, shape: CALConfig) -> Drills:
    """Places where the lesson's concepts are due, other ones than phi was trained on."""
    model = lecture.student.language_model
    plan = DrillPlan(
        layer=shape.memory_layer(model.depth), look=shape.prefix(model.depth), contexts=CONTEXTS
    )
    specs = [concept.spec for concept in lecture.lesson.concepts]
    return drill(model, lecture.domain, specs, plan, random.Random(PLACE_SEED))


def read(its: Place, added: Float[Tensor, "K H"], *, kind: str, seed: int) -> Reading:
    """What the probes say where `added` was put: a vector for each concept of the lesson."""
    drills, native, lesson = its.drills, its.native, its.lecture.lesson
    packet, specs = lesson.packets[0].packet, [concept.spec for concept in lesson.concepts]
    names, sent = [spec.id for spec in specs], [spec.id for spec in packet.concepts]
    exemplars = packet.exemplars[[sent.index(name) for name in names]]
    labels = results_of(specs, its.lecture.domain)
    shown = torch.tensor([name in its.lecture.shown for name in names])
    states, due = injected(drills, added, list(native.probes)), drills.concepts.cpu()
    right = {
        layer: (probe.says(states[layer]) == labels[due]).float()
        for layer, probe in native.probes.items()
    }
    hidden, chosen = (~shown).nonzero()[:, 0].tolist(), right[native.chosen]
    alone, memory = added.float().cpu(), native.probes[drills.seen.layer]
    said = ((alone / memory.scale) @ memory.weight.T).argmax(dim=-1)
    return Reading(
        kind=kind,
        seed=seed,
        marks={names[row]: float(chosen[due == row].mean()) for row in hidden},
        by_layer={layer: float(its[~shown[due]].mean()) for layer, its in right.items()},
        same=same_probe(exemplars, alone, labels, shown, penalty=its.penalty),
        displaced=float((said == labels)[~shown].float().mean()),
    )
