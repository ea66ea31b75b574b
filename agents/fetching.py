"""Pulling packets: from teachers that are asked, and from what a broker keeps.

All sources are asked at the same time, but only so many packets pulled as the settings say;
with a threshold on the outlook, those of teachers alone that promise as much. A stream that
breaks goes on at the first chunk that is missing, as long as each attempt brings one more;
one that a restart of the student has broken, too.

Owns: `Fetcher`.
Does not own: the outlook (foretelling), how long it waits for many (collecting), checking
what comes (intake), what becomes of it (transfers).
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Final, final

from m2kt.errors import (
    DeadlineError,
    IncompleteError,
    M2KTError,
    PeerUnavailableError,
    TrustError,
)
from m2kt.identity import AgentCard, AgentId, PacketId, TransferId
from m2kt.packet import AuthenticPayload
from m2kt.signing import Envelope

from .addresses import read_address
from .broker_client import BrokerClient
from .client import PeerClient
from .collecting import Collection
from .foretelling import Exam, Foreteller
from .gathering import Gathered, Received, Refusal, Result
from .intake import Intake, reopened
from .orders import MOST_TEACHERS, LearnOrder, packet_source
from .pacing import paced
from .parts import Chunk, Lent
from .resources import StudentResources
from .spool import Allowance, Slot

NONCE_BYTES: Final = 32
ATTEMPTS: Final = 4
"""Attempts in a row that may bring nothing new."""
PAUSE_S: Final = 0.1
CONTROL_S: Final = 10.0
"""Deadline of calls that move no packet, in seconds."""

Parts = AsyncGenerator[Envelope | Chunk | Lent, None]
Ask = Callable[[int, float], Parts]
"""From the first chunk that is wanted and a deadline to a stream of parts."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """An order, and what its sources share: the bytes of a lesson, the student's own exam."""

    order: LearnOrder
    transfer: TransferId
    allowance: Allowance
    exam: Exam


