"""Many teachers at one student: each with a content of its own, and some that take their time."""

import asyncio
from dataclasses import dataclass, field

from m2kt.identity import AgentId
from tests.packets import tiny_packet
from tests.simulator import HostileTeacher, Town


@dataclass
class Dawdler(HostileTeacher):
    """A teacher that waits before one of its chunks until it is let go; honest otherwise.

    Attributes:
        hold_before: Index of that chunk; None for none.
        streams: Of each stream, indices of the chunks that it was to send, in order. One that is
            let go after its student has left may still have a chunk of which nothing comes.
    """

    hold_before: int | None = None
    streams: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.held, self.go_on = asyncio.Event(), asyncio.Event()

    async def StreamPacket(self, request, context):  # noqa: N802 - the name in the proto
        mine: list[int] = []
        self.streams.append(mine)
        async for part in super().StreamPacket(request, context):
            if part.HasField("chunk"):
                if part.chunk.index == self.hold_before:
                    self.held.set()
                    await self.go_on.wait()
                mine.append(part.chunk.index)
            yield part

    @property
    def sent(self) -> list[int]:
        """Indices of the chunks of all streams."""
        return [index for stream in self.streams for index in stream]


def dawdler(town: Town, name: str, hold_before: int | None = None, seed: int = 0) -> Dawdler:
    """A teacher whom the student trusts, with a tiny packet drawn from `seed`."""
    town.trust("student", name)
    return Dawdler(
        AgentId(name),
        town.signer(name),
        packet=tiny_packet(teacher=AgentId(name), seed=seed),
        chunk_bytes=1024,
        hold_before=hold_before,
    )


async def crowd(
    town: Town, count: int, hold_before: int | None = None
) -> tuple[list[Dawdler], list[str]]:
    """Teachers of different contents, and the addresses at which they serve."""
    teachers = [dawdler(town, f"t{i}", hold_before, seed=i) for i in range(count)]
    servers = [await town.serve(teacher.service) for teacher in teachers]
    return teachers, [server.address for server in servers]
