"""Where an agent answers, and which one it has to be: `host:port`, or `name@host:port`.

With a name, a client takes no other agent's certificate and no other agent's packets,
whoever answers at that place. Free of grpc.

Owns: `Address`, `read_address`, `is_loopback`.
Does not own: dialling (channel), binding (server).
"""

import ipaddress
from dataclasses import dataclass
from typing import Final

from m2kt.errors import PacketError, RequestError
from m2kt.identity import AgentId, agent_id

_LONGEST: Final = 512


@dataclass(frozen=True, slots=True)
class Address:
    """A place, and who has to be there.

    Attributes:
        agent: Its name; None for whoever answers.
        target: `host:port`, or what else gRPC can dial.
    """

    agent: AgentId | None
    target: str


def read_address(text: str) -> Address:
    """Reads `host:port` or `name@host:port`.

    Raises:
        RequestError: it is neither.
    """
    name, at, target = text.rpartition("@")
    if len(text) > _LONGEST or not target or (at and not name):
        raise RequestError(
            f"expected an address, host:port or name@host:port, found {text[:80]!r}; correct it"
        )
    try:
        return Address(agent_id(name) if at else None, target)
    except PacketError as error:
        raise RequestError(f"{error}; an address is host:port or name@host:port") from error


def is_loopback(target: str) -> bool:
    """Whether nobody but programs of this machine is at, or can reach, `host:port`."""
    if target.startswith("unix:"):
        return True
    host = target.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
