"""Who is who: agents, their keys, and the card by which they introduce themselves.

Owns: names and their patterns, `AgentCard`, `ModelCard`. Free of torch.
Does not own: keys as cryptographic objects (signing).
"""

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NewType

from m2kt.errors import PacketError

AgentId = NewType("AgentId", str)
KeyId = NewType("KeyId", str)
PacketId = NewType("PacketId", str)
TransferId = NewType("TransferId", str)

NAME_PATTERN: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
KEY_ID_PATTERN: Final = re.compile(r"ed25519:[0-9a-f]{64}")
PUBLIC_KEY_BYTES: Final = 32

BROADCAST: Final = AgentId("any")
"""The audience of a packet that any student may read."""


def agent_id(text: str) -> AgentId:
    """Reads an agent's name: lower-case letters, digits, `.`, `_`, `-`, at most 64.

    Raises:
        PacketError: `text` is not of that form.
    """
    if not NAME_PATTERN.fullmatch(text):
        raise PacketError(
            "expected an agent id of 1 to 64 characters a-z 0-9 . _ - (first and last a letter or"
            f" digit), found {text[:80]!r}; rename the agent in its configuration"
        )
    return AgentId(text)


class Role(StrEnum):
    """The three roles of an agent."""

    TEACHER = "teacher"
    STUDENT = "student"
    BROKER = "broker"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What others may know of an agent's model.

    Attributes:
        family: Architecture name as its configuration gives it, such as `llama`.
        hidden_size: Width of the residual stream.
        layers: Number of decoder layers.
        parameters: Number of weights.
        weights_digest: Digest of the frozen weights.
        base_lineage: Digests or names of the checkpoints it descends from, nearest first.
    """

    family: str
    hidden_size: int
    layers: int
    parameters: int
    weights_digest: str
    base_lineage: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if min(self.hidden_size, self.layers, self.parameters) < 1:
            raise PacketError(
                "expected a model card with positive sizes, found hidden_size="
                f"{self.hidden_size} layers={self.layers} parameters={self.parameters}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCard:
    """How an agent introduces itself.

    Attributes:
        agent: Its name.
        role: What it does.
        address: `host:port` at which it answers gRPC, empty if it cannot be dialled.
        key_id: Name of its packet key.
        public_key: The 32 bytes of its Ed25519 public key.
        domains: What it teaches, or can be examined on.
        model: Its model, if it has one.
        software: Name and version of its software.
        issued_at_s: Unix time, seconds, on its clock, when it signed the card; 0 if never.
    """

    agent: AgentId
    role: Role
    address: str
    key_id: KeyId
    public_key: bytes
    domains: tuple[str, ...]
    model: ModelCard | None
    software: str
    issued_at_s: float = 0.0

    def __post_init__(self) -> None:
        agent_id(self.agent)
        if not 0 <= self.issued_at_s < math.inf:
            raise PacketError(
                f"expected a card with a time of issue of at least 0, found {self.issued_at_s}"
            )
        if not KEY_ID_PATTERN.fullmatch(self.key_id):
            raise PacketError(
                f"expected a key id 'ed25519:' + 64 hex characters, found {self.key_id[:80]!r}"
            )
        if len(self.public_key) != PUBLIC_KEY_BYTES:
            raise PacketError(
                f"expected a public key of {PUBLIC_KEY_BYTES} bytes, found {len(self.public_key)}"
            )
