"""Pulling packets: from teachers that are asked, and from what a broker keeps.

All sources are asked at once; with a threshold on the outlook, of the teachers only those
that promise as much. A stream that breaks goes on at the first chunk that is missing, as
long as each attempt brings one more.

Owns: `Fetcher`.
Does not own: the outlook (foretelling), checking what comes (intake), what becomes of it
(transfers).
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Final, final

from m2kt.errors import (
    DeadlineError,
    IncompleteError,
    M2KTError,
    PeerUnavailableError,
    TrustError,
)
from m2kt.identity import AgentCard, PacketId, TransferId
from m2kt.packet import AuthenticPayload
from m2kt.signing import Envelope

from .broker_client import BrokerClient
from .client import PeerClient
from .foretelling import Foreteller
from .gathering import Gathered, Refusal
from .intake import Intake
from .orders import MOST_TEACHERS, LearnOrder
from .parts import Chunk
from .resources import StudentResources

logger = logging.getLogger(__name__)

NONCE_BYTES: Final = 32
ATTEMPTS: Final = 4
"""Attempts in a row that may bring nothing new."""
PAUSE_S: Final = 0.1
CONTROL_S: Final = 10.0
"""Deadline of calls that move no packet, in seconds."""

Parts = AsyncGenerator[Envelope | Chunk, None]
Ask = Callable[[int, float], Parts]
"""From the first chunk that is wanted and a deadline to a stream of parts."""
Result = AuthenticPayload | Refusal
"""What comes of one source."""


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

    async def gather(self, order: LearnOrder, transfer: TransferId) -> Gathered:
        """Asks every source of `order` at once; each gives a packet or a refusal."""
        teachers, packets = list(order.teachers), list[PacketId]()
        refusals: list[Refusal] = []
        if order.discover:
            try:
                found, packets = await self._discover(order)
            except M2KTError as error:
                refusals.append(Refusal(order.broker, error.reason, str(error)))
                found = []
            known, strangers = self._told_apart(found)
            refusals += strangers
            teachers += known
        kept, taught = await asyncio.gather(
            self._all((f"packet {p}", self._from_broker(order, p)) for p in packets),
            self._from_teachers(order, list(dict.fromkeys(teachers))),
        )
        results = [*kept, *taught]
        payloads = [result for result in results if isinstance(result, AuthenticPayload)]
        refusals += [result for result in results if isinstance(result, Refusal)]
        return Gathered(tuple(payloads), tuple(refusals))

    async def _from_teachers(self, order: LearnOrder, teachers: list[str]) -> list[Result]:
        """A packet or a refusal from each; also if the student itself cannot be examined."""
        try:
            promising, declined = await self._promising(order, teachers)
        except M2KTError as error:
            return [Refusal(address, error.reason, str(error)) for address in teachers]
        pulls = ((address, self._from_teacher(order, address)) for address in promising)
        return [*declined, *await self._all(pulls)]

    async def _promising(
        self, order: LearnOrder, teachers: list[str]
    ) -> tuple[list[str], list[Refusal]]:
        """Those of `teachers` from whom a packet is worth its bytes: all, without a threshold.

        Of packets that a broker keeps nothing is foretold: nobody is there to show a sample.
        """
        if not teachers or self._resources.limits.min_outlook <= 0:
            return teachers, []
        told = await self._foreteller.foretell(order.domain, teachers)
        wanted = [its.teacher for its in told if its.reason is None]
        refused = [Refusal(its.teacher, its.reason, its.detail) for its in told if its.reason]
        return wanted, refused

    async def _all(self, pulls: Iterable[tuple[str, Awaitable[AuthenticPayload]]]) -> list[Result]:
        return await asyncio.gather(*(self._tried(source, pull) for source, pull in pulls))

    async def _tried(self, source: str, pull: Awaitable[AuthenticPayload]) -> Result:
        try:
            return await pull
        except M2KTError as error:
            logger.info("fetch refused source=%s reason=%s detail=%s", source, error.reason, error)
            return Refusal(source, error.reason, str(error))

    def _told_apart(self, found: Sequence[AgentCard]) -> tuple[list[str], list[Refusal]]:
        """Addresses of the teachers whose keys are trusted: strangers are not even dialled."""
        known: list[str] = []
        strangers: list[Refusal] = []
        trust = self._resources.credentials.trust
        for card in found:
            try:
                trust.agent_of(card.key_id)
                known.append(card.address)
            except TrustError as error:
                strangers.append(Refusal(card.agent, error.reason, str(error)))
        return known[:MOST_TEACHERS], strangers

    async def _discover(self, order: LearnOrder) -> tuple[list[AgentCard], list[PacketId]]:
        """Teachers that can be dialled, and ids of packets, that the broker knows of."""
        student = self._resources.credentials.agent
        async with BrokerClient(order.broker, tls=self._resources.tls) as broker:
            found = await broker.find_teachers(order.domain, timeout_s=CONTROL_S)
            packets = await broker.list_packets(order.domain, student, timeout_s=CONTROL_S)
        dialled = [card for card in found if card.address]
        return dialled, [packet.packet_id for packet in packets[:MOST_TEACHERS]]

    async def _from_teacher(self, order: LearnOrder, address: str) -> AuthenticPayload:
        nonce = secrets.token_bytes(NONCE_BYTES)
        async with PeerClient(address, tls=self._resources.tls) as peer:

            def ask(first: int, timeout_s: float) -> Parts:
                return peer.stream_packet(
                    order.domain, self._card(), nonce, from_chunk=first, timeout_s=timeout_s
                )

            return await self._receive(ask, Intake(self._resources, order.domain, nonce))

    async def _from_broker(self, order: LearnOrder, packet: PacketId) -> AuthenticPayload:
        async with BrokerClient(order.broker, tls=self._resources.tls) as broker:

            def ask(first: int, timeout_s: float) -> Parts:
                return broker.fetch_packet(packet, from_chunk=first, timeout_s=timeout_s)

            return await self._receive(ask, Intake(self._resources, order.domain, b""))

    async def _receive(self, ask: Ask, intake: Intake) -> AuthenticPayload:
        """One packet, however often its stream breaks."""
        loop = asyncio.get_running_loop()
        ends_at, left = loop.time() + self._resources.limits.fetch_s, ATTEMPTS
        with intake:
            while True:
                before = intake.next_chunk
                try:
                    async with aclosing(ask(before, max(0.1, ends_at - loop.time()))) as parts:
                        async for part in parts:
                            intake.accept(part)
                            if intake.next_chunk < before:  # it is about other bytes now
                                break
                    return await intake.finish()
                except (PeerUnavailableError, IncompleteError) as error:
                    left = ATTEMPTS if intake.next_chunk > before else left - 1
                    if left == 0:
                        raise
                    if loop.time() >= ends_at:
                        raise DeadlineError(
                            f"expected a packet within {self._resources.limits.fetch_s:.0f} s,"
                            f" found it broken off: {error}; ask again"
                        ) from error
                    await asyncio.sleep(PAUSE_S)
