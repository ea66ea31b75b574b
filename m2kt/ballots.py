"""Who votes on which concept, and where each voter puts it in the student's space.

A voter is an organisation: its packets together have one vote. Points are made when they are
asked for, for some concepts at a time: memory does not grow with teachers times concepts.

Owns: `Ballots`, `draw_up`. Does not own: reading one packet (reading), what is decided (settling).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, final

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float, Int
from torch import Tensor

from m2kt.domain import ConceptSpec
from m2kt.errors import PacketError
from m2kt.packet import ScreenedPacket
from m2kt.reading import Reading, View, read
from m2kt.robust import Points
from m2kt.spaces import SPACES, Directions

SHARPNESS: Final = 10.0
"""Factor on cosines before the softmax over symbols."""
AT_ONCE: Final = 1 << 18
"""Numbers that the points of concepts which are looked at in one go may have."""


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Ballots:
    """The votes on every concept of a lesson.

    Attributes:
        packets: Of which the lesson is made.
        specs: The union of their concepts, in the order of their ids.
        voters: Organisations, in the order of their names.
        owners: Of each packet its voter.
        rows: Of each packet the row of each concept, -1 where it has none.
        told: The symbol that traces tell of each concept, by number, or -1.
        readings: Of each packet; none at all if the student cannot look at its concepts.
        symbols: Of the domain, by number; none if nobody looks.
        directions: Where the student says each symbol.
    """

    packets: tuple[ScreenedPacket, ...]
    specs: tuple[ConceptSpec, ...]
    voters: tuple[str, ...]
    owners: Int[Tensor, "P"]
    rows: Int[Tensor, "P K"]
    told: Int[Tensor, "K"]
    readings: tuple[Reading, ...]
    symbols: tuple[str, ...]
    directions: Directions

    def by_voter(self, rows: Int[Tensor, "P Q"]) -> Int[Tensor, "Q n"]:
        """How many packets of each voter have each of some concepts."""
        counts = torch.zeros(len(self.voters), rows.shape[1], dtype=torch.long)
        return counts.index_add(0, self.owners, (rows >= 0).long()).T

    @cached_property
    def roots(self) -> Bool[Tensor, "n"]:
        """Which voters are a root of trust."""
        found = torch.zeros(len(self.voters), dtype=torch.bool)
        for packet, owner in zip(self.packets, self.owners.tolist(), strict=True):
            found[owner] |= packet.authentic.root
        return found

    @cached_property
    def holding(self) -> Bool[Tensor, "K n"]:
        """Which voters have each concept."""
        return self.by_voter(self.rows) > 0

    @cached_property
    def legible(self) -> Int[Tensor, "P K"]:
        """`rows` of the packets that the student can read."""
        if not self.readings:
            return torch.full_like(self.rows, -1)
        clear = torch.tensor([its.aligned is not None for its in self.readings])
        return self.rows.where(clear[:, None], torch.tensor(-1))

    @cached_property
    def voting(self) -> Bool[Tensor, "K n"]:
        """Which voters have each concept in a packet that the student can read."""
        return self.by_voter(self.legible) > 0

    def blocks(self, concepts: Int[Tensor, "Q"]) -> Iterator[Int[Tensor, "_"]]:
        """Some concepts, as many at a time as memory is meant for; nothing of none."""
        voters = len(self.voters)
        size = max(1, AT_ONCE // (voters * max(voters, self.directions.shape[1])))
        yield from concepts.split(size) if len(concepts) else ()

    def points(self, chosen: Int[Tensor, "Q"]) -> Points:
        """Where each voter puts some concepts; 0 where it does not vote."""
        rows = self.legible[:, chosen]
        found = torch.zeros(len(chosen), len(self.voters), self.directions.shape[1])
        for reading, its_rows, owner in zip(self.readings, rows, self.owners, strict=True):
            its = (its_rows >= 0).nonzero()[:, 0]
            if len(its):
                found[its, owner] += reading.points(its_rows[its])
        return found / self.by_voter(rows).clamp_min(1)[:, :, None]

    def says(self, points: Points) -> tuple[Int[Tensor, "Q n"], Float[Tensor, "Q n"]]:
        """The symbol nearest to each point, and the doubt about it in nats."""
        cosines = F.normalize(points, dim=2) @ self.directions.T
        doubt, nearest = (-(SHARPNESS * cosines).log_softmax(dim=2)).min(dim=2)
        return nearest, doubt

    @cached_property
    def able(self) -> Bool[Tensor, "n"]:
        """Which voters sent a packet that fits what traces tell, or were not asked."""
        found = torch.full((len(self.voters),), not self.readings)
        for reading, owner in zip(self.readings, self.owners.tolist(), strict=False):
            found[owner] |= reading.aligned is not None
        return found

    def noise(self, voter: int) -> Float[Tensor, "M"]:
        """How far a voter is from itself."""
        return torch.cat([torch.zeros(0), *(its.noise for its in self._of(voter))])

    def fit(self, voter: int) -> float:
        """How well the best of a voter's packets fits what traces tell."""
        return max((its.fit for its in self._of(voter)), default=0.0)

    def of(self, voter: int) -> Iterator[ScreenedPacket]:
        """The packets of a voter."""
        for packet, owner in zip(self.packets, self.owners.tolist(), strict=True):
            if owner == voter:
                yield packet

    def _of(self, voter: int) -> Iterator[Reading]:
        for reading, owner in zip(self.readings, self.owners.tolist(), strict=False):
            if owner == voter:
                yield reading


