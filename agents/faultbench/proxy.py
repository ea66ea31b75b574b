"""A TCP proxy on 127.0.0.1 that does to a connection what networks do.

Verbs after toxiproxy (https://github.com/Shopify/toxiproxy). Each connection meets one fault
after another: so many bytes from the server pass, then the next one strikes.

Owns: `Fault`, `Strike`, `FaultProxy`. Does not own: what has to hold all the same (soak).
"""

import asyncio
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self, final

READ_BYTES: Final = 1 << 16
HANDSHAKE_BYTES: Final = 4096
"""What passes before bytes of a packet do, at most."""
PATIENCE_S: Final = 30.0
"""How long a connection that nothing passes is kept open for a client that does not hang up."""
_LINGER: Final = struct.pack("ii", 1, 0)  # close() sends a reset


class Fault(StrEnum):
    """What can happen to a connection."""

    LATENCY = "latency"
    BANDWIDTH = "bandwidth"
    SLICER = "slicer"
    RESET = "reset"
    HALF_CLOSE = "half-close"
    BLACK_HOLE_DOWN = "black hole towards the client"
    BLACK_HOLE_UP = "black hole towards the server"
    CORRUPT = "corrupt byte"


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault and where it strikes.

    Attributes:
        fault: What happens.
        after: Bytes from the server that pass before.
        span: Bytes for which it lasts, if it ends by itself.
    """

    fault: Fault
    after: int
    span: int = READ_BYTES


@final
class FaultProxy:
    """Stands before one server. Use it in an `async with`.

    Attributes:
        struck: How often each fault has struck.
        recovered_s: Seconds from each strike that broke a connection until bytes of a packet
            passed on another one.
        passed: Bytes that went to clients.
    """

    def __init__(self, target: str, draw: Callable[[], Strike], seed: int = 0) -> None:
        """Listens to nobody yet.

        Args:
            target: `host:port` of the server.
            draw: The next strike of a connection.
            seed: Of delays and lengths of slices.
        """
        self.struck: Counter[Fault] = Counter()
        self.recovered_s: dict[Fault, list[float]] = {fault: [] for fault in Fault}
        self.passed = 0
        self.draw = draw
        self.rng = random.Random(seed)
        self.broken: tuple[Fault, float] | None = None
        self._target = target.rsplit(":", 1)
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    @property
    def address(self) -> str:
        """What clients dial."""
        if self._server is None:
            raise RuntimeError("not listening")
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._links.add(task)
            task.add_done_callback(self._links.discard)
        try:
            server = await asyncio.open_connection(self._target[0], int(self._target[1]))
        except OSError:
            writer.transport.abort()
            return
        with suppress(OSError):
            await _Link(self, (reader, writer), server).run()


class _BrokenError(Exception):
    """The connection has ended by a fault."""


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: FaultProxy, client: Ends, server: Ends) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._blocked_up = False
        self._hung_up = asyncio.Event()
        self._lasting: Fault | None = None
        self._span = 0
        self._passed = 0

    async def run(self) -> None:
        for _, writer in (self._client, self._server):
            connection: socket.socket = writer.get_extra_info("socket")
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        up = asyncio.create_task(self._up())
        try:
            await self._down()
        except _BrokenError:
            pass
        finally:
            up.cancel()
            for _, writer in (self._client, self._server):
                writer.transport.abort()

    async def _up(self) -> None:
        """From the client to the server."""
        reader, writer = self._client[0], self._server[1]
        with suppress(OSError):
            while data := await reader.read(READ_BYTES):
                if not self._blocked_up:
                    writer.write(data)
                    await writer.drain()
        self._hung_up.set()
        with suppress(OSError, RuntimeError):
            writer.write_eof()

    async def _down(self) -> None:
        """From the server to the client, with a strike after so many bytes."""
        strike = self._proxy.draw()
        left = strike.after
        while data := await self._server[0].read(READ_BYTES):
            while data:
                calm, data = data[:left], data[left:]
                await self._send(calm)
                left -= len(calm)
                if left == 0 and data:
                    data = await self._strike(strike, data)
                    strike = self._proxy.draw()
                    left = strike.after

    async def _strike(self, strike: Strike, data: bytes) -> bytes:
        """Lets a fault happen; what of `data` is then still to be sent."""
        fault = strike.fault
        self._proxy.struck[fault] += 1
        if fault in (Fault.LATENCY, Fault.BANDWIDTH, Fault.SLICER):
            self._lasting, self._span = fault, strike.span
            return data
        self._proxy.broken = (fault, time.monotonic())
        if fault is Fault.CORRUPT:
            return bytes((data[0] ^ 1,)) + data[1:]
        if fault is Fault.RESET:
            for _, writer in (self._client, self._server):
                connection: socket.socket = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            raise _BrokenError
        if fault is Fault.HALF_CLOSE:
            self._client[1].write_eof()
        if fault is not Fault.BLACK_HOLE_UP:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hung_up.wait(), PATIENCE_S)
            raise _BrokenError
        self._blocked_up = True
        return data

    async def _send(self, data: bytes) -> None:
        """To the client, as a lasting fault lets it pass."""
        if not data:
            return
        lasting, rng = self._lasting, self._proxy.rng
        if lasting is Fault.LATENCY:
            await asyncio.sleep(rng.uniform(0.005, 0.05))
        step = {Fault.BANDWIDTH: 8192, Fault.SLICER: rng.randrange(16, 256)}.get(
            lasting or Fault.LATENCY, len(data)
        )
        for at in range(0, len(data), step):
            self._client[1].write(data[at : at + step])
            await self._client[1].drain()
            if lasting is Fault.BANDWIDTH:
                await asyncio.sleep(step / 1e6)
            elif lasting is Fault.SLICER:
                await asyncio.sleep(0)
        self._note(len(data))

    def _note(self, count: int) -> None:
        self._span -= count
        if self._span <= 0:
            self._lasting = None
        fresh = self._passed < HANDSHAKE_BYTES <= self._passed + count
        self._passed += count
        self._proxy.passed += count
        if fresh and self._proxy.broken is not None:
            fault, at_s = self._proxy.broken
            self._proxy.recovered_s[fault].append(time.monotonic() - at_s)
            self._proxy.broken = None
