"""Teacher's side (Algorithm 1): concepts, traces and activation maps out of a frozen model.

Owns: making a `KnowledgePacket`. Does not own: which concepts there are (inventory), how they
are found (extractors), signing a packet (signing, wire).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int
from torch import Tensor

from m2kt import __version__
from m2kt.activations import states_at
from m2kt.causality import MapView
from m2kt.domain import ConceptSpec, Grammar, Trace
from m2kt.errors import CompatibilityError, PacketError
from m2kt.extractors import EXTRACTORS
from m2kt.head_test import HeadTestConfig, draw_trials, examine_heads
from m2kt.identity import AgentId
from m2kt.interview import teacher_traces
from m2kt.inventory import NAMED, Inventory, Search, found, named
from m2kt.language_model import LanguageModel
from m2kt.meter import DataMeter
from m2kt.packet import ActivationMaps, KnowledgePacket, Provenance
from m2kt.survey import Site
from m2kt.tensors import ConceptMeans


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractConfig:
    """What goes into a packet.

    Attributes:
        exemplars: Contexts that each concept is read from, where the domain has as many.
        layer: Hidden state that concepts are read from, -1 for the last, -2 for the one before;
            None for the last, and for the input embeddings of elements and operators.
        reveal: Share of the facts that traces may recall, as different as can be; the others
            are in C alone.
        most_facts: Facts that traces may recall at most, whatever their share.
        traces_per_level: Traces of each level above the first. Of the first level there is
            one for each revealed concept, and more of the others for what these do not recall.
        map_width: J, concepts kept in each activation map.
        map_sharpness: Factor on cosines before the softmax of a map.
        seed: Of every draw.
        find: Extractor by which the teacher finds concepts from unlabelled prompts; empty for
            those that the domain names.
        groups: How many it finds; 0 to measure it.
        prompts: Unlabelled questions that are asked for that.
        heads: Contrasts on which attention heads are tested for being behind A, half of them to
            choose the heads; 0 for no test. Each takes some hundred passes of one token; with
            fewer than 256, heads that are behind A may fail for want of contrasts.
        licence: SPDX expression under which the packet may be used.
        genre: Kind of text that concepts are read from.
    """

    exemplars: int = 16
    layer: int | None = None
    reveal: float = 1.0
    most_facts: int = 1000
    traces_per_level: int = 60
    map_width: int = 8
    map_sharpness: float = 200.0
    seed: int = 0
    find: str = ""
    groups: int = 0
    prompts: int = 600
    heads: int = 0
    licence: str = "Apache-2.0"
    genre: str = "symbolic"

    def __post_init__(self) -> None:
        if not 0 < self.reveal <= 1 or min(self.exemplars, self.map_width, self.most_facts) < 1:
            raise PacketError(
                "expected 0 < reveal <= 1 and exemplars, map_width, most_facts >= 1, found"
                f" {self.reveal}, {self.exemplars}, {self.map_width}, {self.most_facts}"
            )
        if self.find not in {"", *EXTRACTORS}:
            known = ", ".join(EXTRACTORS)
            raise PacketError(f"expected find to be one of {known}, or empty, found {self.find!r}")
        if self.groups < 0 or self.prompts < 1 or self.heads < 0 or self.heads == 1:
            raise PacketError(
                "expected groups >= 0, prompts >= 1, and heads to be 0 or 2 and more, found"
                f" {self.groups}, {self.prompts}, {self.heads}"
            )
        if self.find and self.layer is not None:
            raise PacketError(
                f"expected no layer beside find, which measures it, found {self.layer}; leave one"
                " of them out"
            )


def extract_packet(
    teacher: LanguageModel,
    grammar: Grammar,
    config: ExtractConfig,
    *,
    agent: AgentId,
    now_s: float,
) -> KnowledgePacket:
    """Reads C, A and R out of `teacher` and adds M.

    Args:
        teacher: The model.
        grammar: Public half of the domain, restricted to what the teacher teaches.
        config: What goes in.
        agent: The teacher's name.
        now_s: Unix time, seconds.

    Raises:
        CompatibilityError: the teacher writes no trace that the grammar can read, or too few to
            find concepts in; concepts cannot be found, or heads tested, in a relational domain.
    """
    rng = random.Random(config.seed)
    held = inventory(teacher, grammar, config, agent=agent, rng=rng)
    shown = revealed(grammar, held, config, rng=rng)
    traces, asked = teacher_traces(
        teacher, grammar, shown, per_level=config.traces_per_level, rng=rng
    )
    about = _provenance(teacher, grammar, config, agent)
    meter = _meter(teacher, held, traces, texts=held.texts + asked)
    packet = KnowledgePacket(
        concepts=held.concepts,
        means=held.means,
        exemplars=held.exemplars,
        maps=activation_maps(teacher, grammar, traces, held, config=config),
        traces=traces,
        symbols=grammar.symbols,
        provenance=replace(about, layer=held.site.layer, meter=meter, created_at_s=now_s),
    )
    return with_tested_heads(packet, teacher, grammar, held, config) if config.heads else packet


def inventory(
    teacher: LanguageModel,
    grammar: Grammar,
    config: ExtractConfig,
    *,
    agent: AgentId,
    rng: random.Random,
) -> Inventory:
    """The concepts that a packet will hold: named by the domain, or found."""
    if not config.find:
        layer = layer_of(teacher, grammar, config)
        return named(teacher, grammar, count=config.exemplars, layer=layer, rng=rng)
    search = Search(
        extractor=config.find,
        groups=config.groups,
        prompts=config.prompts,
        count=config.exemplars,
        seed=config.seed,
    )
    return found(teacher, grammar, search, agent=agent)


def revealed(
    grammar: Grammar, held: Inventory, config: ExtractConfig, *, rng: random.Random
) -> list[str]:
    """Ids of the facts that traces may recall: in a relational domain any, else representatives.

    Of every concept that was found there is one among them, as far as there may be so many.
    """
    count = min(config.most_facts, max(1, round(config.reveal * len(held.facts))))
    if grammar.relational:
        return sorted(rng.sample(held.facts, count))
    first = [rows[0] for rows in typical(held)][:count] if config.find else []
    return [held.facts[index] for index in representatives(held.fact_means, count, first)]


def typical(held: Inventory) -> list[list[int]]:
    """For each concept that was found the numbers of its facts, the most typical one first."""
    numbers = {fact: number for number, fact in enumerate(held.facts)}
    found = []
    for spec, mean in zip(held.concepts, held.means, strict=True):
        rows = [numbers[fact] for fact in spec.members]
        near = F.cosine_similarity(held.fact_means[rows], mean[None], dim=-1)
        found.append([rows[at] for at in near.argsort(descending=True).tolist()])
    return found


def layer_of(teacher: LanguageModel, grammar: Grammar, config: ExtractConfig) -> int:
    """The hidden state that concepts are read from, unless it is set.

    The last; elements and operators are read from the input embeddings of their names.
    """
    if config.layer is None:
        return 0 if grammar.relational else teacher.depth
    return config.layer if config.layer >= 0 else teacher.depth + 1 + config.layer


def with_tested_heads(
    packet: KnowledgePacket,
    teacher: LanguageModel,
    grammar: Grammar,
    held: Inventory,
    config: ExtractConfig,
) -> KnowledgePacket:
    """`packet` with the heads behind its A, tested on questions whose facts its traces show.

    Raises:
        CompatibilityError: A does not come from states where results are due, or there are too
            few contrasts or heads.
    """
    if grammar.relational or held.site.back:
        raise CompatibilityError(
            f"expected concepts that are read where results are due, found those of {grammar.name}"
            f" {held.site.back} tokens before, or elsewhere; set heads to 0"
        )
    said = {grammar.recalled(step): step.result for trace in packet.traces for step in trace.steps}
    view = MapView(
        means=held.means,
        rows=packet.facts,
        layer=held.site.layer,
        sharpness=config.map_sharpness,
    )
    its = HeadTestConfig(contrasts=config.heads, seed=config.seed)
    trials = draw_trials(teacher, grammar, said.__getitem__, view, its)
    tested, about = examine_heads(trials, its).tested, packet.provenance
    meter = replace(
        about.meter,
        prompts=about.meter.prompts + trials.asked,
        teacher_passes=about.meter.teacher_passes + trials.asked + trials.passes,
    )
    return replace(packet, heads=tested, provenance=replace(about, meter=meter))


def _meter(
    teacher: LanguageModel, held: Inventory, traces: Sequence[Trace], *, texts: int
) -> DataMeter:
    """What an extraction that read and asked `texts` texts consumed."""
    written = sum(len(teacher.encode(trace.completion)) for trace in traces)
    return DataMeter(
        concepts=held.exemplars.shape[0],
        exemplars=held.exemplars.shape[0] * held.exemplars.shape[1],
        traces=len(traces),
        trace_tokens=sum(len(teacher.encode(trace.text)) for trace in traces),
        prompts=texts,
        teacher_passes=texts + written,
    )


def _provenance(
    teacher: LanguageModel, grammar: Grammar, config: ExtractConfig, agent: AgentId
) -> Provenance:
    """M, but for its time and meter."""
    return Provenance(
        teacher=agent,
        domain=grammar.name,
        family=teacher.card.family,
        weights_digest=teacher.card.weights_digest,
        base_lineage=teacher.card.base_lineage,
        genre=config.genre,
        licence=config.licence,
        extractor=config.find or NAMED,
        layer=layer_of(teacher, grammar, config),
        seed=config.seed,
        created_at_s=1.0,
        meter=DataMeter(),
        software=f"m2kt {__version__}",
    )


def representatives(means: ConceptMeans, count: int, first: Sequence[int] = ()) -> list[int]:
    """Indices of `count` concepts that stand for all of them, in their order; `first` among them.

    Greedy facility location (Nemhauser et al., 1978): the next one is that by which the sum,
    over all concepts, of the cosine with the closest one chosen grows most. What traces show
    then has something typical of every group of concepts, whatever the groups are.
    """
    unit = F.normalize(means - means.mean(dim=0), dim=-1)
    alike = unit @ unit.T
    chosen = list(first)
    nothing = torch.full((1, len(means)), -1.0)
    reached = torch.cat([alike[chosen], nothing]).max(dim=0).values
    for _ in range(count - len(chosen)):
        gains = (alike - reached).clamp_min(0.0).sum(dim=1)
        gains[chosen] = -1.0
        chosen.append(int(gains.argmax()))
        reached = torch.maximum(reached, alike[chosen[-1]])
    return sorted(chosen)


def activation_maps(
    teacher: LanguageModel,
    grammar: Grammar,
    traces: Sequence[Trace],
    held: Inventory,
    *,
    config: ExtractConfig,
) -> ActivationMaps:
    """A: at each step, softmax of the similarity of the teacher's state with every c_k.

    In a relational domain, whose c_k are no states where results are due, what a step says.
    """
    if grammar.relational:
        return own_maps(traces, grammar.concepts)
    states, means = _due_states(teacher, traces, site=held.site), held.means
    centre = means.mean(dim=0)
    cosines = F.normalize(states - centre, dim=-1) @ F.normalize(means - centre, dim=-1).T
    weights, indices = (
        (config.map_sharpness * cosines)
        .softmax(dim=-1)
        .topk(min(config.map_width, means.shape[0]), dim=-1)
    )
    return ActivationMaps(_as_int32(indices), weights / weights.sum(dim=-1, keepdim=True))


def own_maps(traces: Sequence[Trace], concepts: Sequence[ConceptSpec]) -> ActivationMaps:
    """A that says of every step what the step itself says: it adds nothing to the traces."""
    rows = {name: row for row, its in enumerate(concepts) for name in its.facts}
    own = [rows[step.concept] for trace in traces for step in trace.steps]
    indices = torch.tensor(own, dtype=torch.int32)[:, None]
    return ActivationMaps(indices, torch.ones(indices.shape))


def _as_int32(indices: Int[Tensor, "N J"]) -> Int[Tensor, "N J"]:
    return indices.to(torch.int32)


@torch.no_grad()
def _due_states(
    teacher: LanguageModel, traces: Sequence[Trace], *, site: Site
) -> Float[Tensor, "N D"]:
    """The teacher's state at `site` of each place where a step's result is due, in order."""
    read = []
    for at in range(0, len(traces), 64):
        rows = [teacher.encode_trace(trace) for trace in traces[at : at + 64]]
        ids = teacher.padded([row.ids for row in rows])
        states = states_at(teacher.model, ids, layer=site.layer)
        for number, row in enumerate(rows):
            places = [max(0, due - site.back) for due in row.due]
            read.append(states[number, places].float().cpu())
    return torch.cat(read)
