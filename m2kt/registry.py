"""The broker's memory: who is there, what they teach, and sealed packets to be fetched.

An agent is known for the time of a lease. A packet is kept for one student or for any,
until it expires. Nothing here is believed by anybody: cards and packets are signed by
their authors. Lives in one thread and keeps nothing on disk: after a restart agents
register again. Free of torch.

Owns: `Registry` and its values; time is a parameter.
Does not own: the network (broker), where a packet's bytes lie, signatures (signing).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, final

from m2kt.errors import (
    BusyError,
    FuturePacketError,
    NotFoundError,
    OversizeError,
    RequestError,
    StalePacketError,
)
from m2kt.identity import BROADCAST, AgentCard, AgentId, PacketId, Role

GONE_PER_AGENT: Final = 4
"""Agents that went and are still told of, for each agent that there is room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryLimits:
    """What a broker is ready to keep.

    Attributes:
        agents: Agents at one time.
        packets: Packets at one time.
        packets_per_teacher: Packets of one teacher at one time.
        packet_bytes: Longest payload.
        total_bytes: Payloads together.
        lease_s: Longest lease, in seconds.
        keep_s: Longest time that a packet is kept, in seconds.
        skew_s: How far an agent's clock may be ahead when it signs its card, in seconds.
    """

    agents: int = 4096
    packets: int = 1024
    packets_per_teacher: int = 64
    packet_bytes: int = 256 << 20
    total_bytes: int = 8 << 30
    lease_s: float = 300.0
    keep_s: float = 7 * 24 * 3600.0
    skew_s: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """An agent is known until `expires_at_s`.

    Attributes:
        id: Names the lease; known to the agent alone.
        card: Who it is.
        sealed_card: The card as the agent signed it, in bytes.
        granted_s: Length of the lease, in seconds.
        expires_at_s: Unix time, seconds, on the broker's clock.
    """

    id: str
    card: AgentCard
    sealed_card: bytes
    granted_s: float
    expires_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketHeader:
    """What is written on the outside of a sealed packet.

    Attributes:
        packet_id: Digest of the manifest's exact bytes.
        teacher: Who signed.
        audience: Who may read it: a student, or `BROADCAST`.
        domain: Name of the domain.
        expires_at_s: Unix time, seconds, from which it may be thrown away.
        payload_bytes: Length of the payload.
    """

    packet_id: PacketId
    teacher: AgentId
    audience: AgentId
    domain: str
    expires_at_s: float
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class KeptPacket:
    """A sealed packet: its header, its manifest's envelope, and where its payload lies."""

    header: PacketHeader
    envelope: bytes
    payload_ref: str


class RegistryChange(StrEnum):
    """What can happen to an agent in a registry."""

    REGISTERED = "REGISTERED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryNews:
    """What happened to an agent last.

    Attributes:
        revision: Grows by one with every change of the registry.
        change: What happened.
        agent: To whom.
        sealed_card: The card as the agent signed it, in bytes; empty when it went.
    """

    revision: int
    change: RegistryChange
    agent: AgentId
    sealed_card: bytes = b""


