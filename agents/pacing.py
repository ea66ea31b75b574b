"""A stream that nearly stands still: how slow the other side may be before it is given up.

Owns: `paced`. Free of torch and of grpc.
Does not own: deadlines of calls (server), how many calls (throttle).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

from m2kt.errors import DeadlineError

from .parts import Chunk
from .settings import Limits

T = TypeVar("T")


async def paced(
    parts: AsyncIterator[T], limits: Limits, *, waits_for_first: bool = False
) -> AsyncGenerator[T, None]:
    """The parts of a stream, as they come.

    After t seconds at least (t - `stall_s`) `min_bytes_per_s` bytes of chunks must have come.

    Args:
        parts: The stream.
        limits: See there.
        waits_for_first: Whether the time begins with the first part: who sends it may have to
            make it first.

    Raises:
        DeadlineError: it is slower.
    """
    loop = asyncio.get_running_loop()
    begun, came = (None if waits_for_first else loop.time()), 0
    while True:
        due = begun and begun + limits.stall_s + came / limits.min_bytes_per_s
        try:
            async with asyncio.timeout_at(due):
                part = await anext(parts)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise DeadlineError(
                f"expected at least {limits.min_bytes_per_s} bytes a second, found {came} bytes in"
                f" {loop.time() - (begun or 0.0):.0f} s; try a faster network, or lower [limits]"
                " min_bytes_per_s"
            ) from error
        begun = loop.time() if begun is None else begun
        came += len(part.data) if isinstance(part, Chunk) else 0
        yield part
