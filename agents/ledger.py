"""A student's journal with ears: who watches a transfer hears of every event once.

Owns: `Ledger`: entering orders and events, watchers, what others see of a transfer.
Does not own: the rows (m2kt.journal), the moves (transfers). Free of torch.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from typing import final

from m2kt.identity import PacketId, TransferId
from m2kt.journal import Journal, Transfer
from m2kt.progress import FINAL, Event, Progress, TransferState
from m2kt.signing import Envelope
from m2kt.wire import cards

from .metrics import Metrics
from .orders import LearnOrder
from .views import TransferView

logger = logging.getLogger(__name__)


@final
class Ledger:
    """Enters what happens, and tells those who watch. Lives on one event loop."""

    def __init__(self, journal: Journal, clock: Callable[[], float], metrics: Metrics) -> None:
        self._journal = journal
        self._clock = clock
        self._metrics = metrics
        self._news: dict[TransferId, asyncio.Event] = {}

    def begin(self, order: LearnOrder) -> tuple[TransferId, bool]:
        """Enters an order: its transfer, and whether it is new.

        Raises:
            RequestError: the order's key was used for another order.
        """
        now_s = self._clock()
        wanted = Transfer(
            id=TransferId(uuid.uuid4().hex),
            domain=order.domain,
            request=order.to_json().encode(),
            state=TransferState.OFFERED,
            created_at_s=now_s,
            updated_at_s=now_s,
        )
        found = self._journal.begin(wanted, idempotency_key=order.key)
        if found.id == wanted.id:
            logger.info("transfer offered transfer=%s domain=%s", found.id, order.domain)
        return found.id, found.id == wanted.id

    def tell(
        self,
        transfer: TransferId,
        progress: Progress,
        *,
        packets: Sequence[PacketId] = (),
        receipt: Envelope | None = None,
    ) -> Event:
        """Enters an event, with the packets that the transfer is about, or its receipt."""
        outcome = None if receipt is None else cards.envelope_to_bytes(receipt)
        event = self._journal.record(
            transfer, progress, at_s=self._clock(), packets=packets, outcome=outcome
        )
        if progress.state is not None:
            logger.info(
                "transfer moved transfer=%s state=%s event=%d", transfer, event.state, event.number
            )
        self._wake(transfer)
        if progress.state in FINAL:
            began_s = self._journal.transfer(transfer).created_at_s
            self._metrics.ended(event.state, event.at_s - began_s)
        return event

    def reopen(self, transfer: TransferId) -> None:
        """Puts an unfinished transfer back to AUTHENTICATED, after a restart."""
        self._journal.reopen(transfer, at_s=self._clock())
        self._wake(transfer)

    def state(self, transfer: TransferId) -> TransferState:
        """Where a transfer stands.

        Raises:
            NotFoundError: there is none of that id.
        """
        return self._journal.transfer(transfer).state

    def view(self, transfer: TransferId) -> TransferView:
        """What others see of a transfer.

        Raises:
            NotFoundError: there is none of that id.
        """
        record = self._journal.transfer(transfer)
        events = self._journal.events_after(transfer, 0)
        if record.outcome is None or record.state not in FINAL:
            return TransferView(
                transfer=transfer,
                state=record.state,
                domain=record.domain,
                teachers=(),
                last_event=events[-1].number,
            )
        envelope = cards.envelope_from_bytes(record.outcome)
        receipt = cards.receipt_from_bytes(envelope.payload)
        return TransferView(
            transfer=transfer,
            state=record.state,
            domain=record.domain,
            teachers=receipt.teachers,
            last_event=events[-1].number,
            verdict=receipt.verdict,
            receipt=envelope,
        )

    async def watch(self, transfer: TransferId, *, after: int) -> AsyncIterator[Event]:
        """Events with greater numbers than `after`, old and new, until the transfer has ended.

        Raises:
            NotFoundError: there is none of that id.
        """
        while True:
            news = self._news.setdefault(transfer, asyncio.Event())
            for event in self._journal.events_after(transfer, after):
                after = event.number
                yield event
            if self.state(transfer) in FINAL and not self._journal.events_after(transfer, after):
                return
            await news.wait()

    def _wake(self, transfer: TransferId) -> None:
        news = self._news.pop(transfer, None)
        if news is not None:
            news.set()
