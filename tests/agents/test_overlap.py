"""Items are worked on in order, beside the stream, and none of those that came is left."""

import asyncio
import threading

import pytest

from m2kt_agents.overlap import overlapped


async def items(count: int, end: Exception | None = None):
    for number in range(count):
        yield number
    if end is not None:
        raise end


async def test_items_are_worked_on_in_order_by_other_threads():
    found, threads = [], set()

    def work(item: int) -> None:
        found.append(item)
        threads.add(threading.get_ident())

    await overlapped(items(50), work)
    assert found == list(range(50))
    assert threading.get_ident() not in threads


async def test_the_next_item_comes_while_one_is_worked_on():
    came, go_on = [], threading.Event()

    async def stream():
        for number in range(3):
            came.append(number)
            if number == 1:
                go_on.set()
            yield number

    await overlapped(stream(), lambda _: go_on.wait(10) or pytest.fail("nothing came meanwhile"))
    assert came == [0, 1, 2]


async def test_what_the_work_raises_ends_it_and_counts_more_than_the_stream():
    def work(item: int) -> None:
        raise ZeroDivisionError(item)

    with pytest.raises(ZeroDivisionError, match="0"):
        await overlapped(items(1, KeyError("stream")), work)
    with pytest.raises(ZeroDivisionError, match="0"):
        await overlapped(items(9), work)


async def test_what_the_stream_raises_comes_after_the_last_item():
    found = []
    with pytest.raises(KeyError):
        await overlapped(items(3, KeyError("stream")), found.append)
    assert found == [0, 1, 2]


async def test_who_is_cancelled_waits_for_the_item_that_is_worked_on():
    begun, found = threading.Event(), []

    def work(item: int) -> None:
        begun.set()
        threading.Event().wait(0.1)
        found.append(item)

    async def stream():
        yield 1
        await asyncio.Event().wait()

    task = asyncio.create_task(overlapped(stream(), work))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert found == [1]
