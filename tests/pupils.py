"""A student that learns whatever it is told, without a model, and the teachers that it trusts."""

import threading
from dataclasses import dataclass

from m2kt.identity import AgentId, PacketId, TransferId
from m2kt.journal import Journal, Transfer
from m2kt.progress import Progress, TransferState
from m2kt.verdict import Receipt
from m2kt.wire import cards
from m2kt_agents.client import PeerClient
from m2kt_agents.hosting import ThreadHost
from m2kt_agents.launching import RunningAgent
from m2kt_agents.orders import LearnOrder
from m2kt_agents.views import TransferView
from tests.packets import tiny_packet
from tests.simulator import DOMAIN, STUDENT, HostileTeacher, Town, taught, until
from tests.workers import Eager


@dataclass
class Class:
    """A student that learns whatever it is told as soon as it is let go, and its teachers."""

    town: Town
    go_on: threading.Event
    worker: Eager
    agent: RunningAgent
    student: PeerClient

    async def address(self, teacher: HostileTeacher) -> str:
        return (await self.town.serve(teacher.service)).address

    async def learns(self, *teachers: HostileTeacher) -> tuple[PacketId, ...]:
        """The packets of a transfer that was committed."""
        view, _ = await taught(self.student, *[await self.address(t) for t in teachers])
        assert view.state is TransferState.COMMITTED
        return receipt_of(view).packets

    async def head(self):
        return (await self.student.describe_student(timeout_s=5))[1]

    async def begins(self, teacher: HostileTeacher):
        """A transfer that is at work when this returns."""
        self.go_on.clear()
        transfer = await self.student.learn(
            DOMAIN, teachers=[await self.address(teacher)], timeout_s=5
        )
        await self.at_work(transfer)
        return transfer

    async def at_work(self, transfer) -> None:
        await until(lambda: self.agent.agent.ledger.state(transfer) is TransferState.VERIFYING)


def receipt_of(view: TransferView) -> Receipt:
    assert view.receipt is not None
    return cards.receipt_from_bytes(view.receipt.payload)


def teacher_of(town: Town, name: str, seed: int) -> HostileTeacher:
    packet = tiny_packet(teacher=AgentId(name), seed=seed)
    return HostileTeacher(AgentId(name), town.signer(name), packet=packet)


async def started(town: Town, go_on: threading.Event, **limits: int) -> Class:
    """The student, with what it left when it was stopped."""
    worker = Eager(go_on)
    table = {**STUDENT, "limits": {**STUDENT["limits"], **limits}}
    agent = await town.start("student", table, make_host=lambda _: ThreadHost(lambda: worker))
    return Class(town, go_on, worker, agent, town.peer(agent.address))


async def school(town: Town, **limits: int) -> Class:
    town.trust("student", "a", "b", "c")
    go_on = threading.Event()
    go_on.set()
    return await started(town, go_on, **limits)


def left(town: Town, name: str, order: LearnOrder, packets: list[PacketId]) -> TransferId:
    """A transfer in the student's journal that was stopped when its packets were sealed."""
    with Journal(town.folder / "student" / "journal.sqlite") as journal:
        transfer = Transfer(
            id=TransferId(name),
            domain=DOMAIN,
            request=order.to_json().encode(),
            created_at_s=1.0,
            updated_at_s=1.0,
        )
        journal.begin(transfer, idempotency_key=order.key)
        news = Progress("sealed", {}, TransferState.AUTHENTICATED)
        journal.record(transfer.id, news, at_s=1.0, packets=packets)
    return transfer.id
