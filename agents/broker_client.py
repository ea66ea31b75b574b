"""`BrokerClient`: a broker as a Python object; the rules of `PeerClient` hold.

Owns: the calls. Free of torch.
Does not own: believing what comes back: cards, packets and receipts are signed by their
authors, and whoever reads them checks that.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from typing import Any, Self, TypeVar, final

from grpc import aio

from m2kt.identity import AgentCard, AgentId, PacketId
from m2kt.registry import PacketHeader, RegistryNews
from m2kt.signing import Envelope
from m2kt.wire import cards
from m2kt.wire.v1 import broker_service_pb2 as pb
from m2kt.wire.v1.broker_service_pb2_grpc import BrokerServiceStub

from .channel import open_channel
from .errors import peer_errors
from .methods import dialled
from .parts import Chunk, part_of
from .registrations import header_from_wire, header_to_wire, news_from_wire
from .settings import TlsFiles

T = TypeVar("T")


@final
class BrokerClient:
    """A connection to one broker. Use it in an `async with`, or close it."""

    def __init__(
        self, address: str, *, tls: TlsFiles | None = None, own_connection: bool = False
    ) -> None:
        """Makes no call yet; see `PeerClient`."""
        self.address = address
        self._channel = open_channel(address, tls=tls, own_connection=own_connection)
        self._stub = BrokerServiceStub(self._channel)
        methods = pb.DESCRIPTOR.services_by_name["BrokerService"].methods_by_name
        self._publish = dialled(self._channel, methods["PublishPacket"])
        self._fetch = dialled(self._channel, methods["FetchPacket"])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection; calls in flight are cancelled."""
        await self._channel.close()

    async def _answer(self, call: Any) -> Any:  # noqa: ANN401
        with peer_errors(self.address):
            return await call

    async def _items(self, call: aio.UnaryStreamCall[Any, T]) -> AsyncIterator[T]:
        try:
            with peer_errors(self.address):
                async for item in call:
                    yield item
        finally:
            call.cancel()

    async def register(
        self, card: Envelope, *, lease_s: float, timeout_s: float
    ) -> tuple[str, float]:
        """Introduces an agent by its signed card: its lease, and the seconds granted."""
        request = pb.RegisterRequest(card=cards.envelope_to_wire(card), lease_s=lease_s)
        found = await self._answer(self._stub.Register(request, timeout=timeout_s))
        return found.lease_id, found.granted_s

    async def renew(self, lease: str, *, timeout_s: float) -> float:
        """Prolongs a lease: the seconds granted from now.

        Raises:
            NotFoundError: it has run out; register again.
        """
        request = pb.RenewLeaseRequest(lease_id=lease)
        found = await self._answer(self._stub.RenewLease(request, timeout=timeout_s))
        return float(found.granted_s)

    async def find_teachers(self, domain: str, *, timeout_s: float) -> tuple[AgentCard, ...]:
        """Cards of teachers of `domain`, each signed with the key on it; not yet trusted.

        Raises:
            TrustError: the broker hands on a card that its owner did not sign.
        """
        request = pb.FindTeachersRequest(domain=domain)
        found = await self._answer(self._stub.FindTeachers(request, timeout=timeout_s))
        return tuple(cards.read_card(cards.envelope_from_wire(card)) for card in found.cards)

    async def publish(
        self,
        header: PacketHeader,
        manifest: Envelope,
        chunks: Iterable[Chunk],
        *,
        timeout_s: float,
    ) -> PacketId:
        """Leaves a sealed packet with the broker."""

        async def parts() -> AsyncIterator[pb.PublishPacketRequest | Chunk]:
            yield pb.PublishPacketRequest(header=header_to_wire(header))
            yield pb.PublishPacketRequest(manifest=cards.envelope_to_wire(manifest))
            for chunk in chunks:
                yield chunk

        found = await self._answer(self._publish(parts(), timeout=timeout_s))
        return PacketId(found.packet_id)

    async def list_packets(
        self, domain: str, student: AgentId, *, timeout_s: float
    ) -> tuple[PacketHeader, ...]:
        """What the broker keeps for a student, newest first."""
        request = pb.ListPacketsRequest(domain=domain, student=student)
        found = await self._answer(self._stub.ListPackets(request, timeout=timeout_s))
        return tuple(header_from_wire(header) for header in found.packets)

    async def fetch_packet(
        self, packet: PacketId, *, from_chunk: int, timeout_s: float
    ) -> AsyncGenerator[Envelope | Chunk, None]:
        """A packet as it was left: its manifest, then its chunks. Nothing is checked."""
        request = pb.FetchPacketRequest(packet_id=packet, from_chunk=from_chunk)
        async for item in self._items(self._fetch(request, timeout=timeout_s)):
            yield part_of(item, self.address)

    async def record_receipt(self, receipt: Envelope, *, timeout_s: float) -> None:
        """Hands the broker the signed receipt of a transfer."""
        request = pb.BrokerServiceRecordReceiptRequest(receipt=cards.envelope_to_wire(receipt))
        await self._answer(self._stub.RecordReceipt(request, timeout=timeout_s))

    async def receipts(self, *, teacher: str = "", timeout_s: float) -> Sequence[Envelope]:
        """Receipts that the broker was handed, oldest first; of one teacher's packets, or all."""
        request = pb.ListReceiptsRequest(teacher=teacher)
        found = await self._answer(self._stub.ListReceipts(request, timeout=timeout_s))
        return tuple(cards.envelope_from_wire(receipt) for receipt in found.receipts)

    async def watch_registry(
        self, *, after: int = 0, timeout_s: float
    ) -> AsyncIterator[RegistryNews]:
        """Who came and who went after revision `after`, without end."""
        request = pb.WatchRegistryRequest(after_revision=after)
        async for item in self._items(self._stub.WatchRegistry(request, timeout=timeout_s)):
            yield news_from_wire(item)