def draw_up(
    packets: Sequence[ScreenedPacket], told: Mapping[str, str], view: View | None, space: str
) -> Ballots:
    """The ballots of packets, in their order.

    Args:
        packets: All of one domain.
        told: What traces tell of facts.
        view: How the student looks at concepts; None if it cannot.
        space: Name of the way to align.

    Raises:
        PacketError: they describe a concept differently.
    """
    held = [_held(packet) for packet in packets]
    specs = _specs(held)
    voters = sorted({packet.voter for packet in packets})
    index = {name: number for number, name in enumerate(specs)}
    rows = torch.full((len(packets), len(specs)), -1, dtype=torch.long)
    for number, its in enumerate(held):
        for name, (row, _) in its.items():
            rows[number, index[name]] = row
    symbols = () if view is None else view.grammar.symbols
    numbers = {symbol: number for number, symbol in enumerate(symbols)}
    return Ballots(
        packets=tuple(packets),
        specs=tuple(specs.values()),
        voters=tuple(voters),
        owners=torch.tensor([voters.index(packet.voter) for packet in packets]),
        rows=rows,
        told=torch.tensor([numbers.get(told.get(name, ""), -1) for name in specs]),
        readings=_read(packets, told, view, space),
        symbols=symbols,
        directions=torch.zeros(1, 1) if view is None else view.directions,
    )


def _read(
    packets: Sequence[ScreenedPacket], told: Mapping[str, str], view: View | None, space: str
) -> tuple[Reading, ...]:
    """Readings of packets; none where no concept is contested, or concepts are no facts."""
    if view is None or view.grammar.relational:
        return ()
    voters: dict[str, set[str]] = {}
    for packet in packets:
        for fact in packet.packet.facts:
            voters.setdefault(fact, set()).add(packet.voter)
    if not any(len(its) > 1 for fact, its in voters.items() if fact not in told):
        return ()
    return tuple(read(packet.packet, told, view, SPACES[space]) for packet in packets)


def _held(packet: ScreenedPacket) -> dict[str, tuple[int, ConceptSpec]]:
    """A lesson's concepts in a packet, each with its row: what was found falls into its facts."""
    return {
        its.id: (row, its)
        for row, spec in enumerate(packet.packet.concepts)
        for its in packet.members.get(spec.id, (spec,))
    }


def _specs(held: Sequence[Mapping[str, tuple[int, ConceptSpec]]]) -> dict[str, ConceptSpec]:
    """Every concept of the packets by its id, in the order of ids."""
    found: dict[str, ConceptSpec] = {}
    for its in held:
        for name, (_, spec) in its.items():
            if found.setdefault(name, spec) != spec:
                raise PacketError(
                    f"expected one description of {name}, found {found[name]} and {spec};"
                    " screen all packets by one version of the domain"
                )
    return dict(sorted(found.items()))
