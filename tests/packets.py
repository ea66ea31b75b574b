"""Tiny knowledge packets, for every test that needs one; deterministic from a seed."""

import random
from dataclasses import replace

import torch
from hypothesis import strategies as st

from m2kt import domains
from m2kt.domain import ConceptSpec, Step, Trace
from m2kt.identity import AgentId
from m2kt.meter import DataMeter
from m2kt.packet import ActivationMaps, KnowledgePacket, Provenance
from m2kt.signing import Ed25519Signer
from m2kt.tested_heads import TestedHead
from m2kt.trust import TrustStore

TEACHER, STUDENT = AgentId("teacher-a"), AgentId("student-s")
NOW_S = 1_800_000_000.0
"""The time at which tests take place."""


def signer(seed: int = 1) -> Ed25519Signer:
    """A key that is always the same for the same seed."""
    return Ed25519Signer(seed.to_bytes(32, "big"))


def trusting(*keys: Ed25519Signer, agent: AgentId = TEACHER) -> TrustStore:
    """A trust store in which all of `keys` belong to `agent`."""
    store = TrustStore()
    for key in keys or (signer(),):
        store = store.enrol(key.key_id, agent)
    return store


def tiny_packet(
    *,
    domain: str = "arith.mod7",
    operations: str = "+-*",
    concepts: int = 8,
    exemplars: int = 16,
    width: int = 12,
    traces: int = 6,
    seed: int = 0,
    teacher: AgentId = TEACHER,
) -> KnowledgePacket:
    """A packet whose traces are true and whose vectors are noise around random means.

    It holds `concepts` concepts of `domain` that questions can be posed with, drawn by `seed`
    (`operations` narrows them down); every step of a trace recalls one of them.
    """
    grammar = domains.get(domain)
    chosen = [spec for spec in grammar.concepts if any(sign in spec.id for sign in operations)]
    rng = random.Random(seed)
    specs = tuple(sorted(rng.sample(chosen, min(concepts, len(chosen))), key=lambda c: c.id))
    restricted = grammar.restrict(frozenset(spec.id for spec in specs))
    level = restricted.levels[0]
    told = tuple(grammar.solve(restricted.question(rng, level).text) for _ in range(traces))
    row = {spec.id: index for index, spec in enumerate(specs)}
    return packet_of(specs, told, row, exemplars, width, seed, teacher, grammar)


def packet_of(specs, traces, row, exemplars, width, seed, teacher, grammar) -> KnowledgePacket:
    generator = torch.Generator().manual_seed(seed)
    count = len(specs)
    cloud = torch.randn(count, 1, width, generator=generator) + 0.1 * torch.randn(
        count, exemplars, width, generator=generator
    )
    steps = [row.get(step.concept, 0) for trace in traces for step in trace.steps]
    kept = min(3, count)
    indices = torch.tensor([[(first + j) % count for j in range(kept)] for first in steps])
    weights = torch.softmax(torch.arange(kept, 0, -1).float(), 0).repeat(len(steps), 1)
    return KnowledgePacket(
        concepts=specs,
        means=cloud.mean(1),
        exemplars=cloud,
        maps=ActivationMaps(indices.reshape(len(steps), kept).to(torch.int32), weights),
        traces=traces,
        symbols=grammar.symbols,
        provenance=provenance(teacher=teacher, domain=grammar.name, concepts=count),
    )


def provenance(*, teacher: AgentId, domain: str, concepts: int = 1) -> Provenance:
    return Provenance(
        teacher=teacher,
        domain=domain,
        family="gpt2",
        weights_digest="b3:" + "0" * 64,
        base_lineage=("scratch",),
        genre="symbolic",
        licence="Apache-2.0",
        extractor="bottleneck",
        layer=4,
        seed=7,
        created_at_s=NOW_S - 60,
        meter=DataMeter(concepts=concepts, traces=6, teacher_passes=100, bytes=1),
        software="m2kt test",
    )


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
names = st.from_regex(r"[a-z0-9](?:[a-z0-9._-]{0,10}[a-z0-9])?", fullmatch=True)
counts = st.integers(min_value=0, max_value=2**40)
meters = st.builds(DataMeter, *[counts] * 9)
figures = st.floats(allow_nan=False)  # which equals nothing, not even itself
places = st.integers(min_value=0, max_value=2**32 - 1)
heads = st.builds(TestedHead, places, places, figures, figures, figures)


@st.composite
def packets(draw: st.DrawFn) -> KnowledgePacket:
    """Packets of any content that the types allow: shapes, texts and numbers at random."""
    count = draw(st.integers(1, 5))
    ids = draw(st.lists(texts.map(lambda t: "d/" + t), min_size=count, max_size=count, unique=True))
    specs = tuple(ConceptSpec(id=i, gloss=draw(texts), prompt=draw(texts)) for i in ids)
    steps = st.builds(
        Step,
        rule=texts,
        operands=st.lists(texts, max_size=3).map(tuple),
        result=texts,
        stem=texts,
        concept=st.sampled_from(ids),
    )
    traces = st.builds(
        Trace,
        question=texts,
        steps=st.lists(steps, min_size=1, max_size=3).map(tuple),
        answer=texts,
    )
    packet = packet_of(
        specs,
        tuple(draw(st.lists(traces, max_size=3))),
        {name: index for index, name in enumerate(ids)},
        draw(st.integers(1, 4)),
        draw(st.integers(1, 9)),
        draw(st.integers(0, 2**31)),
        TEACHER,
        domains.get("arith.mod7"),
    )
    about = replace(packet.provenance, meter=draw(meters), genre=draw(texts))
    return replace(
        packet,
        symbols=tuple(draw(st.lists(texts, max_size=4))),
        heads=tuple(draw(st.lists(heads, max_size=3))),
        provenance=about,
    )


def equal(one: KnowledgePacket, other: KnowledgePacket) -> bool:
    """Whether two packets hold the same, bit for bit."""
    tensors = [(p.means, p.exemplars, p.maps.indices, p.maps.weights) for p in (one, other)]
    return (
        (one.concepts, one.traces, one.symbols, one.provenance, one.heads)
        == (other.concepts, other.traces, other.symbols, other.provenance, other.heads)
    ) and all(a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(*tensors, strict=True))
