"""How the demo looks over the student's shoulder: it asks teachers for their packets too.

Owns: reading a packet as a student would, up to its content.
Does not own: the student's own intake, which the demo does not touch.
"""

import asyncio
import secrets
import time
from typing import Final

from m2kt.errors import ProtocolError
from m2kt.identity import AgentCard, AgentId
from m2kt.packet import AuthenticPacket
from m2kt.signing import Envelope
from m2kt.wire.admission import Expectations
from m2kt.wire.chunks import authenticate_whole
from m2kt.wire.packets import parse_packet

from .broker_client import BrokerClient
from .cast import DOMAIN, OBSERVER, Cast
from .client import PeerClient
from .parts import Chunk

WAIT_S: Final = 30.0
NONCE_BYTES: Final = 32


async def observed(address: str, people: Cast, *, timeout_s: float) -> AuthenticPacket:
    """The packet that the teacher at `address` sends to the demo itself.

    Raises:
        TrustError: who signed it, for whom, and when is not acceptable.
        PacketError: it is malformed.
        ProtocolError: the teacher sent no manifest.
    """
    nonce, manifest, payload = secrets.token_bytes(NONCE_BYTES), None, bytearray()
    async with PeerClient(address, tls=people.tls(OBSERVER)) as teacher:
        async for part in teacher.stream_packet(
            DOMAIN, people.observer, nonce, from_chunk=0, timeout_s=timeout_s
        ):
            if isinstance(part, Envelope):
                manifest = part
            elif isinstance(part, Chunk):
                payload += part.data
    if manifest is None:
        raise ProtocolError(f"expected a manifest from {address}, found none; see its log")
    expected = Expectations(
        audience=AgentId(OBSERVER), now_s=time.time(), nonce=nonce, domain=DOMAIN
    )
    whole = authenticate_whole(
        manifest, bytes(payload), people.trust, expected, seen=lambda _: False
    )
    return parse_packet(whole)


async def until_registered(broker: BrokerClient, count: int) -> tuple[AgentCard, ...]:
    """Cards of the teachers that a broker knows, once there are `count`.

    Raises:
        ProtocolError: there are fewer after half a minute.
    """
    found: tuple[AgentCard, ...] = ()
    for _ in range(int(WAIT_S / 0.2)):
        found = await broker.find_teachers(DOMAIN, timeout_s=WAIT_S)
        if len(found) >= count:
            return found
        await asyncio.sleep(0.2)
    raise ProtocolError(
        f"expected {count} teachers of {DOMAIN} at the broker, found {len(found)}; see their logs"
    )
