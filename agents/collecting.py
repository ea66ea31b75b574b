"""Many sources asked at the same time, and how long they are waited for.

Owns: `Collection`.
Does not own: how one source is asked (fetching), what came of it (gathering).
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, final

from m2kt.errors import M2KTError
from m2kt.reasons import Reason

from .gathering import Gathered, Refusal, Result

logger = logging.getLogger(__name__)

Pull = Coroutine[Any, Any, Result]


@final
class Collection:
    """Pulls that go on by themselves. Use it in an `async with`: what is left then is stopped."""

    def __init__(self) -> None:
        self._pulls: dict[str, asyncio.Task[Result]] = {}
        self._refused: list[Refusal] = []

    async def __aenter__(self) -> "Collection":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __contains__(self, source: str) -> bool:
        return source in self._pulls

    def add(self, source: str, pull: Pull) -> None:
        """Begins to pull from a source that was not named before."""
        self._pulls[source] = asyncio.create_task(_tried(source, pull), name=source)

    def refuse(self, refusal: Refusal) -> None:
        """Notes a source that is not even asked."""
        self._refused.append(refusal)

    async def until(self, ends_at: float | None, *, quorum: int | None = None) -> None:
        """Waits until nothing is on its way any more.

        Args:
            ends_at: Time on the loop's clock at which it stops to wait; None to wait on.
            quorum: Different contents with which it stops to wait too; None for all there are.
        """
        loop = asyncio.get_running_loop()
        while waiting := [pull for pull in self._pulls.values() if not pull.done()]:
            left_s = None if ends_at is None else ends_at - loop.time()
            enough = quorum is not None and self.gathered().contents >= quorum
            if enough or (left_s is not None and left_s <= 0):
                return
            await asyncio.wait(waiting, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)

    def take(self) -> Gathered:
        """What has come by now; what has not is left, to be gathered later."""
        late = {source: pull for source, pull in self._pulls.items() if not pull.done()}
        over = [pull.result() for pull in self._pulls.values() if pull.done()]
        taken = Gathered((*over, *self._refused), late=tuple(late))
        self._pulls, self._refused = late, []
        return taken

    async def close(self) -> None:
        """Stops what is on its way."""
        for pull in self._pulls.values():
            pull.cancel()
        await asyncio.gather(*self._pulls.values(), return_exceptions=True)

    def gathered(self) -> Gathered:
        """What came; a source that is still on its way is late."""
        found = [
            pull.result() if pull.done() else _late(source) for source, pull in self._pulls.items()
        ]
        return Gathered((*found, *self._refused))


async def _tried(source: str, pull: Pull) -> Result:
    try:
        return await pull
    except M2KTError as error:
        logger.info("fetch refused source=%s reason=%s detail=%s", source, error.reason, error)
        return Refusal(source, error.reason, str(error))


def _late(source: str) -> Refusal:
    detail = (
        "expected a packet in time, found it still on its way; order with a longer collect_s, or"
        " learn from this source again"
    )
    return Refusal(source, Reason.DEADLINE, detail)
