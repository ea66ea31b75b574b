"""Several screened packets, one lesson.

Owns: matching concepts by id, each packet's share in a concept (a strategy by name), and
which traces remain. Does not own: screening (screen), what is done with a lesson (align).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from m2kt.domain import ConceptSpec, Trace
from m2kt.errors import PacketError, RequestError
from m2kt.packet import Lesson, LessonConcept, ScreenedPacket, Source

Shares = Callable[[Sequence[ScreenedPacket]], Sequence[float]]
"""From the packets that hold a concept to their shares in it, which sum to 1."""


def equal_shares(holders: Sequence[ScreenedPacket]) -> Sequence[float]:
    """The mean."""
    return [1 / len(holders)] * len(holders)


def shares_by_traces(holders: Sequence[ScreenedPacket]) -> Sequence[float]:
    """In proportion to one more than the number of traces that a packet shows."""
    counts = [1 + len(holder.packet.traces) for holder in holders]
    return [count / sum(counts) for count in counts]


STRATEGIES: Final[Mapping[str, Shares]] = {
    "mean": equal_shares,
    "trace_weighted": shares_by_traces,
}
"""Every strategy by its name. To add one, add a function here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CombineRules:
    """How packets are combined."""

    strategy: str = "mean"

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise RequestError(
                f"expected a strategy of {', '.join(STRATEGIES)}, found {self.strategy!r}"
            )


def combine(packets: Sequence[ScreenedPacket], rules: CombineRules) -> Lesson:
    """Makes one lesson; the same packets give the same lesson in any order of arrival.

    Packets with equal content count once, whoever signed them: a copy is no second opinion.
    Its id is kept all the same, so that un-learning finds the content under every id.
    Of traces that answer one question differently, the one that most packets give remains;
    on a tie, none does.

    Raises:
        PacketError: there is no packet, they are of several domains, or they describe a
            concept differently.
    """
    # Of equal contents the smallest id stays, so that the order of arrival is no matter.
    by_id = sorted(packets, key=lambda packet: packet.authentic.packet_id, reverse=True)
    unique = {packet.authentic.content_digest: packet for packet in by_id}
    chosen = tuple(unique[digest] for digest in sorted(unique))
    kept = {packet.authentic.packet_id for packet in chosen}
    copies = {packet.authentic.packet_id for packet in packets} - kept
    names = sorted({packet.packet.provenance.domain for packet in chosen})
    if len(names) != 1:
        raise PacketError(
            f"expected packets of one domain, found {names}; combine each domain by itself"
        )
    concepts = _concepts(chosen, STRATEGIES[rules.strategy])
    slots = {concept.spec.id: slot for slot, concept in enumerate(concepts)}
    traces = _traces(chosen, slots)
    return Lesson(
        domain=names[0],
        packets=chosen,
        concepts=concepts,
        traces=tuple(traces),
        maps=tuple(traces.values()),
        strategy=rules.strategy,
        copies=tuple(sorted(copies)),
    )


def _concepts(packets: Sequence[ScreenedPacket], shares: Shares) -> tuple[LessonConcept, ...]:
    """The union of the packets' concepts, in the order of their ids."""
    rows: dict[str, list[tuple[int, int]]] = {}
    specs: dict[str, ConceptSpec] = {}
    for number, packet in enumerate(packets):
        for row, spec in _facts(packet):
            rows.setdefault(spec.id, []).append((number, row))
            if specs.setdefault(spec.id, spec) != spec:
                raise PacketError(
                    f"expected one description of {spec.id}, found {specs[spec.id]} and {spec};"
                    " screen all packets by one version of the domain"
                )
    found = []
    for name in sorted(rows):
        weights = shares([packets[number] for number, _ in rows[name]])
        sources = zip(rows[name], weights, strict=True)
        found.append(
            LessonConcept(
                specs[name], tuple(Source(n, row, weight) for (n, row), weight in sources)
            )
        )
    return tuple(found)


def _facts(packet: ScreenedPacket) -> Iterator[tuple[int, ConceptSpec]]:
    """A lesson's concepts in a packet, each with its row: what was found falls into its facts."""
    for row, spec in enumerate(packet.packet.concepts):
        yield from ((row, its) for its in packet.members.get(spec.id, (spec,)))


Map = tuple[dict[int, float], ...]


def _traces(packets: Sequence[ScreenedPacket], slots: Mapping[str, int]) -> dict[Trace, Map]:
    """The traces that remain, each with its maps in terms of the lesson's concepts."""
    votes = Counter(trace for packet in packets for trace in set(packet.packet.traces))
    rivals: dict[str, list[Trace]] = {}
    for trace in votes:
        rivals.setdefault(trace.question, []).append(trace)
    kept: dict[Trace, Map] = {}
    for packet in packets:
        for trace, its_map in _mapped(packet, slots):
            most = max(votes[rival] for rival in rivals[trace.question])
            leaders = [rival for rival in rivals[trace.question] if votes[rival] == most]
            if leaders == [trace]:
                kept.setdefault(trace, its_map)
    return kept


def _mapped(packet: ScreenedPacket, slots: Mapping[str, int]) -> list[tuple[Trace, Map]]:
    """A packet's traces, and their activation maps rewritten to the lesson's concepts."""
    content = packet.packet
    places: list[list[int]] = [[] for _ in content.concepts]
    for row, spec in _facts(packet):
        places[row].append(slots[spec.id])
    indices, weights = content.maps.indices.tolist(), content.maps.weights.tolist()
    found, at = [], 0
    for trace in content.traces:
        maps = []
        for number, step in enumerate(trace.steps, at):
            named = [_of_step(slots.get(step.concept), its) for its in places]
            maps.append(_added(indices[number], weights[number], named))
        at += len(trace.steps)
        found.append((trace, tuple(maps)))
    return found


def _of_step(own: int | None, slots: list[int]) -> list[int]:
    """Of a concept's facts, the one that a step recalls; all of them if it recalls none."""
    return [own] if own is not None and own in slots else slots


def _added(
    indices: Sequence[int], weights: Sequence[float], slots: Sequence[Sequence[int]]
) -> dict[int, float]:
    """One step's map; a concept that it names twice has the sum, one of weight 0 is left out."""
    found: dict[int, float] = {}
    for index, weight in zip(indices, weights, strict=True):
        for slot in slots[index] if weight > 0 else ():
            found[slot] = found.get(slot, 0.0) + weight / len(slots[index])
    return found
