"""What a linear probe reads from the concepts of a packet, held out by concept.

Beside it stand a control task (Hewitt and Liang, 2019, arXiv 1909.03368), a teacher that was
never trained, labels dealt out anew, and the tokens of the prompt alone.

Owns: `ConceptProbe`, `probe_concepts`, `same_probe`, `results_of`, `by_concept`.
Does not own: the probe (linear_probe), the student's side (native_probe).
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float, Int
from torch import Tensor

from m2kt.bench.experiments.native_probe import PENALTIES, accuracy_of, penalised
from m2kt.domain import ConceptSpec, Domain
from m2kt.linear_probe import Labelled, control_labels, crossvalidated, fit, lower_bound
from m2kt.packet import KnowledgePacket
from m2kt.tensors import ConceptValues, Exemplars

FOLDS: Final = 5
CONTROL_SEED: Final = 1
"""Of the labels that mean nothing."""


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ConceptProbe:
    """A packet's concepts, probed for the symbols that they stand for.

    Attributes:
        penalty: By which probes were held small.
        marks: For each concept the share of its exemplars that a probe reads right which has
            seen none of them.
        control: Accuracy on random labels, one for each concept, at exemplars held out.
        baselines: Accuracy held out by concept, by name.
        sign: The same of the sign of the operation; None where there is only one.
        penalties: Accuracy and accuracy on the control task, by penalty.
    """

    penalty: float
    marks: Mapping[str, float]
    control: float
    baselines: Mapping[str, float]
    sign: float | None
    penalties: Mapping[float, tuple[float, float]]

    @property
    def accuracy(self) -> float:
        """Share of exemplars that are read right."""
        return sum(self.marks.values()) / len(self.marks)

    @property
    def selectivity(self) -> float:
        """What accuracy is above the control task's."""
        return self.accuracy - self.control


def probe_concepts(packet: KnowledgePacket, untrained: Exemplars, domain: Domain) -> ConceptProbe:
    """Probes the exemplars of a packet.

    Args:
        packet: A teacher's.
        untrained: Exemplars of the same concepts, of the same teacher before it was trained.
        domain: The facts.
    """
    labels = results_of(packet.concepts, domain)
    its, held = _grouped(packet.exemplars, labels), packet.exemplars.shape[1]
    control = _control(packet.exemplars, labels=len(domain.symbols))
    penalty, _ = penalised(its)
    generator = torch.Generator().manual_seed(0)
    right = crossvalidated(its, decay=penalty, generator=generator).float()
    shares = right.reshape(-1, held).mean(dim=1).tolist()
    drawn = labels[torch.randperm(len(labels), generator=generator)]
    bags = Labelled(bags_of(packet.concepts), labels, torch.arange(len(labels)))
    signs = _signs(packet.concepts, domain)
    return ConceptProbe(
        penalty=penalty,
        marks=dict(zip((spec.id for spec in packet.concepts), shares, strict=True)),
        control=accuracy_of(control, penalty),
        baselines={
            "untrained teacher": penalised(_grouped(untrained, labels))[1],
            "shuffled labels": accuracy_of(_grouped(packet.exemplars, drawn), penalty),
            "tokens of the prompt": penalised(bags)[1],
        },
        sign=None if signs is None else penalised(_grouped(packet.exemplars, signs))[1],
        penalties={it: (accuracy_of(its, it), accuracy_of(control, it)) for it in PENALTIES},
    )


def results_of(concepts: Iterable[ConceptSpec], domain: Domain) -> Int[Tensor, "K"]:
    """The number of the symbol that each concept stands for."""
    return torch.tensor([domain.symbols.index(domain.fact(spec.id)) for spec in concepts])


def _signs(concepts: Sequence[ConceptSpec], domain: Domain) -> Int[Tensor, "K"] | None:
    """The number of the sign in each prompt, if there are several."""
    left_out = {*domain.symbols, "="}
    signs = ["".join(c for c in spec.prompt if c not in left_out) for spec in concepts]
    known = sorted(set(signs))
    return torch.tensor([known.index(sign) for sign in signs]) if len(known) > 1 else None


def _grouped(exemplars: Exemplars, labels: Int[Tensor, "K"]) -> Labelled:
    """Exemplars with the labels of their concepts; those of a concept stay together."""
    types = torch.arange(len(labels)).repeat_interleave(exemplars.shape[1])
    return Labelled(exemplars.flatten(0, 1).float(), labels[types], types)


def _control(exemplars: Exemplars, *, labels: int) -> Labelled:
    """Random labels, one for each concept, of which some exemplars are always seen."""
    count, held, _ = exemplars.shape
    types = torch.arange(count).repeat_interleave(held)
    generator = torch.Generator().manual_seed(CONTROL_SEED)
    drawn = control_labels(types, count=labels, generator=generator)
    return Labelled(exemplars.flatten(0, 1).float(), drawn, torch.arange(held).repeat(count))


def bags_of(concepts: Sequence[ConceptSpec]) -> Float[Tensor, "K W"]:
    """How often each character stands in the prompt of each concept."""
    letters = sorted({letter for spec in concepts for letter in spec.prompt})
    counts = [Counter(spec.prompt) for spec in concepts]
    return torch.tensor([[float(its[letter]) for letter in letters] for its in counts])


def same_probe(
    exemplars: Exemplars,
    values: ConceptValues,
    labels: Int[Tensor, "K"],
    shown: Bool[Tensor, "K"],
    *,
    penalty: float,
) -> float:
    """Accuracy of one and the same probe, fitted on c_k and applied to phi(c_k).

    Both are put as their cosines with the concepts that traces show, which have as many
    coordinates in every space (Moschella et al., 2023, arXiv 2209.15430). Of the concepts that no
    trace shows, each is read by a probe that has seen no exemplar of it.
    """
    theirs = _related(exemplars.flatten(0, 1).float(), exemplars.mean(dim=1)[shown])
    ours = _related(values.float(), values[shown].float())
    types = torch.arange(len(labels)).repeat_interleave(exemplars.shape[1])
    generator, hidden = torch.Generator().manual_seed(0), (~shown).nonzero()[:, 0]
    turn = torch.randperm(len(hidden), generator=generator) % FOLDS
    right = 0
    for fold in range(FOLDS):
        held = hidden[turn == fold]
        seen = ~torch.isin(types, held)
        probe = fit(theirs[seen], labels[types[seen]], count=int(labels.max()) + 1, decay=penalty)
        right += int((probe.says(ours[held]) == labels[held]).sum())
    return right / len(hidden)


def _related(states: Float[Tensor, "N D"], anchors: Float[Tensor, "A D"]) -> Float[Tensor, "N A"]:
    """Cosines with anchors, seen from the middle of these."""
    centre = anchors.mean(dim=0)
    return F.normalize(states - centre, dim=-1) @ F.normalize(anchors - centre, dim=-1).T


def by_concept(marks: Sequence[Mapping[str, float]]) -> tuple[float, float, int]:
    """Mean over concepts, its one-sided lower bound of 95 %, and how many concepts there are.

    What several seeds say of a concept counts once, and what of a share is no whole concept
    counts as wrong in the bound.
    """
    found: dict[str, list[float]] = {}
    for its in marks:
        for name, share in its.items():
            found.setdefault(name, []).append(share)
    total = sum(sum(shares) / len(shares) for shares in found.values())
    right = math.floor(total + 1e-6)
    return total / len(found), lower_bound(right, len(found)), len(found)
