"""Push and pull, one teacher after the other, some of whom fail; then un-learning."""

from dataclasses import dataclass

import pytest
import pytest_asyncio

from m2kt.identity import AgentId
from m2kt.progress import TransferState
from m2kt.verdict import Accepted
from m2kt_agents.client import PeerClient
from m2kt_agents.offering import Offer, Settlement, offer
from m2kt_agents.views import StateView, TransferView
from tests.simulator import DOMAIN, PATIENT, HostileTeacher, Town, adder, multiplier, taught

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class School:
    """What has happened before the tests look at it."""

    town: Town
    pulled: PeerClient
    pushed: PeerClient
    first: TransferView
    second: TransferView
    second_messages: list[str]
    settlement: Settlement
    history: tuple[StateView, ...]


async def brought(teacher: HostileTeacher, address: str) -> Settlement:
    async def manifest(student, nonce):
        return teacher.sealed(student.agent, nonce)

    honest = Offer(
        teacher=teacher.card,
        domain=DOMAIN,
        offer_id="the first",
        manifest=manifest,
        chunks=teacher.chunks,
    )
    return await offer(address, honest, timeout_s=100)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def school(tmp_path_factory):
    async with Town(tmp_path_factory.mktemp("school")) as town:
        for name in ("pulled", "pushed"):
            town.trust(name, "adder", "multiplier", "late")
        plus, times = adder(town), multiplier(town)
        late = HostileTeacher(AgentId("late"), town.signer("late"), issued_at_s=1.0)
        servers = [await town.serve(t.service) for t in (plus, times, late)]
        pulled, pushed = [await town.start(name, PATIENT) for name in ("pulled", "pushed")]
        student, other = town.peer(pulled.address), town.peer(pushed.address)
        first, _ = await taught(student, servers[0].address)
        settlement = await brought(plus, pushed.address)
        second, events = await taught(
            student, servers[1].address, servers[2].address, "127.0.0.1:1", strategy="mean"
        )
        history = await student.history(timeout_s=5)
        messages = [event.message for event in events]
        yield School(town, student, other, first, second, messages, settlement, history)


async def test_push_and_pull_lead_to_the_same_layer(school):
    _, by_pull = school.history[1], school.history[1].skills[DOMAIN]
    _, head = await school.pushed.describe_student(timeout_s=5)
    assert isinstance(school.settlement.verdict, Accepted)
    assert head.skills[DOMAIN].cal == by_pull.cal
    assert head.skills[DOMAIN].lineage != by_pull.lineage


async def test_whoever_pushes_is_told_every_event(school):
    assert [event.number for event in school.settlement.events] == list(
        range(1, len(school.settlement.events) + 1)
    )
    assert school.settlement.events[-1].state is TransferState.COMMITTED


async def test_teachers_that_fail_do_not_hold_up_the_one_that_does_not(school):
    assert school.second.state is TransferState.COMMITTED
    assert school.second.teachers == ("multiplier",)
    assert any("EXPIRED" in message for message in school.second_messages)
    assert any("PEER_UNAVAILABLE" in message for message in school.second_messages)


async def test_a_new_lesson_holds_what_was_accepted_before(school):
    newest, middle, _ = school.history
    earlier = middle.skills[DOMAIN]
    later = newest.skills[DOMAIN]
    assert set(earlier.lineage) < set(later.lineage)
    assert len(later.lineage) == 2
    assert len(later.signers) == 2
    assert isinstance(school.second.verdict, Accepted)
    assert school.second.verdict.evidence.before != school.first.verdict.evidence.before


async def test_what_was_unlearnt_is_rolled_back_and_what_was_not_stays(school):
    newest, middle, first = school.history
    added = set(newest.skills[DOMAIN].lineage) - set(middle.skills[DOMAIN].lineage)
    done = await school.pulled.unlearn(packet=added.pop(), timeout_s=10)
    assert (done.moved, done.realigning) == (True, ())
    assert done.head.skills == middle.skills
    assert done.head.parent == newest.digest
    views = [
        await school.pulled.transfer(t.transfer, timeout_s=5) for t in (school.first, school.second)
    ]
    assert [v.state for v in views] == [TransferState.COMMITTED, TransferState.ROLLED_BACK]
    events = [e async for e in school.pulled.watch(school.second.transfer, timeout_s=5)]
    assert events[-1].state is TransferState.ROLLED_BACK
    done = await school.pulled.unlearn(key=school.town.signer("adder").key_id, timeout_s=10)
    assert (done.moved, done.realigning) == (True, ())
    assert done.head.skills == first.skills == {}
