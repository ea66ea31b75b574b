"""Telling teachers and broker how a transfer ended; as well as can be done.

Owns: `deliver`.
Does not own: signing (transfers), keeping what others signed (teacher, broker).
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from typing import Final

from m2kt.errors import M2KTError
from m2kt.signing import Envelope

from .broker_client import BrokerClient
from .client import PeerClient
from .settings import TlsFiles
from .views import TransferView

logger = logging.getLogger(__name__)

DELIVERY_S: Final = 5.0


async def deliver(
    view: TransferView, *, teachers: Sequence[str], broker: str, tls: TlsFiles | None
) -> dict[str, str]:
    """Hands the receipt to everybody at once; who refused or was not there, and why.

    A receipt that nobody takes is kept all the same, in the student's journal.
    """
    if view.receipt is None:
        return {}
    calls = {address: _tell_teacher(address, view.receipt, tls) for address in teachers}
    if broker:
        calls[broker] = _tell_broker(broker, view.receipt, tls)
    faults = await asyncio.gather(*(_fault(call) for call in calls.values()))
    missed = {address: fault for address, fault in zip(calls, faults, strict=True) if fault}
    for address, fault in missed.items():
        logger.warning(
            "receipt not delivered transfer=%s to=%s why=%s", view.transfer, address, fault
        )
    return missed


async def _fault(call: Awaitable[None]) -> str:
    try:
        await call
    except M2KTError as error:
        return f"{error.reason}: {error}"
    return ""


async def _tell_teacher(address: str, receipt: Envelope, tls: TlsFiles | None) -> None:
    async with PeerClient(address, tls=tls) as peer:
        await peer.tell_teacher(receipt, timeout_s=DELIVERY_S)


async def _tell_broker(address: str, receipt: Envelope, tls: TlsFiles | None) -> None:
    async with BrokerClient(address, tls=tls) as broker:
        await broker.record_receipt(receipt, timeout_s=DELIVERY_S)
