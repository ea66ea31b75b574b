"""What comes meanwhile, while a teacher takes its time to show a sample."""

import asyncio
import threading
import time

import pytest

from m2kt.errors import BusyError, CompatibilityError
from m2kt.identity import BROADCAST, AgentId, ModelCard
from m2kt.meter import DataMeter
from m2kt.progress import Progress, Report, TransferState
from m2kt.reasons import Reason
from m2kt.registry import PacketHeader
from m2kt.transfer import Declined
from m2kt.verdict import Rejected
from m2kt.wire.admission import packet_id_of
from m2kt_agents.broker_client import BrokerClient
from m2kt_agents.hosting import ThreadHost
from m2kt_agents.learner import Aptitude, Assignment, KeptCal
from tests.simulator import DOMAIN, STUDENT, HostileTeacher, Town, ended, until

CHOOSY = {**STUDENT, "limits": {**STUDENT["limits"], "min_outlook": 0.1}}


class SlowTeacher(HostileTeacher):
    """Shows a sample when it is let go."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.sampled, self.go_on = asyncio.Event(), asyncio.Event()

    async def SampleConcepts(self, request, context):  # noqa: N802 - the name in the proto
        self.sampled.set()
        await self.go_on.wait()
        return await super().SampleConcepts(request, context)


class Worker:
    """Declines every lesson, when it is let go; expects everything of itself."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def card(self) -> ModelCard:
        return ModelCard(family="x", hidden_size=1, layers=1, parameters=1, weights_digest="")

    def aptitude(self, domain: str, kept: KeptCal | None) -> Aptitude:
        return Aptitude(before=0.0, recognised=1.0, relational=False)

    def learn(self, assignment: Assignment, report: Report) -> Declined:
        for state in (TransferState.SCREENED, TransferState.ALIGNING):
            report(Progress(state, {}, state))
        assert self.go_on.wait(20)
        return Declined(Rejected((Reason.NO_GAIN,)), DataMeter())


class Unfit(Worker):
    """Cannot be examined."""

    def aptitude(self, domain: str, kept: KeptCal | None) -> Aptitude:
        raise CompatibilityError("expected an exam, found none; choose another model")


async def slow(town: Town) -> tuple[SlowTeacher, str]:
    town.trust("student", "slow")
    teacher = SlowTeacher(AgentId("slow"), town.signer("slow"))
    return teacher, (await town.serve(teacher.service)).address


async def keeping(town: Town) -> str:
    """A broker that keeps a packet of a teacher who has gone."""
    town.trust("student", "gone")
    gone = HostileTeacher(AgentId("gone"), town.signer("gone"))
    envelope = gone.sealed(BROADCAST, b"")
    header = PacketHeader(
        packet_id=packet_id_of(envelope.payload),
        teacher=gone.agent,
        audience=BROADCAST,
        domain=DOMAIN,
        expires_at_s=time.time() + 600,
        payload_bytes=len(gone.encoded.payload),
    )
    broker = await town.start("broker", {"role": "broker"})
    async with BrokerClient(broker.address) as client:
        await client.publish(header, envelope, gone.chunks(), timeout_s=5)
    return broker.address


def sealed(town: Town) -> int:
    """Packets that the student has."""
    return len(list((town.folder / "student" / "store" / "packets").glob("*.payload")))


async def test_a_student_that_begins_to_learn_meanwhile_foretells_nothing(town: Town):
    worker, (teacher, address) = Worker(), await slow(town)
    agent = await town.start("student", STUDENT, make_host=lambda _: ThreadHost(lambda: worker))
    student = town.peer(agent.address)
    foretelling = asyncio.create_task(student.foretell(DOMAIN, teachers=[address], timeout_s=10))
    await teacher.sampled.wait()
    transfer = await student.learn(DOMAIN, teachers=[address], timeout_s=5)
    await until(lambda: agent.agent.ledger.state(transfer) is TransferState.ALIGNING)
    teacher.go_on.set()
    try:
        with pytest.raises(BusyError, match="learning"):
            await foretelling
    finally:
        worker.go_on.set()
    await ended(student, transfer)


async def test_what_a_broker_keeps_does_not_wait_for_a_teachers_sample(town: Town):
    worker, (teacher, address), broker = Worker(), await slow(town), await keeping(town)
    worker.go_on.set()
    agent = await town.start("student", CHOOSY, make_host=lambda _: ThreadHost(lambda: worker))
    student = town.peer(agent.address)
    transfer = await student.learn(DOMAIN, teachers=[address], broker=broker, timeout_s=5)
    await until(lambda: sealed(town) == 1)
    assert teacher.asked == []
    teacher.go_on.set()
    view, _ = await ended(student, transfer)
    assert set(view.teachers) == {"gone", "slow"}


async def test_what_a_broker_keeps_is_learnt_from_if_nothing_can_be_foretold(town: Town):
    worker, (teacher, address), broker = Unfit(), await slow(town), await keeping(town)
    worker.go_on.set()
    teacher.go_on.set()
    agent = await town.start("student", CHOOSY, make_host=lambda _: ThreadHost(lambda: worker))
    student = town.peer(agent.address)
    transfer = await student.learn(DOMAIN, teachers=[address], broker=broker, timeout_s=5)
    view, events = await ended(student, transfer)
    assert view.verdict.reasons == (Reason.NO_GAIN,)
    assert view.teachers == ("gone",)
    assert any(f"{address}: INCOMPATIBLE" in event.message for event in events)
    assert teacher.asked == []
