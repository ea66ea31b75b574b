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
from m2kt.domain import Grammar, Trace
from m2kt.errors import CompatibilityError, PacketError
from m2kt.identity import AgentId
from m2kt.language_model import LanguageModel
from m2kt.meter import DataMeter
from m2kt.packet import ActivationMaps, KnowledgePacket, Provenance
from m2kt.tensors import ConceptMeans, Exemplars

BOTTLENECK = "bottleneck_probing"

ROUNDS = 20
"""Times that a teacher is asked at most for traces of one kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractConfig:
    """What goes into a packet.

    Attributes:
        exemplars: Contexts that each concept is read from, where the domain has as many.
        layer: Hidden state that concepts are read from; None for the last.
        reveal: Share of the concepts that traces may recall, as different as can be; the
            others are in C alone.
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
    traces_per_level: int = 60
    map_width: int = 8
    map_sharpness: float = 200.0
    seed: int = 0
    licence: str = "Apache-2.0"
    genre: str = "symbolic"

    def __post_init__(self) -> None:
        if not 0 < self.reveal <= 1 or self.exemplars < 1 or self.map_width < 1:
            raise PacketError(
                "expected 0 < reveal <= 1 and exemplars, map_width >= 1, found"
                f" {self.reveal}, {self.exemplars}, {self.map_width}"
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
    shown = representatives(means, max(1, round(config.reveal * len(means))))
    traces, asked = teacher_traces(teacher, grammar, config, shown=shown, rng=rng)
    return KnowledgePacket(
        concepts=grammar.concepts,
        means=means,
        exemplars=exemplars,
        maps=activation_maps(teacher, traces, means, config=config),
        traces=traces,
        symbols=grammar.symbols,
        provenance=replace(
            _provenance(teacher, grammar, config, agent),
            meter=_meter(teacher, exemplars, traces, texts=read + asked),
            created_at_s=now_s,
        ),
    )


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
        layer=teacher.depth if config.layer is None else config.layer,
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
    layer = teacher.depth if config.layer is None else config.layer
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


def teacher_traces(
    teacher: LanguageModel,
    grammar: Grammar,
    config: ExtractConfig,
    *,
    shown: Sequence[int],
    rng: random.Random,
) -> tuple[tuple[Trace, ...], int]:
    """Traces that the teacher generates, and how many questions it was asked for them.

    Only traces whose every step recalls one of the concepts `shown` are kept. What the teacher
    says is kept as it is, right or wrong: nothing here knows the facts.
    """
    names = [grammar.concepts[index].id for index in shown]
    interview = _Interview(teacher, grammar, frozenset(names), config, rng)
    kept = interview.facts(names)
    for level in grammar.levels[1:]:
        kept += interview.problems(level)
    kept += interview.missing(kept)
    if not kept:
        raise CompatibilityError(
            f"expected traces of {grammar.name}, found none that its grammar can read among"
            f" {interview.asked} answers of {teacher.name}; is this the right teacher for the"
            " domain?"
        )
    return tuple(kept), interview.asked


@dataclass(slots=True, eq=False)
class _Interview:
    """Questions to a teacher that recall none but the concepts `shown`.

    Attributes:
        asked: How many there were.
    """

    teacher: LanguageModel
    grammar: Grammar
    shown: frozenset[str]
    config: ExtractConfig
    rng: random.Random
    asked: int = 0

    def facts(self, names: Sequence[str]) -> list[Trace]:
        """One for each concept, as far as there is a question that asks for it alone."""
        first = self.grammar.levels[0]
        single = [self.grammar.restrict(frozenset({one})) for one in names]
        return self._ask([its.question(self.rng, first).text for its in single], first)

    def problems(self, level: int) -> list[Trace]:
        """As many as are wanted of a level, if they can be had."""
        wanted, found = self.config.traces_per_level, dict[str, Trace]()
        for _ in range(ROUNDS):
            for trace in self._ask_some(level):
                found.setdefault(trace.question, trace)
            if len(found) >= wanted:
                break
        return list(found.values())[:wanted]

    def missing(self, kept: Sequence[Trace]) -> list[Trace]:
        """Such as recall what `kept` does not: what no question asks for alone.

        The easiest levels come first, and not the hardest, where a teacher slips most.
        """
        left, found = set(self.shown).difference(*map(_recalled, kept)), list[Trace]()
        for level in self.grammar.levels[1:-1]:
            for _ in range(ROUNDS):
                for trace in self._ask_some(level) if left else ():
                    if left & _recalled(trace):
                        found.append(trace)
                        left -= _recalled(trace)
        return found

    def _ask_some(self, level: int) -> list[Trace]:
        narrowed, count = self.grammar.restrict(self.shown), 2 * self.config.traces_per_level
        return self._ask([narrowed.question(self.rng, level).text for _ in range(count)], level)

    def _ask(self, questions: Sequence[str], level: int) -> list[Trace]:
        self.asked += len(questions)
        return ask(self.teacher, self.grammar, questions, level=level, shown=self.shown)


def _recalled(trace: Trace) -> set[str]:
    return {step.concept for step in trace.steps}


def ask(
    teacher: LanguageModel,
    grammar: Grammar,
    questions: Sequence[str],
    *,
    level: int,
    shown: frozenset[str],
) -> list[Trace]:
    """Traces that the teacher writes under `questions`, if they recall none but `shown`."""
    said = teacher.complete(
        [question + "\n" for question in questions],
        max_new_tokens=grammar.completion_characters(level),
    )
    traces = []
    for question, text in zip(questions, said, strict=True):
        body, mark, answer = text.partition("#")
        ending = answer.split("\n", 1)[0]
        try:
            trace = grammar.parse(f"{question}\n{body}{mark}{ending}\n")
        except PacketError:
            continue
        if all(step.concept in shown for step in trace.steps):
            traces.append(trace)
    return traces


def activation_maps(
    teacher: LanguageModel,
    traces: Sequence[Trace],
    means: ConceptMeans,
    *,
    config: ExtractConfig,
) -> ActivationMaps:
    """A: at each step, softmax of the similarity of the teacher's state with every c_k."""
    layer = teacher.depth if config.layer is None else config.layer
    states = _due_states(teacher, traces, layer=layer)
    centre = means.mean(dim=0)
    cosines = F.normalize(states - centre, dim=-1) @ F.normalize(means - centre, dim=-1).T
    weights, indices = (
        (config.map_sharpness * cosines)
        .softmax(dim=-1)
        .topk(min(config.map_width, means.shape[0]), dim=-1)
    )
    return ActivationMaps(_as_int32(indices), weights / weights.sum(dim=-1, keepdim=True))


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
