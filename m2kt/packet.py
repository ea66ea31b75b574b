"""The knowledge packet P = (C, A, R, M, sigma) and the proofs that are made of it.

`AuthenticPayload` (bytes whose signature was checked) -> `AuthenticPacket` (its
content, read) -> `ScreenedPacket` (found harmless) -> `Lesson` (combined with
others). Each is made in one place only: authenticate, parse_packet, screen,
combine; a test of the architecture keeps that true.

Owns: these frozen values, valid from birth. Source: arXiv 2511.17638, section on
knowledge packets; `DESIGN.md` section 5.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from jaxtyping import Float, Int
from torch import Tensor

from m2kt.consensus import Consensus
from m2kt.digest import Digest
from m2kt.domain import ConceptSpec, Trace
from m2kt.errors import PacketError
from m2kt.identity import AgentId, KeyId, PacketId
from m2kt.meter import DataMeter
from m2kt.tensors import ConceptMeans, Exemplars
from m2kt.tested_heads import TestedHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """M: where a packet came from.

    Attributes:
        teacher: Who extracted it.
        domain: Name of the domain.
        family: Architecture of the teacher, such as `gpt2`.
        weights_digest: Digest of the teacher's frozen weights.
        base_lineage: Checkpoints that the teacher descends from, nearest first.
        genre: Kind of text that the concepts were read from.
        licence: SPDX expression under which the packet may be used.
        extractor: Name of the extractor.
        layer: Which hidden state the concepts were read from: 0 the embeddings, L the last.
        seed: Seed of the extraction.
        created_at_s: Unix time, seconds, on the teacher's clock.
        meter: What extraction consumed.
        software: Name and version of the software.
    """

    teacher: AgentId
    domain: str
    family: str
    weights_digest: str
    base_lineage: tuple[str, ...] = ()
    genre: str
    licence: str
    extractor: str
    layer: int
    seed: int
    created_at_s: float
    meter: DataMeter
    software: str

    def __post_init__(self) -> None:
        if not self.created_at_s > 0:  # NaN is no time
            raise PacketError(f"expected created_at_s > 0, found {self.created_at_s}")


@dataclass(frozen=True, slots=True, eq=False)
class ActivationMaps:
    """A: at every step of every trace, the teacher's attention over its K concepts.

    Kept sparse: the J largest weights of each step, renormalised to sum to 1.
    Steps are numbered through the traces in order.

    Attributes:
        indices: Int [N, J], which concepts.
        weights: Float [N, J], how much of each.
    """

    indices: Int[Tensor, "N J"]
    weights: Float[Tensor, "N J"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class KnowledgePacket:
    """What a teacher sends: C, A, R and M. The signature sigma is over its bytes.

    Attributes:
        concepts: Id, gloss and prompt of each concept.
        means: c_k, Float [K, D].
        exemplars: The activations whose mean is c_k, Float [K, M, D].
        maps: A.
        traces: R: the teacher's own generations.
        symbols: The state vocabulary, shared by name.
        provenance: M.
        heads: Attention heads that were tested for being behind A; none if nobody tested.
    """

    concepts: tuple[ConceptSpec, ...]
    means: ConceptMeans
    exemplars: Exemplars
    maps: ActivationMaps
    traces: tuple[Trace, ...]
    symbols: tuple[str, ...]
    provenance: Provenance
    heads: tuple[TestedHead, ...] = ()

    def __post_init__(self) -> None:
        count, steps = len(self.concepts), sum(len(trace.steps) for trace in self.traces)
        ids = {concept.id for concept in self.concepts}
        if count == 0 or len(ids) != count:
            raise PacketError(
                f"expected one or more concepts with different ids, found {count} concepts"
                f" and {len(ids)} ids; extract the packet again"
            )
        if self.means.shape[0] != count or self.exemplars.shape[0] != count:
            raise PacketError(
                f"expected {count} rows of concepts, found means {tuple(self.means.shape)} and"
                f" exemplars {tuple(self.exemplars.shape)}"
            )
        if self.exemplars.shape[2] != self.means.shape[1]:
            raise PacketError(
                f"expected exemplars of width {self.means.shape[1]},"
                f" found {self.exemplars.shape[2]}"
            )
        if self.maps.indices.shape != self.maps.weights.shape or len(self.maps.indices) != steps:
            raise PacketError(
                f"expected activation maps for {steps} steps, found"
                f" {tuple(self.maps.indices.shape)} and {tuple(self.maps.weights.shape)}"
            )

    @property
    def facts(self) -> dict[str, int]:
        """Row of the concept that each fact belongs to; one that is named is its own."""
        rows = enumerate(self.concepts)
        return {name: row for row, spec in rows for name in spec.facts}

    @property
    def width(self) -> int:
        """D, the width of the teacher."""
        return int(self.means.shape[1])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticPayload:
    """Bytes whose signature, audience, time and chunk digests were checked. Not yet read.

    Attributes:
        packet_id: Digest of the signed manifest's exact bytes.
        content_digest: Digest of the payload: equal for every student that it is sent to.
        teacher: Who the signing keys belong to.
        signers: Keys whose signatures are valid.
        organisation: Whose agent the teacher is, by the student's trust store of that moment.
        root: Whether the teacher is a root of trust, by the same store.
        manifest: The signed manifest's exact bytes.
        payload: The packet's bytes.
    """

    packet_id: PacketId
    content_digest: Digest
    teacher: AgentId
    signers: tuple[KeyId, ...]
    organisation: str = ""
    root: bool = False
    manifest: bytes = field(repr=False)
    payload: bytes | memoryview = field(repr=False)


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class AuthenticPacket:
    """A packet read from an authentic payload. Its content may still be harmful.

    Attributes:
        packet_id: See `AuthenticPayload`.
        content_digest: See `AuthenticPayload`.
        teacher: See `AuthenticPayload`.
        signers: See `AuthenticPayload`.
        organisation: See `AuthenticPayload`; empty means the teacher itself.
        root: See `AuthenticPayload`.
        bytes_on_wire: Manifest and payload.
        packet: The content.
    """

    packet_id: PacketId
    content_digest: Digest
    teacher: AgentId
    signers: tuple[KeyId, ...]
    organisation: str = ""
    root: bool = False
    bytes_on_wire: int
    packet: KnowledgePacket


def voter_of(its: AuthenticPayload | AuthenticPacket) -> str:
    """Who speaks: the teacher's organisation, all of which has one vote; a root for itself."""
    return str(its.teacher) if its.root else its.organisation or str(its.teacher)


