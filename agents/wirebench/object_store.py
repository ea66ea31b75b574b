"""Two actors of one Ray node: a payload over gRPC, and the same one lent through the object store.

Owns: `object_store`, `Lending`. Does not own: lending as such (actors).
"""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from grpc import aio

from m2kt.bench.experiments.experiment import Table
from m2kt.digest import Digest
from m2kt.identity import AgentId
from m2kt.wire.chunks import authenticate

from .. import actors
from ..allocator import keep_freed_memory
from ..channel import open_channel
from .load import MIB, TEACHER, Load, admitted, limits_for, made
from .streams import RECEIVERS, Sender, Target


@dataclass(frozen=True, slots=True)
class Lending:
    """Megabytes (1e6) a second to a verified payload, round by round."""

    over_grpc: list[float]
    lent: list[float]

    @property
    def ratio(self) -> float:
        """Median over rounds of how much faster the object store was."""
        pairs = zip(self.lent, self.over_grpc, strict=True)
        return median(lent / streamed for lent, streamed in pairs)

    def table(self) -> Table:
        """For the page."""
        ways = {
            "a stream over gRPC, into warm memory": self.over_grpc,
            "lent, read in place": self.lent,
        }
        return Table(
            title="Two actors of one Ray node",
            head=("way", "MB/s", "least", "most"),
            rows=tuple((name, median(its), min(its), max(its)) for name, its in ways.items()),
            note="To a payload that is held against its manifest. Once for all students the teacher"
            " copies it into the store; that is left out.",
        )


class _Sending:
    """The teacher's end."""

    def __init__(self, folder: Path, length: int) -> None:
        keep_freed_memory()
        self._load = made(folder / "lent.payload", length, MIB)
        self._neighbours = actors.RayNeighbours()
        self._server: aio.Server | None = None

    async def serve(self) -> str:
        self._server = aio.server()
        self._server.add_generic_rpc_handlers(Sender(self._load).handlers())
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        encoded = self._load.encoded
        await self._neighbours.lend(encoded.content_digest, encoded.payload)
        return f"127.0.0.1:{port}"

    async def lent(self, digest: Digest) -> list[Any]:
        return self._neighbours.lent(digest)


class _Receiving:
    """The student's end."""

    def __init__(self, folder: Path, length: int) -> None:
        keep_freed_memory()
        self._folder, self._length = folder, length
        self._neighbours = actors.RayNeighbours()
        self._memory = memoryview(bytearray(b"\1") * length)

    async def rounds(self, address: str, count: int) -> Lending:
        load = await asyncio.to_thread(made, self._folder / "lent.payload", self._length, MIB)
        found = Lending([], [])
        async with open_channel(address, tls=None, own_connection=True) as channel:
            await self._streamed(channel)  # warms up
            for _ in range(count):
                found.over_grpc.append(await self._streamed(channel))
                found.lent.append(await self._borrowed(load))
        return found

    async def _streamed(self, channel: aio.Channel) -> float:
        begun = time.perf_counter()
        taken = await RECEIVERS["ours"](channel, Target(self._memory, self._folder / "unused"))
        return taken / (time.perf_counter() - begun) / 1e6

    async def _borrowed(self, load: Load) -> float:
        begun = time.perf_counter()
        manifest = admitted(load.sealed().envelope, limits_for(self._length))
        view = await self._neighbours.borrow(AgentId(TEACHER), manifest.manifest.content_digest)
        whole = await asyncio.to_thread(authenticate, manifest, view)
        return len(whole.payload) / (time.perf_counter() - begun) / 1e6


def object_store(folder: Path, *, mib: int, rounds: int) -> Lending:
    """Measures both ways, in turn.

    Args:
        folder: For the payload.
        mib: Its length.
        rounds: How often.
    """
    folder, length = folder.resolve(), mib * MIB
    actors.start_local_ray(cpus=2, store_bytes=2 * length)
    try:
        sending = actors.remote(_Sending, actors.actor_name(TEACHER), folder, length)
        receiving = actors.remote(_Receiving, "receiver", folder, length)
        address = actors.result(sending.serve.remote())
        found: Lending = actors.result(receiving.rounds.remote(address, rounds))
        return found
    finally:
        actors.stop_local_ray()
