"""The registry's values as messages and back.

Owns: headers of sealed packets and news of the registry on the wire. Free of torch.
Does not own: the registry (m2kt.registry).
"""

from m2kt.errors import PacketError
from m2kt.identity import AgentId, PacketId, agent_id
from m2kt.registry import PacketHeader, RegistryChange, RegistryNews
from m2kt.wire import cards
from m2kt.wire.v1 import broker_service_pb2 as pb


def header_to_wire(header: PacketHeader) -> pb.PacketHeader:
    """As a message; inverse of `header_from_wire`."""
    return pb.PacketHeader(
        packet_id=header.packet_id,
        teacher=header.teacher,
        audience=header.audience,
        domain=header.domain,
        expires_at_s=header.expires_at_s,
        payload_bytes=header.payload_bytes,
    )


def header_from_wire(message: pb.PacketHeader) -> PacketHeader:
    """From a message; inverse of `header_to_wire`.

    Raises:
        PacketError: a name is malformed.
    """
    return PacketHeader(
        packet_id=PacketId(message.packet_id),
        teacher=agent_id(message.teacher),
        audience=agent_id(message.audience),
        domain=message.domain,
        expires_at_s=message.expires_at_s,
        payload_bytes=message.payload_bytes,
    )


def news_to_wire(news: RegistryNews) -> pb.WatchRegistryResponse:
    """As a message; inverse of `news_from_wire`."""
    sealed = news.sealed_card
    card = cards.envelope_to_wire(cards.envelope_from_bytes(sealed)) if sealed else None
    return pb.WatchRegistryResponse(
        revision=news.revision,
        change=pb.RegistryChange.Value(f"REGISTRY_CHANGE_{news.change.value}"),
        agent=news.agent,
        card=card,
    )


def news_from_wire(message: pb.WatchRegistryResponse) -> RegistryNews:
    """From a message; inverse of `news_to_wire`.

    Raises:
        PacketError: the change is none that this software knows.
    """
    known = {pb.RegistryChange.Value(f"REGISTRY_CHANGE_{c.value}"): c for c in RegistryChange}
    if message.change not in known:
        raise PacketError(
            f"expected a change of a registry, found number {message.change}; update m2kt"
        )
    envelope = cards.envelope_from_wire(message.card) if message.HasField("card") else None
    return RegistryNews(
        revision=message.revision,
        change=known[message.change],
        agent=AgentId(message.agent),
        sealed_card=cards.envelope_to_bytes(envelope) if envelope else b"",
    )
