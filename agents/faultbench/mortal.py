"""A student in a process of its own that kills itself (SIGKILL) at a point that it is told.

Forked from a server that has imported torch already: a life costs no imports. In place of
being killed it can find its disk full once.

Owns: `Life`, `POINTS`. Does not own: what it is asked meanwhile (soak, tests).
"""

import asyncio
import errno
import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Self, final

import torch

from m2kt.disk import LocalDisk
from m2kt.history import EMPTY
from m2kt.journal import Journal
from m2kt.progress import FINAL, TransferState
from m2kt.sealed_packets import SealedPackets
from m2kt.store import Store
from m2kt.wire.chunks import Assembly

from ..launching import start_agent
from ..settings import settings_from

CONTEXT: Final = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__, "m2kt_agents.learner", "m2kt_agents.student"])
START_S: Final = 60.0
DEATH_S: Final = 100.0
STUMBLED: Final = "stumbled"
"""What a life says once its disk has failed."""


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _after(kind: type, method: str, condition: Callable[..., bool]) -> None:
    """Lets this process die as soon as `kind.method` has returned and `condition` holds.

    The condition is asked with the result, then with what the method was called with.
    """
    original = getattr(kind, method)

    def fatal(self: Any, *args: Any, **named: Any) -> Any:  # noqa: ANN401
        result = original(self, *args, **named)
        if condition(result, *args, **named):
            _die()
        return result

    setattr(kind, method, fatal)


def _of_head(path: Path) -> bool:
    """Whether a file is HEAD, or about to become it, and names another state than the first."""
    return path.name.startswith("HEAD") and path.read_text() != EMPTY.digest


def _of_state(path: Path) -> bool:
    """Whether a file is a state, and another than the first."""
    return path.parent.name == "states" and path.stem != EMPTY.digest.removeprefix("b3:")


POINTS: Final[Mapping[str, tuple[type, str, Callable[..., bool]]]] = {
    "OFFERED": (Journal, "begin", lambda *_, **__: True),
    "a chunk has come": (Assembly, "add", lambda *_: True),
    "the packet is sealed": (SealedPackets, "put", lambda *_: True),
    "the packet is noted as seen": (Journal, "admit", lambda *_: True),
    "the packet is noted with its source": (Journal, "collect", lambda *_, **__: True),
    "a step was trained": (Journal, "record", lambda event, *_, **__: "step" in event.figures),
    "the CAL is kept": (Store, "put_cal", lambda *_: True),
    "the receipt is signed": (Journal, "record", lambda *_, outcome=None, **__: bool(outcome)),
    "the new state is kept": (LocalDisk, "rename", lambda _, __, target: _of_state(target)),
    "the new HEAD is written": (LocalDisk, "write", lambda _, path, __: _of_head(path)),
    "HEAD has moved": (LocalDisk, "rename", lambda _, __, target: _of_head(target)),
    "HEAD is known to have moved": (Store, "advance", lambda *_, **__: True),
    "the end is being noted": (Journal, "_append", lambda event, *_: event.state in FINAL),
}
"""OFFERED, and what lies between the states: the method whose return is fatal, and when."""


CHUNKS: Final = " chunks have come"
DISK: Final = "disk: "


def _doom(point: str) -> None:
    """Chooses where this process dies."""
    if point in POINTS:
        _after(*POINTS[point])
    elif point.endswith(CHUNKS):
        come = itertools.count(1)
        last = int(point.removesuffix(CHUNKS))
        _after(Assembly, "add", lambda *_: next(come) == last)
    elif point:
        state = TransferState(point)
        _after(Journal, "record", lambda event, *_, **__: event.state is state)


def _stumble(step: int, code: int, pipe: Connection) -> None:
    """Lets one step on the disk fail."""
    steps = itertools.count(1)

    def stumbling(original: Callable[..., None]) -> Callable[..., None]:
        def perform(self: LocalDisk, *arguments: Any) -> None:  # noqa: ANN401
            if next(steps) == step:
                pipe.send(STUMBLED)
                raise OSError(code, os.strerror(code))
            original(self, *arguments)

        return perform

    for method in ("write", "sync", "rename", "link"):
        setattr(LocalDisk, method, stumbling(getattr(LocalDisk, method)))


def _live(folder: Path, table: Mapping[str, Any], point: str, pipe: Connection) -> None:
    """One life: serves until it is killed."""
    torch.set_num_threads(1)

    if not point.startswith(DISK):
        _doom(point)

    async def serve() -> None:
        agent = await start_agent(settings_from(table, base=folder, environ={}))
        if point.startswith(DISK):
            step, code = point.removeprefix(DISK).split()
            _stumble(int(step), getattr(errno, code), pipe)
        pipe.send(agent.address)
        await agent.ended()

    asyncio.run(serve())


@final
class Life:
    """One life of the student, as its parent sees it. Use it in an `async with`."""

    def __init__(self, folder: Path, table: Mapping[str, Any], point: str = "") -> None:
        """Begins nothing yet.

        Args:
            folder: What the settings' paths are relative to.
            table: The settings.
            point: Where it dies: one of `POINTS`, a state that it has noted, or
                `40 chunks have come`. `disk: 17 ENOSPC` lets the 17th step on its disk fail.
                By default it lives until this is left.
        """
        self._pipe, child = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=_live, args=(folder, dict(table), point, child))

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._process.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.kill()
        await asyncio.to_thread(self._process.join)

    async def address(self) -> str:
        """Where it answers, once it does.

        Raises:
            RuntimeError: it did not start.
            EOFError: it was killed before.
        """
        if not await asyncio.to_thread(self._pipe.poll, START_S):
            raise RuntimeError("the student did not start")
        return str(self._pipe.recv())

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid or 0

    @property
    def alive(self) -> bool:
        """Whether it was not killed yet."""
        return self._process.is_alive()

    @property
    def stumbled(self) -> bool:
        """Whether its disk has failed."""
        try:
            return self._pipe.poll() and self._pipe.recv() == STUMBLED
        except EOFError:  # it was killed, and had not failed before
            return False

    async def death(self) -> int:
        """Its exit code, once it is dead.

        Raises:
            RuntimeError: it lives.
        """
        await asyncio.to_thread(self._process.join, DEATH_S)
        if self._process.exitcode is None:
            raise RuntimeError("the student lives")
        return self._process.exitcode
