"""What a packet says in words: concepts, traces, symbols, provenance, as a message and back.

Owns: the message `KnowledgePacket`, and the limits of its texts and counts.
Does not own: tensors (packets).
"""

from collections.abc import Iterable, Iterator

from m2kt.domain import ConceptSpec, Step, Trace
from m2kt.errors import OversizeError
from m2kt.identity import agent_id
from m2kt.packet import ActivationMaps, KnowledgePacket, Provenance
from m2kt.tensors import ConceptMeans, Exemplars
from m2kt.tested_heads import TestedHead
from m2kt.wire.manifest import WireLimits
from m2kt.wire.v1 import packet_pb2 as pb
from m2kt.wire.verdicts import meter_from_wire, meter_to_wire


def description_of(packet: KnowledgePacket) -> pb.KnowledgePacket:
    """All of `packet` that is no tensor."""
    return pb.KnowledgePacket(
        concepts=[
            pb.Concept(id=c.id, gloss=c.gloss, prompt=c.prompt, members=c.members)
            for c in packet.concepts
        ],
        traces=[_trace_to_wire(trace) for trace in packet.traces],
        symbols=packet.symbols,
        heads=[_head_to_wire(head) for head in packet.heads],
        provenance=_provenance_to_wire(packet.provenance),
    )


def description_from(
    message: pb.KnowledgePacket,
    *,
    means: ConceptMeans,
    exemplars: Exemplars,
    maps: ActivationMaps,
) -> KnowledgePacket:
    """The packet that a description and its tensors make.

    Raises:
        PacketError: they do not fit together, or a value is out of range.
    """
    return KnowledgePacket(
        concepts=tuple(
            ConceptSpec(id=c.id, gloss=c.gloss, prompt=c.prompt, members=tuple(c.members))
            for c in message.concepts
        ),
        means=means,
        exemplars=exemplars,
        maps=maps,
        traces=tuple(_trace_from_wire(trace) for trace in message.traces),
        symbols=tuple(message.symbols),
        heads=tuple(_head_from_wire(head) for head in message.heads),
        provenance=_provenance_from_wire(message.provenance),
    )


def require_modest(message: pb.KnowledgePacket, limits: WireLimits) -> None:
    """Checks every count and the length of every text.

    Raises:
        OversizeError: one is larger than `limits` allow.
    """
    about = message.provenance
    _require_few("concepts", [len(message.concepts)], limits.concepts)
    members = sum(len(concept.members) for concept in message.concepts)
    _require_few("members of concepts", [members], limits.concepts)
    _require_few("traces", [len(message.traces)], limits.traces)
    _require_few("symbols", [len(message.symbols)], limits.symbols)
    _require_few("tested heads", [len(message.heads)], limits.concepts)
    _require_few("ancestors", [len(about.base_lineage)], limits.steps)
    _require_few("steps of a trace", (len(t.steps) for t in message.traces), limits.steps)
    _require_few("steps", [sum(len(t.steps) for t in message.traces)], limits.all_steps)
    operands = (len(step.operands) for trace in message.traces for step in trace.steps)
    _require_few("operands of a step", operands, limits.steps)
    lengths = (len(text.encode()) for text in _texts(message))
    _require_few("bytes of a text", lengths, limits.string_bytes)


def _require_few(what: str, counts: Iterable[int], most: int) -> None:
    for found in counts:
        if found > most:
            raise OversizeError(f"expected at most {most} {what}, found {found}; send less")


def _texts(message: pb.KnowledgePacket) -> Iterator[str]:
    about = message.provenance
    yield from message.symbols
    yield from about.base_lineage
    yield from (about.teacher, about.domain, about.family, about.weights_digest, about.genre)
    yield from (about.licence, about.extractor, about.software)
    for concept in message.concepts:
        yield from (concept.id, concept.gloss, concept.prompt, *concept.members)
    for trace in message.traces:
        yield from (trace.question, trace.answer)
        for step in trace.steps:
            yield from (step.rule, step.result, step.stem, step.concept, *step.operands)


def _trace_to_wire(trace: Trace) -> pb.Trace:
    steps = [
        pb.Step(
            rule=step.rule,
            operands=step.operands,
            result=step.result,
            stem=step.stem,
            concept=step.concept,
        )
        for step in trace.steps
    ]
    return pb.Trace(question=trace.question, steps=steps, answer=trace.answer)


def _trace_from_wire(message: pb.Trace) -> Trace:
    steps = tuple(
        Step(
            rule=step.rule,
            operands=tuple(step.operands),
            result=step.result,
            stem=step.stem,
            concept=step.concept,
        )
        for step in message.steps
    )
    return Trace(question=message.question, steps=steps, answer=message.answer)


def _head_to_wire(its: TestedHead) -> pb.TestedHead:
    return pb.TestedHead(
        layer=its.layer, head=its.head, effect=its.effect, p=its.p, weight=its.weight
    )


def _head_from_wire(message: pb.TestedHead) -> TestedHead:
    return TestedHead(message.layer, message.head, message.effect, message.p, message.weight)


def _provenance_to_wire(about: Provenance) -> pb.Provenance:
    return pb.Provenance(
        teacher=about.teacher,
        domain=about.domain,
        family=about.family,
        weights_digest=about.weights_digest,
        base_lineage=about.base_lineage,
        genre=about.genre,
        licence=about.licence,
        extractor=about.extractor,
        layer=about.layer,
        seed=about.seed,
        created_at_s=about.created_at_s,
        meter=meter_to_wire(about.meter),
        software=about.software,
    )


def _provenance_from_wire(message: pb.Provenance) -> Provenance:
    return Provenance(
        teacher=agent_id(message.teacher),
        domain=message.domain,
        family=message.family,
        weights_digest=message.weights_digest,
        base_lineage=tuple(message.base_lineage),
        genre=message.genre,
        licence=message.licence,
        extractor=message.extractor,
        layer=message.layer,
        seed=message.seed,
        created_at_s=message.created_at_s,
        meter=meter_from_wire(message.meter),
        software=message.software,
    )
