"""The proxy does to a connection what each fault is named after, and counts it."""

import asyncio

import pytest

from m2kt_agents.faultbench.proxy import Fault, FaultProxy, Strike

BYTES = bytes(range(256)) * 400
NEVER = Strike(Fault.RESET, after=1 << 40)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readline():
        writer.write(BYTES)
        await writer.drain()
    writer.close()


@pytest.fixture
async def server():
    listening = await asyncio.start_server(_answer, "127.0.0.1", 0)
    async with listening:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"


def strikes(*strikes: Strike):
    """These, then none."""
    left = list(strikes)
    return lambda: left.pop(0) if left else NEVER


async def dialled(proxy: FaultProxy):
    host, port = proxy.address.split(":")
    return await asyncio.open_connection(host, int(port))


async def asked(proxy: FaultProxy) -> bytes:
    """What comes of an answer until it is whole or the connection has ended."""
    reader, writer = await dialled(proxy)
    writer.write(b"?\n")
    found = b""
    while len(found) < len(BYTES) and (data := await reader.read(1 << 16)):
        found += data
    writer.close()
    return found


async def ended(proxy: FaultProxy) -> int:
    """How much comes until the connection is reset."""
    reader, writer = await dialled(proxy)
    writer.write(b"?\n")
    count = 0
    with pytest.raises(ConnectionResetError):  # noqa: PT012  # where it breaks is not known
        while data := await reader.read(1 << 16):
            count += len(data)
    return count


@pytest.mark.parametrize("fault", [Fault.LATENCY, Fault.BANDWIDTH, Fault.SLICER])
async def test_what_lasts_a_while_changes_no_byte(server, fault):
    async with FaultProxy(server, strikes(Strike(fault, after=5000, span=9000))) as proxy:
        assert await asked(proxy) == BYTES
    assert proxy.struck == {fault: 1}
    assert proxy.passed == len(BYTES)


async def test_a_reset_ends_the_connection_at_its_byte(server):
    async with FaultProxy(server, strikes(Strike(Fault.RESET, after=5000))) as proxy:
        assert await ended(proxy) <= 5000
    assert proxy.passed == 5000


async def test_a_half_close_ends_what_comes_and_not_what_goes(server):
    async with FaultProxy(server, strikes(Strike(Fault.HALF_CLOSE, after=5000))) as proxy:
        reader, writer = await dialled(proxy)
        writer.write(b"?\n")
        assert await reader.read() == BYTES[:5000]
        writer.write(b"still there\n")
        await writer.drain()
        writer.close()


async def test_in_a_black_hole_nothing_comes_and_nobody_hangs_up(server):
    async with FaultProxy(server, strikes(Strike(Fault.BLACK_HOLE_DOWN, after=5000))) as proxy:
        reader, writer = await dialled(proxy)
        writer.write(b"?\n")
        assert await reader.readexactly(5000) == BYTES[:5000]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        writer.close()


async def test_what_goes_into_a_black_hole_is_not_answered(server):
    async with FaultProxy(server, strikes(Strike(Fault.BLACK_HOLE_UP, after=5000))) as proxy:
        reader, writer = await dialled(proxy)
        writer.write(b"?\n")
        assert await reader.readexactly(len(BYTES)) == BYTES
        writer.write(b"?\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        writer.close()


async def test_one_byte_is_corrupt(server):
    async with FaultProxy(server, strikes(Strike(Fault.CORRUPT, after=5000))) as proxy:
        found = await asked(proxy)
    [at] = [at for at, (one, other) in enumerate(zip(found, BYTES, strict=True)) if one != other]
    assert at == 5000


async def test_it_is_noted_how_long_it_took_until_bytes_passed_again(server):
    async with FaultProxy(server, strikes(Strike(Fault.HALF_CLOSE, after=5000))) as proxy:
        await asked(proxy)
        assert await asked(proxy) == BYTES
    [seconds] = proxy.recovered_s[Fault.HALF_CLOSE]
    assert seconds > 0


async def test_a_server_that_is_not_there_is_a_connection_that_ends():
    async with FaultProxy("127.0.0.1:1", strikes()) as proxy:
        assert await asked(proxy) == b""