@final
@dataclass(frozen=True, slots=True, eq=False)
class ScreenedPacket:
    """A packet that passed every screening rule: may be learnt from.

    Attributes:
        authentic: What was screened.
        rules: Names of the rules that it passed.
        members: Of concepts that the teacher found, the facts that each is made of.
    """

    authentic: AuthenticPacket
    rules: tuple[str, ...]
    members: Mapping[str, tuple[ConceptSpec, ...]] = field(default_factory=dict)

    @property
    def packet(self) -> KnowledgePacket:
        """The content."""
        return self.authentic.packet

    @property
    def voter(self) -> str:
        """Who speaks; see `voter_of`."""
        return voter_of(self.authentic)


@dataclass(frozen=True, slots=True)
class Source:
    """One packet's share in a concept of a lesson.

    Attributes:
        packet: Index into the lesson's packets.
        row: Row of the concept in that packet's tensors.
        weight: Share; the shares of a concept sum to 1.
    """

    packet: int
    row: int
    weight: float


@dataclass(frozen=True, slots=True)
class LessonConcept:
    """A concept of a lesson and who taught it."""

    spec: ConceptSpec
    sources: tuple[Source, ...]


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Lesson:
    """One or more screened packets of one domain, combined. Only `combine` makes it.

    Attributes:
        domain: Name of the domain.
        packets: Those that something was taken of, in an order that does not depend on arrival.
        copies: Ids of packets that came too, each with the content of one of `packets`.
        concepts: The union of their concepts.
        traces: Their traces, duplicates removed.
        maps: For each trace, for each step, {lesson concept: weight}.
        consensus: Who gave what, by which rule, and what was done where teachers differed.
    """

    domain: str
    packets: tuple[ScreenedPacket, ...]
    concepts: tuple[LessonConcept, ...]
    traces: tuple[Trace, ...]
    maps: tuple[tuple[dict[int, float], ...], ...]
    consensus: Consensus
    copies: tuple[PacketId, ...] = ()

    @property
    def strategy(self) -> str:
        """Name of the rule by which packets were combined."""
        return self.consensus.rule

    @property
    def lineage(self) -> tuple[PacketId, ...]:
        """Ids of the packets whose content went in, under every id that it came by."""
        return (*(packet.authentic.packet_id for packet in self.packets), *self.copies)
