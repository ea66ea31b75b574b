"""The two ends of a stream, each in a process of its own, told what to do over a pipe.

Processes are spawned, never forked: gRPC has threads.

Owns: `Ends`, `Run`. Does not own: what is sent (streams), what is compared (measure).
"""

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final, Self, final

from grpc import aio

from ..allocator import keep_freed_memory
from ..channel import open_channel
from ..server import server_options
from ..settings import Limits, TlsFiles
from ..tls import server_credentials
from .load import MIB, made
from .streams import RECEIVERS, Sender, Target
from .usage import Spent, Watch

Progress = list[tuple[float, int]]
"""Seconds since a run began, and the chunk that was handed to gRPC last."""

MOST_MEMORY: Final = 1 << 30
"""Longest payload for which a receiver has memory, in bytes."""

_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One stream, from the first byte to the last one checked.

    Attributes:
        wall_s: Seconds at the receiver.
        length: Bytes of payload.
        sender: What the sender's process used.
        receiver: What the receiver's did.
    """

    wall_s: float
    length: int
    sender: Spent
    receiver: Spent

    @property
    def mb_per_s(self) -> float:
        """Megabytes (1e6) a second."""
        return self.length / self.wall_s / 1e6

    @property
    def cpu_s_per_gb(self) -> float:
        """Processor time of both ends for a gigabyte (1e9)."""
        return (self.sender.cpu_s + self.receiver.cpu_s) / self.length * 1e9


@final
class Ends:
    """A sender and a receiver. Use it in a `with`."""

    def __init__(self, folder: Path, tls: Mapping[str, TlsFiles], *, tuned: bool = True) -> None:
        """Starts both.

        Args:
            folder: For payloads and spools.
            tls: Files of `sender` and `receiver`.
            tuned: Whether they keep freed memory, as agents do.
        """
        self._folder = folder
        self._tls = dict(tls)
        self._processes: list[BaseProcess] = []
        self._sender = self._start(_Sending, folder, tls["sender"], tuned)
        self._receiver = self._start(_Receiving, folder, tls["receiver"], tuned)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._sender, self._receiver):
            with suppress(OSError):
                pipe.send(None)
        for process in self._processes:
            process.join(10)
            if process.is_alive():
                process.kill()

    def offer(self, length: int, chunk_bytes: int) -> None:
        """Makes the sender offer a payload of `length` bytes, in chunks of `chunk_bytes`."""
        addresses = _asked(self._sender, ("offer", length, chunk_bytes))
        _asked(self._receiver, ("expect", length, addresses))

    def run(
        self,
        way: str,
        *,
        tls: bool = False,
        streams: int = 1,
        pause_s: float = 0.0,
        packets: int = 0,
    ) -> tuple[Run, Progress]:
        """One run, and where the sender stood meanwhile.

        Args:
            way: A key of `RECEIVERS`.
            tls: Whether over mutual TLS.
            streams: How many at a time.
            pause_s: Seconds that the receiver sleeps after each chunk.
            packets: Number of small packets.
        """
        _asked(self._sender, ("begin",))
        received = _asked(self._receiver, ("run", way, tls, streams, pause_s, packets))
        sent = _asked(self._sender, ("end",))
        run = Run(
            wall_s=received["wall_s"],
            length=received["length"],
            sender=sent["spent"],
            receiver=received["spent"],
        )
        return run, sent["progress"]

    def sealed_times(self) -> int:
        """How often the sender signed a manifest since its last offer."""
        return int(_asked(self._sender, ("sealed",)))

    def _start(self, *arguments: object) -> Connection:
        here, there = multiprocessing.get_context("spawn").Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=_answer, args=(there, *arguments), daemon=True
        )
        process.start()
        self._processes.append(process)
        return here


def _asked(pipe: Connection, request: tuple[object, ...]) -> Any:  # noqa: ANN401
    pipe.send(request)
    answer = pipe.recv()
    if isinstance(answer, Exception):
        raise answer
    return answer


def _answer(
    pipe: Connection,
    end: Callable[[Path, TlsFiles], "_End"],
    folder: Path,
    tls: TlsFiles,
    tuned: bool,
) -> None:
    if tuned:
        keep_freed_memory()
    asyncio.run(end(folder, tls).serve(pipe))


class _End:
    """Answers what comes over the pipe, one request after another."""

    async def serve(self, pipe: Connection) -> None:
        while (request := await asyncio.to_thread(pipe.recv)) is not None:
            name, *arguments = request
            try:
                pipe.send(await getattr(self, name)(*arguments))
            except Exception as error:  # told to whoever asked
                pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))
        await self.close()

    async def close(self) -> None:
        """Ends what was begun."""


class _Sending(_End):
    def __init__(self, folder: Path, tls: TlsFiles) -> None:
        self._folder, self._tls = folder, tls
        self._server: aio.Server | None = None
        self._sender: Sender | None = None

    async def offer(self, length: int, chunk_bytes: int) -> tuple[str, str]:
        await self.close()
        load = made(self._folder / f"{length}.payload", length, chunk_bytes)
        self._sender = Sender(load)
        options = [*server_options(_LIMITS), ("grpc.max_send_message_length", -1)]
        self._server = aio.server(options=options)
        self._server.add_generic_rpc_handlers(self._sender.handlers())
        plain = self._server.add_insecure_port("127.0.0.1:0")
        secure = self._server.add_secure_port("127.0.0.1:0", server_credentials(self._tls))
        await self._server.start()
        return f"127.0.0.1:{plain}", f"127.0.0.1:{secure}"

    async def close(self) -> None:
        if self._server is not None:
            await self._server.stop(0)
        self._server = None

    async def begin(self) -> None:
        self._watch = Watch()
        self._watch.__enter__()
        self._progress: Progress = []
        if self._sender is not None:
            self._sender.sent = 0
        self._noting = asyncio.create_task(self._note(time.monotonic()))

    async def _note(self, begun: float) -> None:
        while True:
            self._progress.append(
                (time.monotonic() - begun, self._sender.sent if self._sender else 0)
            )
            await asyncio.sleep(0.05)

    async def end(self) -> dict[str, object]:
        self._noting.cancel()
        self._watch.__exit__()
        return {"spent": self._watch.spent, "progress": self._progress}

    async def sealed(self) -> int:
        return self._sender.sealed_times if self._sender else 0


class _Receiving(_End):
    def __init__(self, folder: Path, tls: TlsFiles) -> None:
        self._folder, self._tls = folder, tls
        self._memory = bytearray()

    async def expect(self, length: int, addresses: tuple[str, str]) -> None:
        self._length, self._addresses = length, addresses
        # Touched, and so warm; what is longer is spooled.
        self._memory = bytearray(b"\1") * length if length <= MOST_MEMORY else bytearray()

    async def run(
        self, way: str, tls: bool, streams: int, pause_s: float, packets: int
    ) -> dict[str, object]:
        address = self._addresses[1 if tls else 0]
        channels = [
            open_channel(address, tls=self._tls if tls else None, own_connection=True)
            for _ in range(streams)
        ]
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        memory = memoryview(self._memory) if len(self._memory) == self._length else memoryview(b"")
        targets = [
            Target(memory, self._folder / f"{way}-{number}.spool", pause_s, packets)
            for number in range(streams)
        ]
        with Watch() as watch:
            begun = time.perf_counter()
            pairs = zip(channels, targets, strict=True)
            taken = await asyncio.gather(*(RECEIVERS[way](*pair) for pair in pairs))
            wall_s = time.perf_counter() - begun
        for channel in channels:
            await channel.close()
        return {"wall_s": wall_s, "length": sum(taken), "spent": watch.spent}


def mib(count: float) -> int:
    """Bytes of so many mebibytes."""
    return int(count * MIB)
