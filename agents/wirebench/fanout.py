"""Many students of one teacher at a time: how often it makes its packet.

Owns: `lectures_for`. Does not own: how fast they get it (measure).
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, final

from m2kt.errors import IncompleteError
from m2kt.identity import AgentCard, AgentId, Role
from m2kt.signing import Ed25519Signer

from ..client import PeerClient
from ..launching import start_agent
from ..lecturer import Lecture
from ..parts import Chunk
from ..settings import settings_from
from .load import DOMAIN, MIB, TEACHER, made

LENGTH: Final = 8 * MIB


@final
class _Counting:
    """A host whose worker has a packet ready, and counts how often it is asked for one."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.lectures = 0

    async def call(self, method: str, *args: object) -> Any:  # noqa: ANN401
        """See `Host`."""
        if method != "lecture":
            return None
        self.lectures += 1
        load = await asyncio.to_thread(made, self._file, LENGTH, MIB)
        return Lecture(replace(load.encoded, payload=b""), self._file)

    async def stream(self, method: str, *args: object) -> AsyncIterator[Any]:
        """See `Host`."""
        yield await self.call(method, *args)

    async def close(self) -> None:
        """See `Host`."""


def lectures_for(students: int, folder: Path) -> int:
    """How often a teacher's packet is encoded and hashed when so many students ask at a time.

    Raises:
        IncompleteError: a student did not get all of it.
    """
    return asyncio.run(_lectures_for(students, folder))


async def _lectures_for(students: int, folder: Path) -> int:
    host = _Counting(folder / "lecture.payload")
    table = {"name": TEACHER, "role": "teacher", "domains": [DOMAIN], "data_dir": "teacher"}
    settings = settings_from(table, base=folder, environ={})
    teacher = await start_agent(settings, make_host=lambda _: host)
    try:
        asking = (_length(teacher.address, number) for number in range(students))
        lengths = await asyncio.gather(*asking)
    finally:
        await teacher.drain(0.2)
    if set(lengths) != {LENGTH}:
        raise IncompleteError(f"expected {LENGTH} bytes for each student, found {lengths}")
    return host.lectures


async def _length(address: str, number: int) -> int:
    """Bytes of the packet that one student gets."""
    signer = Ed25519Signer.generate()
    card = AgentCard(
        agent=AgentId(f"student-{number}"),
        role=Role.STUDENT,
        address="",
        key_id=signer.key_id,
        public_key=signer.public_key,
        domains=(DOMAIN,),
        model=None,
        software="bench",
    )
    taken, nonce = 0, secrets.token_bytes(32)
    async with PeerClient(address, own_connection=True) as peer:
        stream = peer.stream_packet(DOMAIN, card, nonce, from_chunk=0, timeout_s=60)
        async for part in stream:
            taken += len(part.data) if isinstance(part, Chunk) else 0
    return taken
