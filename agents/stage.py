"""The demo's stage: a local Ray, and the agents that play on it.

Owns: `Stage`. Does not own: hosting (actors), who plays (cast).
"""

import asyncio
from dataclasses import replace
from typing import Self, final

from .actors import Launched, launch, start_local_ray, stop, stop_local_ray
from .settings import Settings


@final
class Stage:
    """Starts agents on a Ray of its own, and ends them all. Use it in an `async with`."""

    def __init__(self) -> None:
        self._launched: list[Launched] = []

    async def __aenter__(self) -> Self:
        start_local_ray()  # on the main thread, where Ray can set its signal handlers
        return self

    async def __aexit__(self, *_: object) -> None:
        for launched in reversed(self._launched):
            await stop(launched)
        await asyncio.to_thread(stop_local_ray)

    async def start(self, settings: Settings, *, broker: str) -> str:
        """Starts an agent that registers at `broker`, if that is not empty; its address."""
        launched = await launch(replace(settings, broker=broker))
        self._launched.append(launched)
        return launched.address
