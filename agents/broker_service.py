"""The broker's gRPC service: decode, ask whether the caller may, call, encode.

Owns: `BrokerServicer`.
Does not own: what a broker does (broker).
"""

from collections.abc import AsyncIterator
from typing import final

from m2kt.identity import BROADCAST, AgentId, PacketId
from m2kt.wire import cards
from m2kt.wire.v1 import broker_service_pb2 as pb

from .broker import BrokerAgent
from .parts import Chunk, chunks_in, next_part
from .permissions import Permit
from .registrations import header_from_wire, header_to_wire, news_to_wire
from .server import Context, Service

Incoming = AsyncIterator[pb.PublishPacketRequest | Chunk]


@final
class BrokerServicer:
    """`m2kt.wire.v1.BrokerService` over a broker."""

    def __init__(self, agent: BrokerAgent) -> None:
        self._agent = agent

    async def Register(self, request: pb.RegisterRequest, context: Context) -> pb.RegisterResponse:
        caller = self._agent.permissions.admit(context, Permit.MEET)
        card = cards.envelope_from_wire(request.card)
        self._agent.permissions.require_own(caller, cards.read_card(card).agent)
        lease = self._agent.register(card, request.lease_s)
        return pb.RegisterResponse(lease_id=lease.id, granted_s=lease.granted_s)

    async def RenewLease(
        self, request: pb.RenewLeaseRequest, context: Context
    ) -> pb.RenewLeaseResponse:
        self._agent.permissions.admit(context, Permit.MEET)
        return pb.RenewLeaseResponse(granted_s=self._agent.renew(request.lease_id).granted_s)

    async def FindTeachers(
        self, request: pb.FindTeachersRequest, context: Context
    ) -> pb.FindTeachersResponse:
        self._agent.permissions.admit(context, Permit.LEARN, request.domain)
        found = self._agent.find_teachers(request.domain)
        return pb.FindTeachersResponse(cards=[cards.envelope_to_wire(card) for card in found])

    async def PublishPacket(
        self, request_iterator: Incoming, context: Context
    ) -> pb.PublishPacketResponse:
        header = header_from_wire(
            (await next_part(request_iterator, pb.PublishPacketRequest, "header")).header
        )
        caller = self._agent.permissions.admit(context, Permit.PUBLISH, header.domain)
        self._agent.permissions.require_own(caller, header.teacher)
        manifest = cards.envelope_from_wire(
            (await next_part(request_iterator, pb.PublishPacketRequest, "manifest")).manifest
        )
        packet = await self._agent.publish(header, manifest, chunks_in(request_iterator))
        return pb.PublishPacketResponse(packet_id=packet)

    async def ListPackets(
        self, request: pb.ListPacketsRequest, context: Context
    ) -> pb.ListPacketsResponse:
        caller = self._agent.permissions.admit(context, Permit.LEARN, request.domain)
        self._agent.permissions.require_own(caller, AgentId(request.student))
        found = self._agent.packets_for(AgentId(request.student), request.domain)
        return pb.ListPacketsResponse(packets=[header_to_wire(header) for header in found])

    async def FetchPacket(
        self, request: pb.FetchPacketRequest, context: Context
    ) -> AsyncIterator[pb.FetchPacketResponse | Chunk]:
        packet = PacketId(request.packet_id)
        self._agent.permissions.admit(context, Permit.MEET)
        header = self._agent.header(packet)
        caller = self._agent.permissions.admit(context, Permit.LEARN, header.domain)
        if header.audience != BROADCAST:
            self._agent.permissions.require_own(caller, header.audience)
        async for part in self._agent.packet(packet, from_chunk=request.from_chunk):
            if isinstance(part, Chunk):
                yield part
            else:
                yield pb.FetchPacketResponse(manifest=cards.envelope_to_wire(part))

    async def RecordReceipt(
        self, request: pb.BrokerServiceRecordReceiptRequest, context: Context
    ) -> pb.BrokerServiceRecordReceiptResponse:
        self._agent.permissions.admit(context, Permit.MEET)
        self._agent.record_receipt(cards.envelope_from_wire(request.receipt))
        return pb.BrokerServiceRecordReceiptResponse()

    async def ListReceipts(
        self, request: pb.ListReceiptsRequest, context: Context
    ) -> pb.ListReceiptsResponse:
        self._agent.permissions.admit(context, Permit.RECEIPTS)
        found = self._agent.receipts(request.teacher)
        return pb.ListReceiptsResponse(receipts=[cards.envelope_to_wire(one) for one in found])

    async def WatchRegistry(
        self, request: pb.WatchRegistryRequest, context: Context
    ) -> AsyncIterator[pb.WatchRegistryResponse]:
        self._agent.permissions.admit(context, Permit.MEET)
        async for news in self._agent.watch(request.after_revision):
            yield news_to_wire(news)


def broker_service(agent: BrokerAgent) -> Service:
    """The service, ready to be served."""
    return Service(pb.DESCRIPTOR.services_by_name["BrokerService"], BrokerServicer(agent))
