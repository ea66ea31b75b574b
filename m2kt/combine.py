"""Several screened packets, one lesson.

    collapse    packets of equal content count once, an organisation has one vote
    traces      of those that answer one question differently the majority remains (testimony)
    align       every teacher's concepts in the student's space (reading, ballots)
    who         whose word counts at all (electorate)
    what        each concept: aggregate, arbitrate, abstain, quarantine (settling, strategies)

Pure and deterministic: the same packets give the same lesson in any order of arrival.

Owns: `combine`, these steps in order.
Does not own: any of them, screening (screen), what is done with a lesson (align).
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from m2kt.ballots import Ballots, draw_up
from m2kt.combine_config import CombineRules
from m2kt.consensus import LEARNT
from m2kt.errors import PacketError
from m2kt.identity import PacketId
from m2kt.packet import Lesson, LessonConcept, ScreenedPacket, Source
from m2kt.reading import View
from m2kt.settling import Settled, settle
from m2kt.tally import tally
from m2kt.testimony import mapped, told


def combine(
    packets: Sequence[ScreenedPacket],
    rules: CombineRules,
    view: View | None = None,
    trust: Mapping[str, float] | None = None,
) -> Lesson:
    """Makes one lesson; it holds no concept if nobody is to be believed.

    Packets with equal content count once, whoever signed them: a copy is no second opinion. Its
    id is kept all the same, so that un-learning finds the content under every id. A packet of
    which nothing is taken is not in the lineage.

    Args:
        packets: At least one, of one domain.
        rules: How.
        view: How the student looks at concepts; without it teachers cannot be held against one
            another, and shares are equal.
        trust: Of voters, from their record.

    Raises:
        PacketError: there is no packet, they are of several domains, or they describe a concept
            differently.
    """
    chosen, copies = _collapsed(packets)
    ballots = draw_up(chosen, told(chosen, view), view, rules.space)
    settled = settle(ballots, rules, _trusted(ballots, trust))
    used, concepts = _concepts(ballots, settled)
    taken = tuple(ballots.packets[number] for number in used)
    traces = mapped(taken, {concept.spec.id: slot for slot, concept in enumerate(concepts)})
    return Lesson(
        domain=chosen[0].packet.provenance.domain,
        packets=taken,
        concepts=concepts,
        traces=tuple(traces),
        maps=tuple(traces.values()),
        consensus=tally(ballots, settled, rules.strategy),
        copies=tuple(sorted(its for one in taken for its in copies[one.authentic.content_digest])),
    )


def _collapsed(
    packets: Sequence[ScreenedPacket],
) -> tuple[tuple[ScreenedPacket, ...], Mapping[str, set[PacketId]]]:
    """One packet of each content, in the order of digests; and the ids of its copies.

    A root of trust is preferred, then the smallest id: the order of arrival is no matter.
    """
    names = sorted({packet.packet.provenance.domain for packet in packets})
    if len(names) != 1:
        raise PacketError(
            f"expected packets of one domain, found {names}; combine each domain by itself"
        )
    ranked = sorted(packets, key=lambda its: (not its.authentic.root, its.authentic.packet_id))
    first: dict[str, ScreenedPacket] = {}
    ids: dict[str, set[PacketId]] = {}
    for packet in ranked:
        its = packet.authentic
        first.setdefault(its.content_digest, packet)
        ids.setdefault(its.content_digest, set()).add(its.packet_id)
    for digest, packet in first.items():
        ids[digest].discard(packet.authentic.packet_id)
    return tuple(first[digest] for digest in sorted(first)), ids


def _trusted(ballots: Ballots, trust: Mapping[str, float] | None) -> Float[Tensor, "n"] | None:
    """Each voter's record; one without a record is trusted half."""
    if trust is None:
        return None
    return torch.tensor([trust.get(voter, 0.5) for voter in ballots.voters])


def _concepts(
    ballots: Ballots, settled: Settled
) -> tuple[tuple[int, ...], tuple[LessonConcept, ...]]:
    """The packets that are used, and every concept that is learnt with its sources among them.

    A voter's share in a concept is divided evenly among its packets that have it.
    """
    rows, owners = ballots.rows.T.tolist(), ballots.owners.tolist()
    counts = ballots.by_voter(ballots.rows).tolist()
    found = [
        [
            (number, row, shares[owners[number]] / counts[concept][owners[number]])
            for number, row in enumerate(rows[concept])
            if row >= 0 and shares[owners[number]] > 0
        ]
        for concept, shares in enumerate(settled.shares.tolist())
    ]
    used = tuple(sorted({number for its in found for number, _, _ in its}))
    places = {number: place for place, number in enumerate(used)}
    concepts = (
        LessonConcept(spec, tuple(Source(places[n], row, share) for n, row, share in its))
        for spec, its, decision in zip(ballots.specs, found, settled.decisions, strict=True)
        if decision in LEARNT
    )
    return used, tuple(concepts)
