"""An agent's place in a broker's registry, kept while it lives: registers, renews, comes back.

Ray notices a dead node after some fourteen seconds, so agents keep heartbeats of their
own, on a connection of their own where no packet is in the way.

Owns: `Membership`.
Does not own: the registry (broker).
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, final

from m2kt.errors import M2KTError, NotFoundError
from m2kt.signing import Envelope

from .broker_client import BrokerClient
from .settings import TlsFiles

logger = logging.getLogger(__name__)

CALL_S: Final = 5.0
BEATS: Final = 3
"""Heartbeats in a lease: two may be lost."""


@final
class Membership:
    """Registers one agent at one broker, for as long as it runs."""

    def __init__(
        self,
        broker: str,
        card: Callable[[], Envelope],
        *,
        lease_s: float,
        tls: TlsFiles | None = None,
    ) -> None:
        """Starts at once; must be made on an event loop.

        Args:
            broker: `host:port`.
            card: Gives the agent's signed card as it is now.
            lease_s: Seconds for which to register.
            tls: Mutual TLS.
        """
        self._client = BrokerClient(broker, tls=tls, own_connection=True)
        self._broker = broker
        self._card = card
        self._lease_s = lease_s
        self.registered = asyncio.Event()
        self._task = asyncio.create_task(self._beat(), name="membership")

    async def close(self) -> None:
        """Stops renewing; the lease runs out."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._client.close()

    async def _beat(self) -> None:
        lease = ""
        while True:
            pause_s = self._lease_s / BEATS
            try:
                lease, granted_s = await self._renewed(lease)
                pause_s = min(pause_s, granted_s / BEATS)
                self.registered.set()
            except M2KTError as error:
                logger.warning("broker not reached broker=%s why=%s", self._broker, error)
            await asyncio.sleep(pause_s)

    async def _renewed(self, lease: str) -> tuple[str, float]:
        """The lease and the seconds for which it holds now."""
        if lease:
            try:
                return lease, await self._client.renew(lease, timeout_s=CALL_S)
            except NotFoundError:
                logger.info("lease lost broker=%s", self._broker)
        return await self._client.register(self._card(), lease_s=self._lease_s, timeout_s=CALL_S)
