"""What came of the sources of a transfer, and whether it is enough to learn from.

Owns: `Received`, `Refusal`, `Gathered`, which reasons say nothing about a packet, `sealed`
(packets that came before a restart), `wanted` (none that was un-learnt).
Does not own: asking the sources (fetching, offers), what is learnt (transfers).
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from m2kt.digest import Digest
from m2kt.errors import StoreError, TrustError
from m2kt.history import ever_unlearnt
from m2kt.identity import PacketId, TransferId
from m2kt.packet import AuthenticPayload
from m2kt.reasons import Reason
from m2kt.verdict import Rejected

from .intake import reopened
from .orders import packet_source
from .resources import StudentResources

UNDECIDED: Final = frozenset(
    {Reason.PEER_UNAVAILABLE, Reason.DEADLINE, Reason.INTERRUPTED, Reason.STORAGE, Reason.INTERNAL}
)
"""Reasons that say nothing about a packet: a transfer that ends for these alone has FAILED."""


@dataclass(frozen=True, slots=True)
class Received:
    """The packet of one source."""

    source: str
    payload: AuthenticPayload


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing came of one source of packets."""

    source: str
    reason: Reason
    detail: str


Result = Received | Refusal
"""What comes of one source."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What came of all sources, in the order in which they were named.

    Attributes:
        results: One for each source that is over.
        late: Sources from which something may still come.
    """

    results: tuple[Result, ...]
    late: tuple[str, ...] = ()

    @property
    def received(self) -> tuple[Received, ...]:
        """What came."""
        return tuple(result for result in self.results if isinstance(result, Received))

    @property
    def payloads(self) -> tuple[AuthenticPayload, ...]:
        """The packets that came."""
        return tuple(its.payload for its in self.received)

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Why nothing came of the others."""
        return tuple(result for result in self.results if isinstance(result, Refusal))

    @property
    def contents(self) -> int:
        """How many different contents came: a copy is no second opinion."""
        return len({payload.content_digest for payload in self.payloads})

    def judged(self, refuse: Callable[[Received], Refusal | None]) -> "Gathered":
        """The same, with those packets refused that `refuse` has something against."""
        judged = (its if isinstance(its, Refusal) else refuse(its) or its for its in self.results)
        return Gathered(tuple(judged), self.late)

    def without(self, known: Collection[Digest]) -> "Gathered":
        """The same, with packets refused whose contents are among `known`."""

        def old(its: Received) -> Refusal | None:
            if its.payload.content_digest not in known:
                return None
            detail = (
                f"expected another content than the first lesson had, found"
                f" {its.payload.content_digest} of {its.payload.teacher} again; name a teacher once"
            )
            return Refusal(its.source, Reason.REPLAYED, detail)

        return self.judged(old)

    def summary(self, *, enough: bool) -> str:
        """What became of every source; `enough` says whether it is learnt from what came."""
        first: dict[Digest, Received] = {}
        for its in self.received:
            first.setdefault(its.payload.content_digest, its)

        def fate(its: Result) -> str:
            if isinstance(its, Refusal):
                return f"{its.source} {its.reason}"
            whose, use = its.payload, "used" if enough else "not used"
            if (copied := first[whose.content_digest]) is not its:
                use += f", a copy of packet {copied.payload.packet_id}"
            return f"{its.source} ({whose.teacher}, packet {whose.packet_id}) {use}"

        used = len(self.received) if enough else 0
        told = [*map(fate, self.results), *(f"{source} later" for source in self.late)]
        return f"used {used} of {len(told)} sources: {'; '.join(told)}"


Gather = Callable[[TransferId], Awaitable[Gathered]]
"""From the id of a transfer to what came for it."""


async def sealed(resources: StudentResources, packets: Sequence[PacketId]) -> Gathered:
    """Packets that were sealed before, as far as they are still trusted."""
    found = list[Result]()
    for packet in packets:
        source = packet_source(packet)
        try:
            found.append(Received(source, await asyncio.to_thread(reopened, resources, packet)))
        except TrustError as error:
            found.append(Refusal(source, error.reason, str(error)))
    return Gathered(tuple(found))


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

    def gone(its: Received) -> Refusal | None:
        if its.payload.packet_id not in unlearnt:
            return None
        detail = (
            f"expected a packet that nobody has un-learnt, found {its.payload.packet_id}, which"
            " somebody has meanwhile; ask another teacher"
        )
        return Refusal(its.source, Reason.STORAGE, detail)

    return gathered.judged(gone)


def too_few(gathered: Gathered, quorum: int) -> Rejected:
    """A rejection with the reasons of all who were refused."""
    reasons = dict.fromkeys(refusal.reason for refusal in gathered.refusals)
    telling = tuple(reason for reason in reasons if reason not in UNDECIDED)
    details = tuple(f"{refusal.source}: {refusal.detail}" for refusal in gathered.refusals)
    found = f"found {gathered.contents} of different content"
    missing = f"expected {quorum} authentic packets, {found}; ask me again"
    return Rejected(telling or tuple(reasons) or (Reason.NOT_FOUND,), (*details, missing))
