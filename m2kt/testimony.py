"""What several packets' traces say together.

Every voter has one voice, however often it repeats itself: of traces that answer one question
differently the one that most voters give remains, and a tie leaves none. So with what they tell
of a fact.

Owns: which traces remain, what they tell, their maps in terms of a lesson's concepts.
Does not own: whether a trace is right (screen).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

from m2kt.domain import Trace
from m2kt.packet import ScreenedPacket
from m2kt.reading import View

T = TypeVar("T")
Map = tuple[dict[int, float], ...]
"""For each step of a trace, {concept of the lesson: weight}."""


def told(packets: Sequence[ScreenedPacket], view: View | None) -> dict[str, str]:
    """The symbol that the traces which remain give to facts; nothing if nobody can read them."""
    if view is None:
        return {}
    kept = remaining(packets)
    said = {
        (view.grammar.recalled(step), step.result, packet.voter)
        for packet in packets
        for trace in packet.packet.traces
        if trace in kept
        for step in trace.steps
    }
    votes: dict[str, Counter[str]] = {}
    for fact, symbol, _ in said:
        votes.setdefault(fact, Counter())[symbol] += 1
    leaders = {fact: _leader(its) for fact, its in votes.items()}
    return {fact: symbol for fact, symbol in leaders.items() if symbol is not None}


def remaining(packets: Sequence[ScreenedPacket]) -> frozenset[Trace]:
    """The traces that remain."""
    voices = {(trace, packet.voter) for packet in packets for trace in packet.packet.traces}
    rivals: dict[str, Counter[Trace]] = {}
    for trace, _ in voices:
        rivals.setdefault(trace.question, Counter())[trace] += 1
    leaders = (_leader(its) for its in rivals.values())
    return frozenset(trace for trace in leaders if trace is not None)


def _leader(votes: Counter[T]) -> T | None:
    """What has most votes; None on a tie."""
    first, *others = votes.most_common(2)
    return None if others and others[0][1] == first[1] else first[0]


def mapped(packets: Sequence[ScreenedPacket], slots: Mapping[str, int]) -> dict[Trace, Map]:
    """The traces that remain and are about concepts of the lesson, each with its maps.

    Args:
        packets: Of the lesson.
        slots: Number of each concept of the lesson.
    """
    kept, found = remaining(packets), dict[Trace, Map]()
    for packet in packets:
        for trace, maps in _of_packet(packet, slots):
            if trace in kept and all(step.concept in slots for step in trace.steps):
                found.setdefault(trace, maps)
    return found


def _of_packet(packet: ScreenedPacket, slots: Mapping[str, int]) -> list[tuple[Trace, Map]]:
    """A packet's traces, and their activation maps rewritten to the lesson's concepts."""
    content = packet.packet
    places = [
        [slots[its.id] for its in packet.members.get(spec.id, (spec,)) if its.id in slots]
        for spec in content.concepts
    ]
    indices, weights = content.maps.indices.tolist(), content.maps.weights.tolist()
    found, at = [], 0
    for trace in content.traces:
        maps = []
        for number, step in enumerate(trace.steps, at):
            own = slots.get(step.concept)
            named = [_of_step(own, places[index]) for index in indices[number]]
            maps.append(_added(weights[number], named))
        at += len(trace.steps)
        found.append((trace, tuple(maps)))
    return found


def _of_step(own: int | None, slots: list[int]) -> list[int]:
    """Of a concept's facts, the one that a step recalls; all of them if it recalls none."""
    return [own] if own is not None and own in slots else slots


def _added(weights: Sequence[float], named: Sequence[Sequence[int]]) -> dict[int, float]:
    """One step's map; a concept that it names twice has the sum, one of weight 0 is left out.

    Concepts that are not learnt are left out too; the others' weights are scaled up for them.
    """
    found: dict[int, float] = {}
    lost = False
    for weight, slots in zip(weights, named, strict=True):
        lost |= weight > 0 and not slots
        for slot in slots if weight > 0 else ():
            found[slot] = found.get(slot, 0.0) + weight / len(slots)
    total = sum(found.values())
    return {slot: weight / total for slot, weight in found.items()} if lost and total else found
