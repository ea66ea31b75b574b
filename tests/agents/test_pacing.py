"""Who sends a byte now and then is given up; who is slow at first, or only slow, is not."""

import asyncio

import pytest

from m2kt.errors import DeadlineError, PeerUnavailableError
from m2kt_agents.pacing import paced
from m2kt_agents.parts import Chunk
from m2kt_agents.settings import Limits

HASTY = Limits(min_bytes_per_s=1000, stall_s=0.1)


async def sent(*pauses_and_lengths: tuple[float, int]):
    for index, (pause_s, length) in enumerate(pauses_and_lengths):
        await asyncio.sleep(pause_s)
        yield Chunk(index, bytes(length))


async def taken(parts) -> int:
    return len([part async for part in parts])


async def test_a_stream_that_keeps_the_pace_passes():
    parts = sent(*[(0.02, 100)] * 10)
    assert await taken(paced(parts, HASTY)) == 10


async def test_a_stream_that_drips_is_given_up():
    got = []

    async def noted():
        async for part in sent(*[(0.03, 1)] * 1000):
            got.append(part)
            yield part

    with pytest.raises(DeadlineError, match="at least 1000 bytes a second"):
        await taken(paced(noted(), HASTY))
    assert 1 <= len(got) <= 4


async def test_a_stream_that_stops_is_given_up_after_what_it_was_ahead():
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(DeadlineError):
        await taken(paced(sent((0.0, 200), (60.0, 1)), HASTY))
    assert 0.29 < loop.time() - begun < 2.0


async def test_the_first_part_may_take_its_time_where_it_has_to_be_made():
    parts = sent((0.3, 100), (0.02, 100))
    assert await taken(paced(parts, HASTY, waits_for_first=True)) == 2
    with pytest.raises(DeadlineError):
        await taken(paced(sent((0.3, 100)), HASTY))


async def test_what_the_stream_raises_is_passed_on():
    async def broken():
        yield Chunk(0, b"x")
        raise PeerUnavailableError("gone")

    with pytest.raises(PeerUnavailableError):
        await taken(paced(broken(), HASTY))
