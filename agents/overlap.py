"""Work on a stream in a thread beside it: while one item is worked on, the next may come.

Owns: `overlapped`. Free of torch and of grpc.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

T = TypeVar("T")


async def overlapped(items: AsyncIterator[T], work: Callable[[T], object]) -> None:
    """Calls `work` with each item, one after another, each in a thread.

    All that had come is worked on before this ends, also if the stream broke or whoever waits
    is cancelled.

    Raises:
        Exception: what `work` raised first; else what `items` raised.
    """
    working: asyncio.Future[object] | None = None
    try:
        async for item in items:
            if working is not None:
                await _ended(working)
            working = asyncio.ensure_future(asyncio.to_thread(work, item))
    finally:
        if working is not None:
            await _ended(working)


async def _ended(working: "asyncio.Future[object]") -> None:
    """Waits for a thread, which goes on if who waits is cancelled."""
    await asyncio.wait({working})
    working.result()
