"""A variant of an honest packet in the making.

Owns: `Sample`, `Draft`, `Variant`, `Family`, and how parts of a packet are replaced.
Does not own: what is done to packets (the threats, benign).
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, final

import torch
from torch import Tensor

from m2kt.bench.experiments.dresses import PHRASES, published_list
from m2kt.domain import Domain, Trace
from m2kt.extract import own_maps
from m2kt.packet import KnowledgePacket
from m2kt.reasons import Reason
from m2kt.screen import ScreenRules
from m2kt.tensors import Dtype

FREE_TEXTS: Final = ("family", "genre", "licence", "extractor", "software")
"""Fields of the provenance in which a teacher may write what it likes."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """An honest packet, who made it, and the domain that it is of."""

    teacher: str
    domain: Domain
    packet: KnowledgePacket


@final
@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """What a variant is made of.

    Attributes:
        rng: Of this variant alone.
        base: The honest packet.
        others: Honest packets of other domains.
        liar: A packet of a teacher that is fluent and wrong.
    """

    rng: random.Random
    base: Sample
    others: Sequence[Sample]
    liar: Sample

    @property
    def packet(self) -> KnowledgePacket:
        """The honest one."""
        return self.base.packet

    def row(self) -> int:
        """Some concept."""
        return self.rng.randrange(len(self.packet.concepts))

    def phrase(self) -> str:
        """Some phrase that is denied: one of ours, or of a published list."""
        listed = published_list()
        ours = self.rng.choice(PHRASES).phrase
        return self.rng.choice(listed) if listed and self.rng.random() < 0.5 else ours

    def noise(self) -> torch.Generator:
        """A generator of torch's, seeded by the draft's own."""
        return torch.Generator().manual_seed(self.rng.getrandbits(32))

    def variant(self, packet: KnowledgePacket, **rules: Any) -> "Variant":  # noqa: ANN401
        """`packet` under a student's rules."""
        return Variant(packet, self.base.domain, ScreenRules(**rules))


@final
@dataclass(frozen=True, slots=True, eq=False)
class Variant:
    """A packet, the domain that a student expects it to be of, and the student's rules."""

    packet: KnowledgePacket
    domain: Domain
    rules: ScreenRules
    exemplars_as: Dtype = Dtype.F32


Make = Callable[[Draft], Variant]


@final
@dataclass(frozen=True, slots=True)
class Family:
    """Packets that are alike.

    Attributes:
        name: In a few words.
        make: One of them.
        promised: Whether the first screening says that it finds these.
        reasons: For which it should refuse them; any if empty.
    """

    name: str
    make: Make
    promised: bool = False
    reasons: frozenset[Reason] = field(default_factory=frozenset)


def with_vectors(packet: KnowledgePacket, exemplars: Tensor) -> KnowledgePacket:
    """Other exemplars, and their means for concepts."""
    return replace(packet, exemplars=exemplars, means=exemplars.mean(dim=1))


def with_traces(packet: KnowledgePacket, traces: Sequence[Trace]) -> KnowledgePacket:
    """Other traces, and maps that say what these say."""
    return replace(packet, traces=tuple(traces), maps=own_maps(traces, packet.concepts))


def with_concept(packet: KnowledgePacket, row: int, **texts: str) -> KnowledgePacket:
    """Other texts of one concept."""
    changed: dict[str, Any] = dict(texts)
    concepts = list(packet.concepts)
    concepts[row] = replace(concepts[row], **changed)
    return replace(packet, concepts=tuple(concepts))


def saying(draft: Draft, text: str) -> KnowledgePacket:
    """The packet with `text` in one of the fields that a teacher fills as it likes."""
    changed: dict[str, Any] = {draft.rng.choice(FREE_TEXTS): text}
    return replace(draft.packet, provenance=replace(draft.packet.provenance, **changed))
