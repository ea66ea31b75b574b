"""Model work runs in one thread beside the event loop, in order, and can be stopped."""

import asyncio
import threading

import pytest

from m2kt.errors import AlignmentError
from m2kt.progress import Progress, Report
from m2kt_agents.hosting import StoppedError, ThreadHost, reported


class Counter:
    """A worker that remembers the thread it lives in."""

    def __init__(self) -> None:
        self.thread = threading.current_thread().name

    def add(self, a: int, b: int) -> tuple[int, str]:
        return a + b, self.thread

    def fail(self) -> None:
        raise AlignmentError("expected a finite loss, found nan")

    def count(self, upto: int, report: Report) -> str:
        for number in range(upto):
            report(Progress(f"at {number}"))
        return "done"

    def break_down(self, report: Report) -> None:
        report(Progress("so far"))
        raise AlignmentError("nan")

    def run_on(self, started: threading.Event, go_on: threading.Event, report: Report) -> None:
        started.set()
        go_on.wait(10)
        report(Progress("still here"))


@pytest.fixture
async def host():
    host = ThreadHost(Counter)
    yield host
    await host.close()


async def test_the_worker_is_built_and_called_in_its_own_thread(host):
    total, thread = await host.call("add", 1, 2)
    assert total == 3
    assert thread.startswith("model")


async def test_an_error_of_the_worker_reaches_the_caller(host):
    with pytest.raises(AlignmentError):
        await host.call("fail")


async def test_a_stream_gives_every_report_and_then_the_result(host):
    items = [item async for item in host.stream("count", 3)]
    assert [item.message for item in items[:-1]] == ["at 0", "at 1", "at 2"]
    assert items[-1] == "done"


async def test_a_stream_that_fails_gives_what_was_reported_before(host):
    found = []

    async def consume() -> None:
        async for item in host.stream("break_down"):
            found.append(item.message)

    with pytest.raises(AlignmentError):
        await consume()
    assert found == ["so far"]


async def test_closing_stops_running_work_at_its_next_report(host):
    started, go_on = threading.Event(), threading.Event()

    async def consume() -> None:
        async for _ in host.stream("run_on", started, go_on):
            pass

    task = asyncio.create_task(consume())
    await asyncio.to_thread(started.wait, 10)
    closing = asyncio.create_task(host.close())
    await asyncio.sleep(0)
    go_on.set()
    await closing
    with pytest.raises(StoppedError):
        await task


def test_reports_become_an_iterator_that_ends_with_the_result():
    *progress, result = reported(Counter().count, 2)
    assert [item.message for item in progress] == ["at 0", "at 1"]
    assert result == "done"


def test_a_failure_surfaces_in_the_iterator_after_the_reports():
    items = reported(Counter().break_down)
    assert next(items).message == "so far"
    with pytest.raises(AlignmentError):
        next(items)