@final
class Registry:
    """Agents by lease and packets by audience, within limits."""

    def __init__(self, limits: RegistryLimits, new_id: Callable[[], str]) -> None:
        """Begins empty.

        Args:
            limits: What to keep at most.
            new_id: Makes lease ids that nobody can guess.
        """
        self._limits = limits
        self._new_id = new_id
        self._leases: dict[AgentId, Lease] = {}
        self._packets: dict[PacketId, KeptPacket] = {}
        self._news: dict[AgentId, RegistryNews] = {}
        self._newest: dict[AgentId, AgentCard] = {}  # of everybody in the news
        self._revision = 0

    @property
    def revision(self) -> int:
        """Number of the newest change; 0 before the first."""
        return self._revision

    # --- agents ---

    def register(
        self, card: AgentCard, sealed_card: bytes, *, lease_s: float, now_s: float
    ) -> Lease:
        """Makes an agent known. With the same key again, the card is replaced by a newer one.

        An older one is refused, also when the agent has gone since (see `news_after`).

        Args:
            card: Who it is; its signature was checked.
            sealed_card: The card as it was signed.
            lease_s: The wish; `RegistryLimits.lease_s` is granted at most.
            now_s: Unix time, seconds.

        Raises:
            RequestError: no lease is asked for, or the name belongs to another key.
            TrustError: a newer card of the agent is known, or the card is from the future.
            BusyError: there is no room.
        """
        self._expire(now_s)
        if not lease_s > 0:
            raise RequestError(f"expected a lease of more than 0 seconds, found {lease_s}")
        known = self._leases.get(card.agent)
        self._require_own_and_newest(card, known, now_s)
        if known is None and len(self._leases) >= self._limits.agents:
            raise BusyError(
                f"expected fewer than {self._limits.agents} agents, found as many; try again later"
            )
        granted_s = min(lease_s, self._limits.lease_s)
        lease = Lease(
            id=known.id if known else self._new_id(),
            card=card,
            sealed_card=sealed_card,
            granted_s=granted_s,
            expires_at_s=now_s + granted_s,
        )
        self._leases[card.agent] = lease
        self._newest[card.agent] = card
        if known is None or replace(known.card, issued_at_s=card.issued_at_s) != card:
            self._tell(card.agent, RegistryChange.REGISTERED, sealed_card)
        return lease

    def renew(self, lease_id: str, *, now_s: float) -> Lease:
        """Prolongs a lease by its length, from now.

        Raises:
            NotFoundError: there is no such lease (any more): register again.
        """
        self._expire(now_s)
        for agent, lease in self._leases.items():
            if lease.id == lease_id:
                self._leases[agent] = replace(lease, expires_at_s=now_s + lease.granted_s)
                return self._leases[agent]
        raise NotFoundError("expected a lease that holds, found none of that id; register again")

    def find(self, domain: str, role: Role, *, now_s: float) -> tuple[Lease, ...]:
        """Agents of a role that know a domain and whose lease holds, ordered by name."""
        self._expire(now_s)
        return tuple(
            lease
            for _, lease in sorted(self._leases.items())
            if lease.card.role is role and domain in lease.card.domains
        )

    def news_after(self, revision: int, *, now_s: float) -> tuple[RegistryNews, ...]:
        """What happened after a revision, in order: of each agent the newest change only.

        From 0: everybody who is there, and those who went not long ago. Whoever was away
        while very many went (see `GONE_PER_AGENT`) may miss some: `find` always knows.
        """
        self._expire(now_s)
        found = (news for news in self._news.values() if news.revision > revision)
        return tuple(sorted(found, key=lambda news: news.revision))

    def _require_own_and_newest(self, card: AgentCard, known: Lease | None, now_s: float) -> None:
        if known is not None and known.card.key_id != card.key_id:
            raise RequestError(
                f"expected {card.agent} with key {known.card.key_id}, found {card.key_id}; choose"
                " another name, or wait until the lease of that agent has run out"
            )
        ahead_s, newest = card.issued_at_s - now_s, self._newest.get(card.agent)
        if ahead_s > self._limits.skew_s:
            raise FuturePacketError(
                f"expected a card signed by now, found one signed {ahead_s:.0f} s from now; set"
                f" both clocks right (they may differ by {self._limits.skew_s:.0f} s)"
            )
        same_key = newest is not None and newest.key_id == card.key_id
        if newest is not None and same_key and card.issued_at_s < newest.issued_at_s:
            raise StalePacketError(
                f"expected no card of {card.agent} older than the one signed at"
                f" {newest.issued_at_s:.3f}, found one signed at {card.issued_at_s:.3f}; sign a"
                " new one, or set the agent's clock right"
            )

    def _tell(self, agent: AgentId, change: RegistryChange, sealed_card: bytes = b"") -> None:
        self._revision += 1
        self._news.pop(agent, None)
        self._news[agent] = RegistryNews(
            revision=self._revision, change=change, agent=agent, sealed_card=sealed_card
        )
        gone = [name for name in self._news if name not in self._leases]
        for name in gone[: max(0, len(gone) - GONE_PER_AGENT * self._limits.agents)]:
            del self._news[name], self._newest[name]

    def _expire(self, now_s: float) -> None:
        for agent, lease in sorted(self._leases.items(), key=lambda item: item[1].expires_at_s):
            if lease.expires_at_s <= now_s:
                del self._leases[agent]
                self._tell(agent, RegistryChange.EXPIRED)

    # --- packets ---

    def publish(self, packet: KeptPacket, *, now_s: float) -> None:
        """Keeps a sealed packet. Publishing it again changes nothing.

        Raises:
            OversizeError: the payload is too long.
            RequestError: it has expired.
            BusyError: there is no room.
        """
        header = packet.header
        self.require_room(header, now_s=now_s)
        until_s = min(header.expires_at_s, now_s + self._limits.keep_s)
        kept = replace(packet, header=replace(header, expires_at_s=until_s))
        self._packets.setdefault(header.packet_id, kept)

    def require_room(self, header: PacketHeader, *, now_s: float) -> None:
        """Asks whether a packet would be kept, before its bytes have come.

        Raises:
            OversizeError, RequestError, BusyError: see `publish`.
        """
        if header.payload_bytes > self._limits.packet_bytes:
            raise OversizeError(
                f"expected a payload of at most {self._limits.packet_bytes} bytes, found"
                f" {header.payload_bytes}; send it from peer to peer"
            )
        if header.expires_at_s <= now_s or header.payload_bytes < 0:
            raise RequestError(
                f"expected a packet that has not expired at {now_s:.0f}, found"
                f" {header.expires_at_s:.0f} and {header.payload_bytes} bytes; sign it anew"
            )
        if header.packet_id in self._packets:
            return
        others = [
            kept.header for kept in self._packets.values() if kept.header.expires_at_s > now_s
        ]
        its = sum(other.teacher == header.teacher for other in others)
        total = sum(other.payload_bytes for other in others) + header.payload_bytes
        if (
            len(others) >= self._limits.packets
            or its >= self._limits.packets_per_teacher
            or total > self._limits.total_bytes
        ):
            raise BusyError(
                f"expected room for {header.payload_bytes} bytes, found {len(others)} packets of"
                f" {total} bytes with it, {its} of them of {header.teacher}; try again when some"
                " have expired"
            )

    def packets_for(
        self, student: AgentId, domain: str, *, now_s: float
    ) -> tuple[PacketHeader, ...]:
        """Packets of a domain that a student may read, newest first."""
        return tuple(
            kept.header
            for kept in reversed(self._packets.values())
            if kept.header.domain == domain
            and kept.header.audience in (student, BROADCAST)
            and kept.header.expires_at_s > now_s
        )

    def fetch(self, packet_id: PacketId, *, now_s: float) -> KeptPacket:
        """A packet by its id.

        Raises:
            NotFoundError: it is not kept (any more).
        """
        kept = self._packets.get(packet_id)
        if kept is None or kept.header.expires_at_s <= now_s:
            raise NotFoundError(
                f"expected a packet that is kept, found no {packet_id[:80]!r}; ask its teacher"
            )
        return kept

    def forget_expired(self, *, now_s: float) -> tuple[KeptPacket, ...]:
        """Drops expired packets and returns them, so that their payloads can be removed."""
        gone = [kept for kept in self._packets.values() if kept.header.expires_at_s <= now_s]
        for kept in gone:
            del self._packets[kept.header.packet_id]
        return tuple(gone)
