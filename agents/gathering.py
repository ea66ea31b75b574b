"""What came of all sources of packets, and whether it is enough to learn from.

Owns: `Gathered`, `Refusal`, which reasons say nothing about a packet, `sealed` (packets that
came before a restart), `wanted` (none that was un-learnt).
Does not own: how packets get here (fetching, offers, intake), what is learnt (transfers).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from m2kt.errors import StoreError, TrustError
from m2kt.history import ever_unlearnt
from m2kt.identity import PacketId, TransferId
from m2kt.packet import AuthenticPayload
from m2kt.reasons import Reason
from m2kt.verdict import Rejected

from .intake import reopened
from .resources import StudentResources

UNDECIDED: Final = frozenset(
    {Reason.PEER_UNAVAILABLE, Reason.DEADLINE, Reason.INTERRUPTED, Reason.STORAGE, Reason.INTERNAL}
)
"""Reasons that say nothing about a packet: a transfer that ends for these alone has FAILED."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing came of one source of packets."""

    source: str
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """What came of all sources: authentic packets, and refusals."""

    payloads: tuple[AuthenticPayload, ...]
    refusals: tuple[Refusal, ...] = ()

    @property
    def contents(self) -> int:
        """How many different contents came: a copy is no second opinion."""
        return len({payload.content_digest for payload in self.payloads})


Gather = Callable[[TransferId], Awaitable[Gathered]]


async def sealed(resources: StudentResources, packets: Sequence[PacketId]) -> Gathered:
    """Packets that were sealed before, as far as they are still trusted."""
    found, refusals = list[AuthenticPayload](), list[Refusal]()
    for packet in packets:
        try:
            found.append(await asyncio.to_thread(reopened, resources, packet))
        except TrustError as error:
            refusals.append(Refusal(f"packet {packet}", error.reason, str(error)))
    return Gathered(tuple(found), tuple(refusals))


async def remaining(resources: StudentResources, packets: Sequence[PacketId]) -> Gathered:
    """Packets to align anew; none if some were un-learnt since: a later transfer is for that.

    Raises:
        StoreError: some were.
    """
    if not ever_unlearnt(resources.store.history()).isdisjoint(packets):
        raise StoreError(
            "expected packets that nobody has un-learnt meanwhile, found some that somebody has;"
            " a later transfer aligns what remains"
        )
    return await sealed(resources, packets)


def wanted(resources: StudentResources, gathered: Gathered) -> Gathered:
    """Without packets that were un-learnt since they came."""
    unlearnt = ever_unlearnt(resources.store.history())
    kept = tuple(its for its in gathered.payloads if its.packet_id not in unlearnt)
    detail = "expected a packet that nobody has un-learnt, found one that somebody has meanwhile"
    refusals = (
        Refusal(f"packet {its.packet_id}", Reason.STORAGE, detail)
        for its in gathered.payloads
        if its.packet_id in unlearnt
    )
    return Gathered(kept, (*gathered.refusals, *refusals))


def too_few(gathered: Gathered, quorum: int) -> Rejected:
    """A rejection with the reasons of all who were refused."""
    reasons = dict.fromkeys(refusal.reason for refusal in gathered.refusals)
    telling = tuple(reason for reason in reasons if reason not in UNDECIDED)
    details = tuple(f"{refusal.source}: {refusal.detail}" for refusal in gathered.refusals)
    found = f"found {gathered.contents} of different content"
    missing = f"expected {quorum} authentic packets, {found}; ask me again"
    return Rejected(telling or tuple(reasons) or (Reason.NOT_FOUND,), (*details, missing))
