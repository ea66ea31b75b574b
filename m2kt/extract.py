"""Teacher's side (Algorithm 1): concepts, traces and activation maps out of a frozen model.

The extractor here is bottleneck probing: a concept is the state at the place where its
result is due, over many contexts. Others fit the same seam: a function from a model and a
grammar to exemplars.

Owns: making a `KnowledgePacket`. Does not own: signing it (signing, wire).
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
from m2kt.domain import ConceptSpec, Grammar, Trace
from m2kt.errors import CompatibilityError, PacketError
from m2kt.identity import AgentId
from m2kt.interview import teacher_traces
from m2kt.language_model import LanguageModel
from m2kt.meter import DataMeter
from m2kt.packet import ActivationMaps, KnowledgePacket, Provenance
from m2kt.tensors import ConceptMeans, Exemplars

BOTTLENECK = "bottleneck_probing"


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
    licence: str = "Apache-2.0"
    genre: str = "symbolic"

    def __post_init__(self) -> None:
        if not 0 < self.reveal <= 1 or min(self.exemplars, self.map_width, self.most_facts) < 1:
            raise PacketError(
                "expected 0 < reveal <= 1 and exemplars, map_width, most_facts >= 1, found"
                f" {self.reveal}, {self.exemplars}, {self.map_width}, {self.most_facts}"
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
        CompatibilityError: the teacher writes no trace that the grammar can read.
    """
    rng = random.Random(config.seed)
    exemplars, read = bottleneck_exemplars(teacher, grammar, config, rng=rng)
    means = exemplars.mean(dim=1)
    shown = revealed(grammar, means, config, rng=rng)
    traces, asked = teacher_traces(
        teacher, grammar, shown, per_level=config.traces_per_level, rng=rng
    )
    return KnowledgePacket(
        concepts=grammar.concepts,
        means=means,
        exemplars=exemplars,
        maps=activation_maps(teacher, grammar, traces, means, config=config),
        traces=traces,
        symbols=grammar.symbols,
        provenance=replace(
            _provenance(teacher, grammar, config, agent),
            meter=_meter(teacher, exemplars, traces, texts=read + asked),
            created_at_s=now_s,
        ),
    )


def revealed(
    grammar: Grammar, means: ConceptMeans, config: ExtractConfig, *, rng: random.Random
) -> list[str]:
    """Ids of the facts that traces may recall: in a relational domain any, else representatives."""
    count = min(config.most_facts, max(1, round(config.reveal * len(grammar.facts))))
    if grammar.relational:
        return sorted(rng.sample(grammar.facts, count))
    return [grammar.facts[index] for index in representatives(means, count)]


def layer_of(teacher: LanguageModel, grammar: Grammar, config: ExtractConfig) -> int:
    """The hidden state that concepts are read from, unless it is set.

    The last; elements and operators are read from the input embeddings of their names.
    """
    if config.layer is None:
        return 0 if grammar.relational else teacher.depth
    return config.layer if config.layer >= 0 else teacher.depth + 1 + config.layer


def _meter(
    teacher: LanguageModel, exemplars: Exemplars, traces: Sequence[Trace], *, texts: int
) -> DataMeter:
    """What an extraction that read and asked `texts` texts consumed."""
    written = sum(len(teacher.encode(trace.completion)) for trace in traces)
    return DataMeter(
        concepts=exemplars.shape[0],
        exemplars=exemplars.shape[0] * exemplars.shape[1],
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
        extractor=BOTTLENECK,
        layer=layer_of(teacher, grammar, config),
        seed=config.seed,
        created_at_s=1.0,
        meter=DataMeter(),
        software=f"m2kt {__version__}",
    )


def bottleneck_exemplars(
    teacher: LanguageModel, grammar: Grammar, config: ExtractConfig, *, rng: random.Random
) -> tuple[Exemplars, int]:
    """States where each concept's result is due, Float [K, M, D], and how many texts were read.

    M is `config.exemplars`, or what the concept with the fewest contexts has.
    """
    texts = [grammar.contexts(rng, spec.id, config.exemplars) for spec in grammar.concepts]
    count = min(len(its) for its in texts)
    if count == 0:
        raise CompatibilityError(f"expected a context for every concept of {grammar.name}")
    flat = [text for its in texts for text in its[:count]]
    layer = layer_of(teacher, grammar, config)
    states = teacher.last_states(flat, layer=layer)
    return states.reshape(len(texts), count, -1), len(flat)


def representatives(means: ConceptMeans, count: int) -> list[int]:
    """Indices of `count` concepts that stand for all of them, in their order.

    Greedy facility location (Nemhauser et al., 1978): the next one is that by which the sum,
    over all concepts, of the cosine with the closest one chosen grows most. What traces show
    then has something typical of every group of concepts, whatever the groups are.
    """
    unit = F.normalize(means - means.mean(dim=0), dim=-1)
    alike = unit @ unit.T
    chosen: list[int] = []
    reached = torch.full((len(means),), -1.0)
    for _ in range(count):
        gains = (alike - reached).clamp_min(0.0).sum(dim=1)
        gains[chosen] = -1.0
        chosen.append(int(gains.argmax()))
        reached = torch.maximum(reached, alike[chosen[-1]])
    return sorted(chosen)


def activation_maps(
    teacher: LanguageModel,
    grammar: Grammar,
    traces: Sequence[Trace],
    means: ConceptMeans,
    *,
    config: ExtractConfig,
) -> ActivationMaps:
    """A: at each step, softmax of the similarity of the teacher's state with every c_k.

    In a relational domain, whose c_k are no states where results are due, what a step says.
    """
    if grammar.relational:
        return own_maps(traces, grammar.concepts)
    states = _due_states(teacher, traces, layer=layer_of(teacher, grammar, config))
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
    rows = {spec.id: row for row, spec in enumerate(concepts)}
    own = [rows[step.concept] for trace in traces for step in trace.steps]
    indices = torch.tensor(own, dtype=torch.int32)[:, None]
    return ActivationMaps(indices, torch.ones(indices.shape))


def _as_int32(indices: Int[Tensor, "N J"]) -> Int[Tensor, "N J"]:
    return indices.to(torch.int32)


@torch.no_grad()
def _due_states(
    teacher: LanguageModel, traces: Sequence[Trace], *, layer: int
) -> Float[Tensor, "N D"]:
    """The teacher's state where each step's result is due, steps in order."""
    found = []
    for at in range(0, len(traces), 64):
        rows = [teacher.encode_trace(trace) for trace in traces[at : at + 64]]
        states = states_at(teacher.model, teacher.padded([row.ids for row in rows]), layer=layer)
        for number, row in enumerate(rows):
            found.append(states[number, list(row.due)].float().cpu())
    return torch.cat(found)
