"""Work on a stream in a thread beside it: while items are worked on, the next may come.

A thread for each stream, and not a call of a pool for each item: what the loop and the thread
say to each other costs as much as the work on an item does.

Owns: `overlapped`. Free of torch and of grpc.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Final, Generic, TypeVar, final

T = TypeVar("T")

AHEAD: Final = 1
"""Items that may wait for the thread: a chunk that waits long has left the processor's cache."""


async def overlapped(items: AsyncIterator[T], work: Callable[[T], object]) -> None:
    """Calls `work` with each item, one after another, in a thread.

    All that had come is worked on before this ends, also if the stream broke or whoever waits
    is cancelled.

    Raises:
        Exception: what `work` raised first, after which it is not called again; else what
            `items` raised.
    """
    worker = _Worker(work)
    try:
        async for item in items:
            await worker.put(item)
    finally:
        await worker.end()


@final
class _Worker(Generic[T]):
    """A thread that works on what is put."""

    def __init__(self, work: Callable[[T], object]) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._items: SimpleQueue[tuple[T, ...]] = SimpleQueue()
        self._room, self._room_wanted = asyncio.Event(), False
        self._error: BaseException | None = None
        self._ended = self._loop.create_future()
        threading.Thread(target=self._run, name="overlapped", daemon=True).start()

    async def put(self, item: T) -> None:
        """Waits until there is room.

        Raises:
            Exception: work on an earlier item failed.
        """
        while self._items.qsize() >= AHEAD:
            self._room.clear()
            self._room_wanted = True
            if self._items.qsize() >= AHEAD:  # the thread has not looked at the wish meanwhile
                await self._room.wait()
        self._require_well()
        self._items.put((item,))

    async def end(self) -> None:
        """Waits for what was put; the thread goes on if who waits is cancelled.

        Raises:
            Exception: work on an item failed.
        """
        self._items.put(())
        await asyncio.wait({self._ended})
        self._require_well()

    def _require_well(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while item := self._items.get():
            if self._room_wanted:
                self._room_wanted = False
                self._tell(self._room.set)
            if self._error is None:
                try:
                    self._work(*item)
                except BaseException as error:  # raised to whoever waits
                    self._error = error
        self._tell(self._finish)

    def _finish(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _tell(self, what: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(what)
