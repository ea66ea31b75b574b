"""`PeerClient`: another agent as a Python object. Domain values go in and come out.

    async with PeerClient("127.0.0.1:7003") as student:
        transfer = await student.learn("arith.mod7", teachers=["127.0.0.1:7001"], timeout_s=10)
        async for event in student.watch(transfer, timeout_s=600):
            print(event.state, event.message)

Every method takes `timeout_s`, the deadline of the call in seconds, and raises the
error that the peer raised, or a `PeerError`. Methods that are idempotent are tried
again when the peer was not there; streams go on from an index.

Owns: the calls. Free of torch.
Does not own: the channel (channel), the messages (m2kt.wire), checking what comes back.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, final

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from m2kt.digest import Digest
from m2kt.errors import DeadlineError, PeerUnavailableError
from m2kt.identity import AgentCard, KeyId, PacketId, TransferId
from m2kt.progress import Event
from m2kt.reputation import Reputation
from m2kt.signing import Envelope
from m2kt.wire import cards, verdicts
from m2kt.wire.v1 import student_service_pb2 as student_pb
from m2kt.wire.v1 import teacher_service_pb2 as teacher_pb
from m2kt.wire.v1.student_service_pb2_grpc import StudentServiceStub
from m2kt.wire.v1.teacher_service_pb2_grpc import TeacherServiceStub

from . import views
from .channel import open_channel
from .errors import peer_errors
from .methods import dialled
from .parts import Chunk, Lent, any_part_of
from .settings import TlsFiles
from .views import AnswerView, ExamView, Foretelling, StateView, TransferView, UnlearntView

if TYPE_CHECKING:  # needs torch, as few who call do
    from m2kt.transferability import ConceptSample

T = TypeVar("T")
RETRY_S: Final = 0.2
"""Pause before a watcher comes back."""


@final
class PeerClient:
    """A connection to one agent of any role. Use it in an `async with`, or close it."""

    def __init__(
        self, address: str, *, tls: TlsFiles | None = None, own_connection: bool = False
    ) -> None:
        """Makes no call yet.

        Args:
            address: `host:port`.
            tls: Mutual TLS; None for plain HTTP/2.
            own_connection: See `open_channel`.
        """
        self.address = address
        self._channel = open_channel(address, tls=tls, own_connection=own_connection)
        self.teacher = TeacherServiceStub(self._channel)
        self.student = StudentServiceStub(self._channel)
        methods = teacher_pb.DESCRIPTOR.services_by_name["TeacherService"].methods_by_name
        self._stream = dialled(self._channel, methods["StreamPacket"])

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
            call.cancel()  # whoever stops listening does not let the peer talk on

    async def healthy(self, service: str = "", *, timeout_s: float) -> bool:
        """Whether the peer serves (grpc.health.v1); `service` is empty for the whole server."""
        stub = health_pb2_grpc.HealthStub(self._channel)
        request = health_pb2.HealthCheckRequest(service=service)
        found = await self._answer(stub.Check(request, timeout=timeout_s))
        return bool(found.status == health_pb2.HealthCheckResponse.SERVING)

    # A teacher.

    async def describe_teacher(self, *, timeout_s: float) -> AgentCard:
        """Who the teacher is."""
        request = teacher_pb.DescribeTeacherRequest()
        found = await self._answer(self.teacher.DescribeTeacher(request, timeout=timeout_s))
        return cards.card_from_wire(found.teacher)

    async def stream_packet(
        self,
        domain: str,
        student: AgentCard,
        nonce: bytes,
        *,
        from_chunk: int,
        node: str = "",
        timeout_s: float,
    ) -> AsyncGenerator[Envelope | Chunk | Lent, None]:
        """A packet: its manifest, then its chunks from `from_chunk` on. Nothing is checked.

        With a `node`, a teacher there may lend the payload in place of chunks.
        """
        request = teacher_pb.StreamPacketRequest(
            domain=domain,
            student=cards.card_to_wire(student),
            nonce=nonce,
            from_chunk=from_chunk,
            node=node,
        )
        async for item in self._items(self._stream(request, timeout=timeout_s)):
            yield any_part_of(item, self.address)

    async def sample_concepts(self, domain: str, *, timeout_s: float) -> "ConceptSample":
        """A few of the concepts that a packet of `domain` would hold.

        Raises:
            PacketError: the sample is malformed, or larger than a sample may be.
            CompatibilityError: the teacher's concepts have one exemplar each.
        """
        from m2kt.wire.samples import sample_from_wire  # needs torch: only students ask for it

        request = teacher_pb.SampleConceptsRequest(domain=domain)
        found = await self._answer(self.teacher.SampleConcepts(request, timeout=timeout_s))
        return sample_from_wire(found)

    async def tell_teacher(self, receipt: Envelope, *, timeout_s: float) -> None:
        """Hands a teacher the signed receipt of a transfer."""
        request = teacher_pb.TeacherServiceRecordReceiptRequest(
            receipt=cards.envelope_to_wire(receipt)
        )
        await self._answer(self.teacher.RecordReceipt(request, timeout=timeout_s))

    # A student.

    async def describe_student(self, *, timeout_s: float) -> tuple[AgentCard, StateView]:
        """Who the student is, and its present state."""
        request = student_pb.DescribeStudentRequest()
        found = await self._answer(self.student.DescribeStudent(request, timeout=timeout_s))
        return cards.card_from_wire(found.student), views.student_state_from_wire(found.head)

    async def teachers(self, *, timeout_s: float) -> tuple[Reputation, ...]:
        """How the packets of each of the student's teachers have held up so far."""
        request = student_pb.DescribeStudentRequest()
        found = await self._answer(self.student.DescribeStudent(request, timeout=timeout_s))
        return tuple(map(views.reputation_from_wire, found.teachers))

    async def foretell(
        self, domain: str, *, teachers: Sequence[str], timeout_s: float
    ) -> Foretelling:
        """What the student expects to gain from `teachers`; it fetches no packet."""
        request = student_pb.ForetellRequest(domain=domain, teachers=teachers)
        found = await self._answer(self.student.Foretell(request, timeout=timeout_s))
        return views.foretelling_from_wire(found)

    async def learn(
        self,
        domain: str,
        *,
        teachers: Sequence[str] = (),
        broker: str = "",
        strategy: str = "",
        quorum: int = 0,
        collect_s: float = 0.0,
        follow_up: bool = False,
        key: str = "",
        timeout_s: float,
    ) -> TransferId:
        """Asks the student to learn; returns at once.

        Args:
            domain: Name of the domain.
            teachers: Addresses of teachers.
            broker: Address of a broker to ask for more teachers and packets; empty for none.
            strategy: How to combine packets; empty for the student's own choice.
            quorum: Packets of different content to wait for; 0 for the student's own number.
            collect_s: Seconds for collecting packets; 0 to wait for all sources.
            follow_up: Whether to learn once the quorum is met, and from what comes later in a
                transfer of its own.
            key: Chosen by the caller: an equal key names the same transfer. Empty: a new one.
            timeout_s: Deadline of the call, in seconds.
        """
        request = student_pb.LearnRequest(
            domain=domain,
            teachers=teachers,
            broker=broker,
            discover=bool(broker),
            strategy=strategy,
            quorum=quorum,
            collect_s=collect_s,
            follow_up=follow_up,
            idempotency_key=key or secrets.token_hex(16),
        )
        found = await self._answer(self.student.Learn(request, timeout=timeout_s))
        return TransferId(found.transfer_id)

    async def transfer(self, transfer: TransferId, *, timeout_s: float) -> TransferView:
        """Where a transfer stands."""
        request = student_pb.GetTransferRequest(transfer_id=transfer)
        found = await self._answer(self.student.GetTransfer(request, timeout=timeout_s))
        return views.transfer_from_wire(found.transfer)

    async def watch(
        self, transfer: TransferId, *, after: int = 0, timeout_s: float
    ) -> AsyncIterator[Event]:
        """Every event of a transfer after number `after`, each once, until it has ended.

        Comes back by itself when the student was not there for a while.

        Raises:
            DeadlineError: the transfer has not ended within `timeout_s`.
        """
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + timeout_s
        while (left_s := ends_at - loop.time()) > 0:
            request = student_pb.WatchTransferRequest(transfer_id=transfer, after_event=after)
            call = self.student.WatchTransfer(request, timeout=left_s)
            try:
                async for item in self._items(call):
                    event = verdicts.event_from_wire(item.event)
                    after = event.number
                    yield event
                return  # the student ends the stream when the transfer has ended
            except (PeerUnavailableError, DeadlineError):
                await asyncio.sleep(min(RETRY_S, max(0.0, ends_at - loop.time())))
        raise DeadlineError(
            f"expected transfer {transfer} to end within {timeout_s:.0f} s, found it going on after"
            f" event {after}; watch again from there"
        )

    async def answer(
        self, domain: str, questions: Sequence[str], *, timeout_s: float
    ) -> tuple[AnswerView, ...]:
        """What the student answers with what it has learnt."""
        request = student_pb.AnswerRequest(domain=domain, questions=questions)
        found = await self._answer(self.student.Answer(request, timeout=timeout_s))
        return tuple(
            AnswerView(a.question, a.completion, a.answer if a.HasField("answer") else None)
            for a in found.answers
        )

    async def examine(
        self,
        domain: str,
        *,
        per_level: int,
        seed: int,
        examples: Sequence[str] = (),
        exclude: Iterable[str] = (),
        timeout_s: float,
    ) -> ExamView:
        """Examines the student on problems drawn from `seed`; see the proto for the others."""
        request = student_pb.ExamineRequest(
            domain=domain, per_level=per_level, seed=seed, examples=examples, exclude=exclude
        )
        found = await self._answer(self.student.Examine(request, timeout=timeout_s))
        return views.exam_from_wire(found)

    async def unlearn(
        self, *, packet: PacketId | None = None, key: KeyId | None = None, timeout_s: float
    ) -> UnlearntView:
        """Un-learns one packet, or all that a key signed."""
        request = student_pb.UnlearnRequest()
        if packet is not None:
            request.packet_id = packet
        if key is not None:
            request.key_id = key
        found = await self._answer(self.student.Unlearn(request, timeout=timeout_s))
        return views.unlearnt_from_wire(found)

    async def revert(self, to: Digest, *, timeout_s: float) -> tuple[StateView, bool]:
        """Has the skills of an earlier state again; the state after it, and if HEAD moved."""
        request = student_pb.RevertRequest(state=to)
        found = await self._answer(self.student.Revert(request, timeout=timeout_s))
        return views.student_state_from_wire(found.head), found.moved

    async def history(self, *, limit: int = 0, timeout_s: float) -> tuple[StateView, ...]:
        """The states that the student has been in, newest first."""
        request = student_pb.ListHistoryRequest(limit=limit)
        found = await self._answer(self.student.ListHistory(request, timeout=timeout_s))
        return tuple(views.student_state_from_wire(state) for state in found.states)