@final
class Fetcher:
    """Gets packets for one student."""

    def __init__(
        self,
        resources: StudentResources,
        card: Callable[[], AgentCard],
        foreteller: Foreteller,
    ) -> None:
        self._resources = resources
        self._card = card
        self._foreteller = foreteller
        self._streams = asyncio.Semaphore(resources.limits.streams)
        self._rest: dict[TransferId, asyncio.Task[Gathered]] = {}

    async def gather(self, order: LearnOrder, transfer: TransferId) -> Gathered:
        """A packet or a refusal of every source of `order`, or as many as come in time.

        If the order wants a follow-up, what is late once the quorum is met goes on by itself,
        and the order that follows gathers it.
        """
        if order.follows in self._rest:
            return await self._rest.pop(order.follows)
        limits, loop = self._resources.limits, asyncio.get_running_loop()
        patience_s = order.patience_s(limits.fetch_s)
        ends_at = None if patience_s is None else loop.time() + patience_s
        quorum = order.quorum_for(limits.quorum) if order.follow_up else None
        async with AsyncExitStack() as stack:
            collection = await stack.enter_async_context(Collection())
            await self._ask(order, transfer, collection, ends_at)
            await collection.until(ends_at, quorum=quorum)
            if quorum is None or collection.gathered().contents < quorum:
                return collection.gathered()
            taken = collection.take()
            if taken.late:
                stack.pop_all()
                self._rest[transfer] = asyncio.create_task(self._gather_rest(collection))
            return taken

    async def close(self) -> None:
        """Stops what is late and nobody has gathered yet."""
        rest = list(self._rest.values())
        for gathering in rest:
            gathering.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _gather_rest(self, collection: Collection) -> Gathered:
        """What comes late, within the time that one packet may take."""
        async with collection:
            ends_at = asyncio.get_running_loop().time() + self._resources.limits.fetch_s
            await collection.until(ends_at)
            return collection.gathered()

    async def _ask(
        self,
        order: LearnOrder,
        transfer: TransferId,
        collection: Collection,
        ends_at: float | None,
    ) -> None:
        """Begins to pull from every source, or takes what had come from it before a restart."""
        asked = _Asked(
            order=order,
            transfer=order.follows or transfer,
            allowance=self._allowance(order.domain),
            exam=self._foreteller.exam(order.domain),
        )
        for source, packet in self._resources.journal.collected(asked.transfer).items():
            if not order.follows or source in order.sources:
                collection.add(source, self._from_store(asked, source, packet))
        for address in order.teachers:
            self._add_teacher(collection, asked, address)
        for packet in order.packets:
            self._add_packet(collection, asked, packet)
        if order.discover:
            await self._add_discovered(collection, asked, ends_at)

    def _allowance(self, domain: str) -> Allowance:
        """What a lesson may hold beside the packets that the present skill rests on."""
        store = self._resources.store
        skill = store.state(store.head()).skills.get(domain)
        spent = sum(
            store.packets.payload_bytes(packet) for packet in (skill.lineage if skill else ())
        )
        return Allowance(self._resources.limits.lesson_bytes, spent)

    def _add_teacher(self, collection: Collection, asked: _Asked, address: str) -> None:
        if address not in collection:
            collection.add(address, self._from_teacher(asked, address))

    def _add_packet(self, collection: Collection, asked: _Asked, packet: PacketId) -> None:
        if (source := packet_source(packet)) not in collection:
            collection.add(source, self._from_broker(asked, source, packet))

    async def _add_discovered(
        self, collection: Collection, asked: _Asked, ends_at: float | None
    ) -> None:
        """Teachers and packets that the broker knows of, beside those that were named."""
        left_s = CONTROL_S
        if ends_at is not None:
            left_s = min(CONTROL_S, max(0.1, ends_at - asyncio.get_running_loop().time()))
        try:
            found, packets = await self._discover(asked.order, left_s)
        except M2KTError as error:
            collection.refuse(Refusal(asked.order.broker, error.reason, str(error)))
            return
        known, strangers = self._told_apart(found)
        named = {read_address(address).target for address in asked.order.teachers}
        for address in known:
            if read_address(address).target not in named:
                self._add_teacher(collection, asked, address)
        for packet in packets:
            self._add_packet(collection, asked, packet)
        for stranger in strangers:
            collection.refuse(stranger)

    def _told_apart(self, found: Sequence[AgentCard]) -> tuple[list[str], list[Refusal]]:
        """Addresses of the teachers whose keys are trusted: strangers are not even dialled."""
        known: list[str] = []
        strangers: list[Refusal] = []
        trust = self._resources.credentials.trust
        for card in found:
            try:
                known.append(f"{trust.agent_of(card.key_id)}@{card.address}")
            except TrustError as error:
                strangers.append(Refusal(card.agent, error.reason, str(error)))
        return known[:MOST_TEACHERS], strangers

    async def _discover(
        self, order: LearnOrder, timeout_s: float
    ) -> tuple[list[AgentCard], list[PacketId]]:
        """Teachers that can be dialled, and ids of packets, that the broker knows of."""
        student = self._resources.credentials.agent
        async with BrokerClient(order.broker, tls=self._resources.tls) as broker:
            found = await broker.find_teachers(order.domain, timeout_s=timeout_s)
            packets = await broker.list_packets(order.domain, student, timeout_s=timeout_s)
        dialled = [card for card in found if card.address]
        return dialled, [packet.packet_id for packet in packets[:MOST_TEACHERS]]

    async def _from_teacher(self, asked: _Asked, address: str) -> Result:
        """A packet, unless the teacher promises too little: then its packet is not fetched.

        Of packets that a broker keeps nothing is foretold: nobody is there to show a sample.
        """
        domain = asked.order.domain
        if self._resources.limits.min_outlook > 0:
            its = await self._foreteller.foretold(domain, address, asked.exam)
            if its.reason is not None:
                return Refusal(address, its.reason, its.detail)
        nonce, neighbours = secrets.token_bytes(NONCE_BYTES), self._resources.neighbours
        nodes = [neighbours.node] if neighbours is not None else []
        async with self._streams, PeerClient(address, tls=self._resources.tls) as peer:

            def ask(first: int, timeout_s: float) -> Parts:
                return peer.stream_packet(
                    domain,
                    self._card(),
                    nonce,
                    from_chunk=first,
                    node=nodes.pop() if nodes else "",  # once: if that fails, chunks will do
                    timeout_s=timeout_s,
                )

            teacher = read_address(address).agent
            return await self._received(ask, nonce, asked, address, teacher)

    async def _from_store(self, asked: _Asked, source: str, packet: PacketId) -> Received:
        """What had come before a restart."""
        asked.allowance.reserve(source, self._resources.store.packets.payload_bytes(packet))
        return Received(source, await asyncio.to_thread(reopened, self._resources, packet))

    async def _from_broker(self, asked: _Asked, source: str, packet: PacketId) -> Received:
        order = asked.order
        async with self._streams, BrokerClient(order.broker, tls=self._resources.tls) as broker:

            def ask(first: int, timeout_s: float) -> Parts:
                return broker.fetch_packet(packet, from_chunk=first, timeout_s=timeout_s)

            return await self._received(ask, b"", asked, source)

    async def _received(
        self, ask: Ask, nonce: bytes, asked: _Asked, source: str, teacher: AgentId | None = None
    ) -> Received:
        """What `ask` brings, within the share of the lesson that it is given."""
        slot = Slot(asked.transfer, source, asked.allowance)
        its, domain = self._resources, asked.order.domain
        intake = await asyncio.to_thread(Intake, its, domain, nonce, slot, teacher=teacher)
        try:
            return Received(source, await self._receive(ask, intake))
        except M2KTError:
            intake.close()
            slot.release()
            raise

    async def _receive(self, ask: Ask, intake: Intake) -> AuthenticPayload:
        """One packet, however often its stream breaks."""
        loop, its = asyncio.get_running_loop(), self._resources.limits
        neighbours = self._resources.neighbours
        ends_at, left = loop.time() + its.fetch_s, ATTEMPTS
        while True:
            before = intake.next_chunk
            try:
                async with (
                    aclosing(ask(before, max(0.1, ends_at - loop.time()))) as parts,
                    aclosing(paced(parts, its, waits_for_first=True)) as steady,
                ):
                    lent = await intake.take(steady)
                if lent and neighbours is not None:
                    return await intake.borrow(neighbours)
                return await intake.finish()
            except (PeerUnavailableError, IncompleteError) as error:
                left = ATTEMPTS if intake.next_chunk > before else left - 1
                if left == 0:
                    raise
                if loop.time() >= ends_at:
                    raise DeadlineError(
                        f"expected a packet within {its.fetch_s:.0f} s,"
                        f" found it broken off: {error}; ask again"
                    ) from error
                await asyncio.sleep(PAUSE_S)
