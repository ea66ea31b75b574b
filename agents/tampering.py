"""Somebody on the way: relays a teacher's stream and flips one bit of one chunk.

Over TLS it has to hold the certificates of both ends: that alone must not be enough.

For the demo and for tests of what a student refuses.

Owns: `TamperingRelay`. Does not own: being refused (the student's intake).
"""

from collections.abc import AsyncIterator
from typing import Any, Final, Self, final

from grpc import aio

from m2kt.wire.v1 import teacher_service_pb2 as pb
from m2kt.wire.v1 import teacher_service_pb2_grpc as pb_grpc

from .channel import open_channel
from .server import RunningServer, Service, serve
from .settings import Limits, TlsFiles

CHUNK: Final = 0
BYTE: Final = 1000
BIT: Final = 3

Context = aio.ServicerContext[Any, Any]


@final
class TamperingRelay(pb_grpc.TeacherServiceServicer):
    """A teacher's service, relayed from `teacher`, with a bit flipped. Use it in `async with`.

    Attributes:
        address: Where it answers.
        flipped: Which bit was flipped, once one was.
    """

    def __init__(
        self,
        teacher: str,
        *,
        serves_as: TlsFiles | None = None,
        dials_as: TlsFiles | None = None,
    ) -> None:
        self._channel = open_channel(teacher, tls=dials_as, own_connection=True)
        self._tls = serves_as
        self._teacher = pb_grpc.TeacherServiceStub(self._channel)
        self._server: RunningServer | None = None
        self.address = ""
        self.flipped = ""

    async def __aenter__(self) -> Self:
        descriptor = pb.DESCRIPTOR.services_by_name["TeacherService"]
        service = Service(descriptor, self)
        self._server = await serve([service], "127.0.0.1:0", limits=Limits(), tls=self._tls)
        self.address = self._server.address
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            await self._server.drain(1.0)
        await self._channel.close()

    async def DescribeTeacher(  # noqa: N802 - the name in the proto
        self, request: pb.DescribeTeacherRequest, context: Context
    ) -> pb.DescribeTeacherResponse:
        """What the teacher says."""
        return await self._teacher.DescribeTeacher(request, timeout=context.time_remaining())

    async def SampleConcepts(  # noqa: N802
        self, request: pb.SampleConceptsRequest, context: Context
    ) -> pb.SampleConceptsResponse:
        """What the teacher shows beforehand."""
        return await self._teacher.SampleConcepts(request, timeout=context.time_remaining())

    async def RecordReceipt(  # noqa: N802
        self, request: pb.TeacherServiceRecordReceiptRequest, context: Context
    ) -> pb.TeacherServiceRecordReceiptResponse:
        """What the student tells the teacher."""
        return await self._teacher.RecordReceipt(request, timeout=context.time_remaining())

    async def StreamPacket(  # noqa: N802
        self, request: pb.StreamPacketRequest, context: Context
    ) -> AsyncIterator[pb.StreamPacketResponse]:
        """What the teacher sends, but for one bit."""
        request.node = ""  # what is lent on a node does not come by here
        call = self._teacher.StreamPacket(request, timeout=context.time_remaining())
        async for part in call:
            if part.HasField("chunk") and part.chunk.index == CHUNK:
                data = bytearray(part.chunk.data)
                place = min(BYTE, len(data) - 1)
                data[place] ^= 1 << BIT
                part.chunk.data = bytes(data)
                self.flipped = f"bit {BIT} of byte {place} of chunk {CHUNK}"
            yield part
