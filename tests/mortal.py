"""A student in a process of its own that kills itself (SIGKILL) at a point that it is told.

Forked from a server that has imported torch already: a life costs no imports.
"""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

import torch

from m2kt.journal import Journal
from m2kt.progress import TransferState
from m2kt.store import Store
from m2kt_agents.launching import start_agent
from m2kt_agents.settings import settings_from

POINTS = (
    "OFFERED",
    "SEALED",
    "AUTHENTICATED",
    "SCREENED",
    "ALIGNING",
    "VERIFYING",
    "SIGNED",
    "PUBLISHED",
    "COMMITTED",
)
"""OFFERED, the states, and between them: packet sealed, receipt signed, HEAD moved."""

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.mortal", "m2kt_agents.learner", "m2kt_agents.student"])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after(kind: type, method: str, condition: Callable[..., bool]) -> None:
    """Lets this process die as soon as `kind.method` has returned and `condition` holds."""
    original = getattr(kind, method)

    def fatal(self: Any, *args: Any, **named: Any) -> Any:
        result = original(self, *args, **named)
        if condition(result, named):
            die()
        return result

    setattr(kind, method, fatal)


def doom(point: str) -> None:
    """Chooses where this process dies."""
    if point == "OFFERED":
        after(Journal, "begin", lambda result, named: True)
    elif point == "SEALED":
        after(Store, "put_packet", lambda result, named: True)
    elif point == "SIGNED":
        after(Journal, "record", lambda result, named: named.get("outcome") is not None)
    elif point == "PUBLISHED":
        after(Store, "advance", lambda result, named: True)
    elif point:
        state = TransferState(point)
        after(Journal, "record", lambda event, named: event.state is state)


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
