"""Controls: what a packet is worth when what it is said to carry is taken out of it.

    with_c        nothing is changed
    shuffled_c    the c_k belong to other concepts
    random_c      the c_k are drawn with the mean and the deviations of C
    untrained_c   the c_k are read from the teacher before it was trained
    without_c     what no trace shows is not in the packet, and the c_k of the rest are random
    wrong_facts   the results that traces show belong to other facts

The first five have the same traces. Each goes the whole way: signed, screened, learnt.

Of concepts that a teacher found (extractors) there is one more, `shuffled_members`: facts belong
to other concepts than those that they were found in.

Owns: `CONTROLS`, `SHUFFLED_MEMBERS`, `thinned`, `lacking`. Does not own: how they are run (matrix).
"""

import random
from collections.abc import Container, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import torch
from transformers import AutoModelForCausalLM

from m2kt.bench.subjects import Change
from m2kt.domain import Grammar
from m2kt.extract import own_maps
from m2kt.inventory import named
from m2kt.language_model import LanguageModel
from m2kt.packet import KnowledgePacket
from m2kt.screen import ScreenRules
from m2kt.tensors import Exemplars
from m2kt.vocabulary import found_spec

DEVIATION: Final = 0.02
"""Of the weights of a teacher that was never trained."""
CHECKED: Final = ScreenRules()
"""A student's own."""
UNCHECKED: Final = ScreenRules(check_traces=False)
"""For traces that are wrong on purpose: a student would refuse them."""


def _with_exemplars(packet: KnowledgePacket, exemplars: Exemplars) -> KnowledgePacket:
    return replace(packet, exemplars=exemplars, means=exemplars.mean(dim=1))


def with_c(packet: KnowledgePacket, _model: LanguageModel, _grammar: Grammar) -> KnowledgePacket:
    """The packet as it is."""
    return packet


def shuffled_c(
    packet: KnowledgePacket, _model: LanguageModel, _grammar: Grammar
) -> KnowledgePacket:
    """Every c_k goes to another concept."""
    count = len(packet.concepts)
    order = torch.randperm(count, generator=_generator(packet))
    onward = torch.empty(count, dtype=torch.long)
    onward[order] = order.roll(1)  # one cycle: none stays where it was
    return _with_exemplars(packet, packet.exemplars[onward])


def random_c(packet: KnowledgePacket, _model: LanguageModel, _grammar: Grammar) -> KnowledgePacket:
    """Every c_k is drawn, coordinate by coordinate, with the mean and deviation of C."""
    means = packet.means
    drawn = torch.randn(means.shape, generator=_generator(packet))
    centres = means.mean(dim=0) + drawn * means.std(dim=0)
    spread = packet.exemplars - means[:, None]
    return _with_exemplars(packet, centres[:, None] + spread)


def untrained_c(packet: KnowledgePacket, model: LanguageModel, grammar: Grammar) -> KnowledgePacket:
    """The c_k of the teacher's architecture with weights that were drawn."""
    generator = _generator(packet)
    with torch.random.fork_rng(devices=[]):
        drawn = AutoModelForCausalLM.from_config(model.model.config).eval()
    with torch.no_grad():
        for weight in drawn.parameters():
            if weight.dim() >= 2:
                weight.normal_(0.0, DEVIATION, generator=generator)
    untrained = LanguageModel(model.name, drawn, model.tokenizer, "cpu")
    rng = random.Random(packet.provenance.seed)
    count, layer = packet.exemplars.shape[1], packet.provenance.layer
    held = named(untrained, grammar, count=count, layer=layer, rng=rng)
    return _with_exemplars(packet, held.exemplars)


def without_c(packet: KnowledgePacket, model: LanguageModel, grammar: Grammar) -> KnowledgePacket:
    """Traces are all that is left: concepts that they do not show go, the others say nothing."""
    return thinned(random_c(packet, model, grammar), grammar, 0.0)


def thinned(packet: KnowledgePacket, grammar: Grammar, held: float) -> KnowledgePacket:
    """Of the concepts that no trace shows, C holds the share `held`; the others are gone."""
    shown = {name for trace in packet.traces for its in trace.steps for name in grammar.names(its)}
    hidden = [s.id for s in packet.concepts if shown.isdisjoint(s.facts)]
    rng = random.Random(packet.provenance.seed)
    left_out = set(rng.sample(hidden, round((1 - held) * len(hidden))))
    return lacking(packet, left_out) if left_out else packet


def lacking(packet: KnowledgePacket, left_out: Container[str]) -> KnowledgePacket:
    """A packet without some concepts, that no trace recalls."""
    rows = [row for row, spec in enumerate(packet.concepts) if spec.id not in left_out]
    concepts = tuple(packet.concepts[row] for row in rows)
    return replace(
        packet,
        concepts=concepts,
        exemplars=packet.exemplars[rows],
        means=packet.means[rows],
        maps=own_maps(packet.traces, concepts),
    )


def wrong_facts(
    packet: KnowledgePacket, _model: LanguageModel, grammar: Grammar
) -> KnowledgePacket:
    """Results are dealt out anew among the facts shown; the traces are worked out with them."""
    rng = random.Random(packet.provenance.seed)
    facts = {grammar.recalled(s): s.result for trace in packet.traces for s in trace.steps}
    dealt = dict(zip(facts, rng.sample(list(facts.values()), len(facts)), strict=True))
    traces = []
    for trace in packet.traces:
        try:
            traces.append(grammar.work(trace.question, dealt.__getitem__))
        except KeyError:
            continue  # with these results it needs a fact that is not shown
    return replace(packet, traces=tuple(traces), maps=own_maps(traces, packet.concepts))


def shuffled_members(
    packet: KnowledgePacket, _model: LanguageModel, grammar: Grammar
) -> KnowledgePacket:
    """Facts are dealt out anew among concepts that were found; each keeps its number of them."""
    rng, about = random.Random(packet.provenance.seed), packet.provenance
    public = {spec.id: spec for spec in grammar.concepts}
    facts = sorted(packet.facts)
    dealt = rng.sample(facts, len(facts))
    concepts, at = [], 0
    for number, spec in enumerate(packet.concepts):
        its = sorted(dealt[at : at + len(spec.members)])
        at += len(its)
        members = [public[name] for name in its]
        concepts.append(found_spec(about.domain, about.teacher, number, members))
    return replace(packet, concepts=tuple(concepts), maps=own_maps(packet.traces, tuple(concepts)))


def _generator(packet: KnowledgePacket) -> torch.Generator:
    return torch.Generator().manual_seed(packet.provenance.seed)


CONTROLS: Final[Mapping[str, tuple[Change, ScreenRules]]] = MappingProxyType(
    {
        "with_c": (with_c, CHECKED),
        "without_c": (without_c, CHECKED),
        "shuffled_c": (shuffled_c, CHECKED),
        "random_c": (random_c, CHECKED),
        "untrained_c": (untrained_c, CHECKED),
        "wrong_facts": (wrong_facts, UNCHECKED),
    }
)
"""By name: what is changed, and how it is screened."""
SHUFFLED_MEMBERS: Final = "shuffled_members"
"""The control of concepts that were found."""
ALL: Final[Mapping[str, tuple[Change, ScreenRules]]] = MappingProxyType(
    {**CONTROLS, SHUFFLED_MEMBERS: (shuffled_members, CHECKED)}
)
"""Controls of packets with named and with found concepts."""
