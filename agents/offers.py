"""Packets that teachers bring: for teachers that can dial but cannot be dialled.

    hello -> challenge -> manifest -> wanted -> chunks -> events -> settlement

A teacher that was cut off offers again with the same `offer_id`: what had come stays, what
had been learnt is told again. An offer that nobody finishes ends after a while.

Owns: `Offers`.
Does not own: checking the bytes (intake), the transfer itself (transfers).
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, final

from m2kt.digest import digest_of
from m2kt.errors import BusyError, IncompleteError, M2KTError, PeerUnavailableError
from m2kt.identity import AgentCard, TransferId
from m2kt.packet import AuthenticPayload
from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt.signing import Envelope

from .gathering import Gathered, Received
from .intake import Intake
from .ledger import Ledger
from .orders import LearnOrder
from .pacing import paced
from .parts import Chunk
from .resources import StudentResources
from .transfers import Transfers

NONCE_BYTES: Final = 32
_LATE: Final = "expected the rest of the packet, found that its teacher left; offer it again"


@dataclass(slots=True)
class _Offer:
    """An offer whose packet has not come yet."""

    intake: Intake
    patience: asyncio.TimerHandle | None = None


@final
class Offers:
    """Takes in what teachers bring and hands it to the transfers."""

    def __init__(self, resources: StudentResources, ledger: Ledger, transfers: Transfers) -> None:
        self._resources = resources
        self._ledger = ledger
        self._transfers = transfers
        self._open: dict[TransferId, _Offer] = {}

    def nonce(self) -> bytes:
        """A challenge that nobody can have seen."""
        return secrets.token_bytes(NONCE_BYTES)

    def admit(
        self, teacher: AgentCard, order: LearnOrder, manifest: Envelope, nonce: bytes
    ) -> tuple[TransferId, int]:
        """Checks the manifest that answers `nonce`: the transfer, and the first chunk wanted.

        Raises:
            TrustError: it is not what a trusted teacher signed for this student, now.
            OversizeError: its payload is longer than the limits allow.
            BusyError: too many offers are open.
        """
        checked = Intake(self._resources, order.domain, nonce, teacher=teacher.agent)
        chunks = checked.admit(manifest)
        if len(self._open) >= self._resources.limits.waiting:
            raise BusyError(
                f"expected fewer than {self._resources.limits.waiting} open offers, found"
                f" {len(self._open)}; offer again later"
            )
        transfer, is_new = self._ledger.begin(order)
        if is_new:
            self._open[transfer] = _Offer(checked)
        elif transfer in self._open:
            offer = self._open[transfer]
            self._keep_patience(offer)
            offer.intake.resume(checked)
        else:
            checked.close()
            return transfer, chunks
        self._lose_patience(transfer, order, self._open[transfer])  # until it sends, or leaves
        return transfer, self._open[transfer].intake.next_chunk

    async def receive(
        self, transfer: TransferId, order: LearnOrder, chunks: AsyncIterator[Chunk]
    ) -> None:
        """Takes the chunks of an offer and puts its transfer in the queue.

        Raises:
            PacketError: a chunk is not what the manifest says; the transfer has ended.
            IncompleteError: the stream ended too soon; the teacher may come back.
        """
        offer = self._open.get(transfer)
        if offer is None:  # all of it had come before the teacher was cut off
            return
        self._keep_patience(offer)
        try:
            await offer.intake.take(paced(chunks, self._resources.limits))
            payload = await offer.intake.finish()
        except (IncompleteError, PeerUnavailableError, asyncio.CancelledError):
            self._lose_patience(transfer, order, offer)
            raise
        except M2KTError as error:
            self._forget(transfer)
            self._transfers.refuse(transfer, order, error.reason, str(error))
            raise
        self._forget(transfer)
        self._queue(transfer, order, payload)

    def close(self) -> None:
        """Forgets open offers; they end after the next start."""
        for transfer in list(self._open):
            self._forget(transfer)

    def _queue(self, transfer: TransferId, order: LearnOrder, payload: AuthenticPayload) -> None:
        async def gather(_: TransferId) -> Gathered:
            return Gathered((Received("offer", payload),))

        self._transfers.authenticated(transfer, [payload])
        self._transfers.carry_out(transfer, order, gather)

    def _forget(self, transfer: TransferId) -> None:
        offer = self._open.pop(transfer)
        self._keep_patience(offer)
        offer.intake.close()

    def _keep_patience(self, offer: _Offer) -> None:
        if offer.patience is not None:
            offer.patience.cancel()
            offer.patience = None

    def _lose_patience(self, transfer: TransferId, order: LearnOrder, offer: _Offer) -> None:
        """Ends the transfer unless its teacher comes back in time."""

        def give_up() -> None:
            if self._ledger.state(transfer) is TransferState.OFFERED:
                self._forget(transfer)
                self._transfers.refuse(transfer, order, Reason.INCOMPLETE, _LATE)

        if transfer in self._open:
            loop = asyncio.get_running_loop()
            offer.patience = loop.call_later(self._resources.limits.fetch_s, give_up)


def offer_key(teacher: AgentCard, offer_id: str) -> str:
    """The idempotency key of an offer: of one teacher's key, whatever it calls its offer."""
    return digest_of(teacher.key_id.encode(), b"/", offer_id.encode()).removeprefix("b3:")
