"""Where model work runs: never on the event loop.

A worker is a plain object with blocking methods, built and used in one place: a
thread of this process, or a child actor (`actors.RayHost`). A method that tells
how it gets on takes a `Report` as its last parameter and is called by `stream`.

Owns: `Host`, `ThreadHost`, `reported`.
Does not own: what workers do (learner, lecturer).
"""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, final

from m2kt.progress import Progress


class Host(Protocol):
    """Runs the methods of one worker, one at a time, in the order they were asked for."""

    async def call(self, method: str, *args: object) -> Any:  # noqa: ANN401
        """The result of `worker.method(*args)`."""

    def stream(self, method: str, *args: object) -> AsyncIterator[Any]:
        """What `worker.method(*args, report)` reports, and its result as the last item."""

    async def close(self) -> None:
        """Asks running work to stop at its next report; nothing may be asked for afterwards."""


class StoppedError(Exception):
    """Raised into a worker that reports after its host was closed."""


@final
class ThreadHost:
    """A worker in one thread of this process: for small models and tests.

    The worker is built by that thread when it is first needed.
    """

    def __init__(self, build: Callable[[], object]) -> None:
        self._build = build
        self._worker: object | None = None
        self._closed = threading.Event()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def call(self, method: str, *args: object) -> Any:  # noqa: ANN401
        """See `Host`."""
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, self._run, method, args
        )

    async def stream(self, method: str, *args: object) -> AsyncIterator[Any]:
        """See `Host`."""
        loop, news = asyncio.get_running_loop(), asyncio.Queue[Progress | None]()

        def report(progress: Progress) -> None:
            if self._closed.is_set():
                raise StoppedError
            loop.call_soon_threadsafe(news.put_nowait, progress)

        future = loop.run_in_executor(self._executor, self._run, method, (*args, report))
        future.add_done_callback(lambda _: news.put_nowait(None))
        while (item := await news.get()) is not None:
            yield item
        yield await future

    async def close(self) -> None:
        """See `Host`."""
        self._closed.set()
        await asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)

    def _run(self, method: str, args: tuple[object, ...]) -> Any:  # noqa: ANN401
        if self._worker is None:
            self._worker = self._build()
        return getattr(self._worker, method)(*args)


def reported(method: Callable[..., object], *args: object) -> Iterator[object]:
    """Runs `method(*args, report)` in a thread; yields its reports and then its result."""
    news: queue.SimpleQueue[tuple[bool, object]] = queue.SimpleQueue()

    def run() -> None:
        try:
            news.put((True, method(*args, lambda progress: news.put((False, progress)))))
        except BaseException as error:  # handed over, and raised where somebody reads it
            news.put((True, error))

    threading.Thread(target=run, name="reported", daemon=True).start()
    while True:
        done, item = news.get()
        if done and isinstance(item, BaseException):
            raise item
        yield item
        if done:
            return
