"""The student's gRPC service: decode, call, encode.

Errors and deadlines are the guard's business (server): nothing here translates them.

Owns: `StudentServicer`.
Does not own: what a student does (student).
"""

from collections.abc import AsyncIterator
from typing import final

from m2kt.digest import digest_from_text
from m2kt.errors import RequestError
from m2kt.identity import KeyId, PacketId, TransferId
from m2kt.wire import cards, verdicts
from m2kt.wire.v1 import student_service_pb2 as pb

from . import views
from .learner import ExamPaper
from .offers import offer_key
from .orders import LearnOrder
from .parts import Chunk, chunks_in, next_part
from .permissions import Permit
from .server import Context, Service
from .student import StudentAgent

Incoming = AsyncIterator[pb.OfferPacketRequest | Chunk]
Outgoing = AsyncIterator[pb.OfferPacketResponse]


@final
class StudentServicer:
    """`m2kt.wire.v1.StudentService` over a student."""

    def __init__(self, agent: StudentAgent) -> None:
        self._agent = agent

    async def DescribeStudent(
        self, request: pb.DescribeStudentRequest, context: Context
    ) -> pb.DescribeStudentResponse:
        self._agent.permissions.admit(context, Permit.MEET)
        state = views.student_state_to_wire(views.state_view(self._agent.state))
        return pb.DescribeStudentResponse(
            student=cards.card_to_wire(self._agent.card),
            head=state,
            teachers=[views.reputation_to_wire(its) for its in self._agent.reputations],
        )

    async def Foretell(self, request: pb.ForetellRequest, context: Context) -> pb.ForetellResponse:
        self._agent.permissions.admit(context, Permit.COMMAND, request.domain)
        found = await self._agent.foretell(request.domain, request.teachers)
        return views.foretelling_to_wire(found)

    async def Learn(self, request: pb.LearnRequest, context: Context) -> pb.LearnResponse:
        self._agent.permissions.admit(context, Permit.COMMAND, request.domain)
        order = LearnOrder(
            domain=request.domain,
            key=request.idempotency_key,
            teachers=tuple(request.teachers),
            broker=request.broker,
            discover=request.discover,
            strategy=request.strategy,
            quorum=request.quorum,
            collect_s=request.collect_s,
            follow_up=request.follow_up,
        )
        return pb.LearnResponse(transfer_id=self._agent.learn(order))

    async def OfferPacket(self, request_iterator: Incoming, context: Context) -> Outgoing:
        hello = await next_part(request_iterator, pb.OfferPacketRequest, "hello")
        self._agent.permissions.admit(context, Permit.TEACH, hello.hello.domain)
        order = LearnOrder(
            domain=hello.hello.domain,
            key=offer_key(
                teacher := cards.card_from_wire(hello.hello.teacher), hello.hello.offer_id
            ),
            pushed=True,
        )
        self._agent.require_mine(order.domain)
        nonce = self._agent.offers.nonce()
        challenge = pb.OfferChallenge(student=cards.card_to_wire(self._agent.card), nonce=nonce)
        yield pb.OfferPacketResponse(challenge=challenge)
        manifest = await next_part(request_iterator, pb.OfferPacketRequest, "manifest")
        envelope = cards.envelope_from_wire(manifest.manifest)
        transfer, first = self._agent.offers.admit(teacher, order, envelope, nonce)
        yield pb.OfferPacketResponse(wanted=pb.OfferWanted(transfer_id=transfer, from_chunk=first))
        await self._agent.offers.receive(transfer, order, chunks_in(request_iterator))
        async for event in self._agent.ledger.watch(transfer, after=0):
            yield pb.OfferPacketResponse(event=verdicts.event_to_wire(event))
        yield pb.OfferPacketResponse(settlement=self._settlement(transfer))

    def _settlement(self, transfer: TransferId) -> pb.OfferSettlement:
        message = views.transfer_to_wire(self._agent.ledger.view(transfer))
        return pb.OfferSettlement(verdict=message.verdict, receipt=message.receipt)

    async def GetTransfer(
        self, request: pb.GetTransferRequest, context: Context
    ) -> pb.GetTransferResponse:
        self._agent.permissions.admit(context, Permit.COMMAND)
        view = self._agent.ledger.view(TransferId(request.transfer_id))
        return pb.GetTransferResponse(transfer=views.transfer_to_wire(view))

    async def WatchTransfer(
        self, request: pb.WatchTransferRequest, context: Context
    ) -> AsyncIterator[pb.WatchTransferResponse]:
        self._agent.permissions.admit(context, Permit.COMMAND)
        transfer = TransferId(request.transfer_id)
        async for event in self._agent.ledger.watch(transfer, after=request.after_event):
            yield pb.WatchTransferResponse(event=verdicts.event_to_wire(event))

    async def Answer(self, request: pb.AnswerRequest, context: Context) -> pb.AnswerResponse:
        self._agent.permissions.admit(context, Permit.COMMAND, request.domain)
        answers, head = await self._agent.answer(request.domain, request.questions)
        return pb.AnswerResponse(
            answers=[
                pb.Answer(question=one.question, completion=one.completion, answer=one.answer)
                for one in answers
            ],
            head=head,
        )

    async def Examine(self, request: pb.ExamineRequest, context: Context) -> pb.ExamineResponse:
        self._agent.permissions.admit(context, Permit.COMMAND, request.domain)
        paper = ExamPaper(
            domain=request.domain,
            per_level=request.per_level,
            seed=request.seed,
            examples=tuple(request.examples),
            exclude=tuple(request.exclude),
        )
        return views.exam_to_wire(await self._agent.examine(paper))

    async def Unlearn(self, request: pb.UnlearnRequest, context: Context) -> pb.UnlearnResponse:
        self._agent.permissions.admit(context, Permit.COMMAND)
        target = request.WhichOneof("target")
        if target is None:
            raise RequestError("expected a packet or a key to un-learn, found neither; name one")
        done = await self._agent.unlearn(
            packet=PacketId(request.packet_id) if target == "packet_id" else None,
            key=KeyId(request.key_id) if target == "key_id" else None,
        )
        return views.unlearnt_to_wire(done)

    async def Revert(self, request: pb.RevertRequest, context: Context) -> pb.RevertResponse:
        self._agent.permissions.admit(context, Permit.COMMAND)
        state, moved = await self._agent.revert(digest_from_text(request.state))
        head = views.student_state_to_wire(views.state_view(state))
        return pb.RevertResponse(head=head, moved=moved)

    async def ListHistory(
        self, request: pb.ListHistoryRequest, context: Context
    ) -> pb.ListHistoryResponse:
        self._agent.permissions.admit(context, Permit.COMMAND)
        states = [views.state_view(state) for state in self._agent.history(request.limit)]
        return pb.ListHistoryResponse(states=[views.student_state_to_wire(s) for s in states])


def student_service(agent: StudentAgent) -> Service:
    """The service, ready to be served."""
    return Service(pb.DESCRIPTOR.services_by_name["StudentService"], StudentServicer(agent))
