"""A student in a process of its own that kills itself (SIGKILL) at a point that it is told.

Forked from a server that has imported torch already: a life costs no imports.
"""

import asyncio
import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

import torch

from m2kt.disk import LocalDisk
from m2kt.history import EMPTY
from m2kt.journal import Journal
from m2kt.progress import FINAL, TransferState
from m2kt.sealed_packets import SealedPackets
from m2kt.store import Store
from m2kt.wire.chunks import Assembly
from m2kt_agents.launching import start_agent
from m2kt_agents.settings import settings_from

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.mortal", "m2kt_agents.learner", "m2kt_agents.student"])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after(kind: type, method: str, condition: Callable[..., bool]) -> None:
    """Lets this process die as soon as `kind.method` has returned and `condition` holds.

    The condition is asked with the result, then with what the method was called with.
    """
    original = getattr(kind, method)

    def fatal(self: Any, *args: Any, **named: Any) -> Any:
        result = original(self, *args, **named)
        if condition(result, *args, **named):
            die()
        return result

    setattr(kind, method, fatal)


def of_head(path: Path) -> bool:
    """Whether a file is HEAD, or about to become it, and names another state than the first."""
    return path.name.startswith("HEAD") and path.read_text() != EMPTY.digest


def of_state(path: Path) -> bool:
    """Whether a file is a state, and another than the first."""
    return path.parent.name == "states" and path.stem != EMPTY.digest.removeprefix("b3:")


POINTS: Mapping[str, tuple[type, str, Callable[..., bool]]] = {
    "OFFERED": (Journal, "begin", lambda *_, **__: True),
    "a chunk has come": (Assembly, "add", lambda *_: True),
    "the packet is sealed": (SealedPackets, "put", lambda *_: True),
    "the packet is noted as seen": (Journal, "admit", lambda *_: True),
    "the packet is noted with its source": (Journal, "collect", lambda *_, **__: True),
    "a step was trained": (Journal, "record", lambda event, *_, **__: "step" in event.figures),
    "the CAL is kept": (Store, "put_cal", lambda *_: True),
    "the receipt is signed": (Journal, "record", lambda *_, outcome=None, **__: bool(outcome)),
    "the new state is kept": (LocalDisk, "rename", lambda _, __, target: of_state(target)),
    "the new HEAD is written": (LocalDisk, "write", lambda _, path, __: of_head(path)),
    "HEAD has moved": (LocalDisk, "rename", lambda _, __, target: of_head(target)),
    "HEAD is known to have moved": (Store, "advance", lambda *_, **__: True),
    "the end is being noted": (Journal, "_append", lambda event, *_: event.state in FINAL),
}
"""OFFERED, and what lies between the states: the method whose return is fatal, and when."""


CHUNKS = " chunks have come"


def doom(point: str) -> None:
    """Chooses where this process dies.

    At a point of `POINTS`, at the chunk that `40 chunks have come` counts, or once it has noted
    a state.
    """
    if point in POINTS:
        after(*POINTS[point])
    elif point.endswith(CHUNKS):
        come = itertools.count(1)
        last = int(point.removesuffix(CHUNKS))
        after(Assembly, "add", lambda *_: next(come) == last)
    elif point:
        state = TransferState(point)
        after(Journal, "record", lambda event, *_, **__: event.state is state)


def live(folder: Path, table: Mapping[str, Any], point: str, pipe: Connection) -> None:
    """One life: serves until it is killed."""
    torch.set_num_threads(1)
    doom(point)

    async def serve() -> None:
        agent = await start_agent(settings_from(table, base=folder, environ={}))
        pipe.send(agent.address)
        await agent.ended()

    asyncio.run(serve())


class Life:
    """One life of the student, as its parent sees it. Use it in an `async with`."""

    def __init__(self, folder: Path, table: Mapping[str, Any], point: str = "") -> None:
        self._pipe, child = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=live, args=(folder, dict(table), point, child))

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._process.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.kill()
        await asyncio.to_thread(self._process.join)

    async def address(self) -> str:
        """Where it answers, once it does."""
        found = await asyncio.to_thread(self._pipe.poll, 60.0)
        assert found, "the student did not start"
        return str(self._pipe.recv())

    async def death(self) -> int:
        """Its exit code, once it is dead."""
        await asyncio.to_thread(self._process.join, 100.0)
        assert self._process.exitcode is not None, "the student lives"
        return self._process.exitcode
