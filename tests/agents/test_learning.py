"""One student learns over gRPC from one teacher; then everybody looks at what came of it."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
import pytest_asyncio

from m2kt.errors import NotFoundError, ProtocolError, RequestError
from m2kt.identity import TransferId
from m2kt.progress import MOVES, Event, TransferState
from m2kt.trust import load_trust
from m2kt.verdict import Accepted
from m2kt.wire import cards
from m2kt_agents.client import PeerClient
from m2kt_agents.views import TransferView
from tests.simulator import DOMAIN, STUDENT, HostileTeacher, Town, adder, taught, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
QUESTIONS = ["1+2", "6-3", "2+5-1"]


@dataclass
class Scene:
    """What is left when the student has learnt."""

    town: Town
    teacher: HostileTeacher
    teacher_address: str
    student: PeerClient
    address: str
    before: tuple[str, ...]
    view: TransferView
    events: list[Event]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory):
    async with Town(tmp_path_factory.mktemp("town")) as town:
        town.trust("student", "adder")
        teacher = adder(town)
        server = await town.serve(teacher.service)
        agent = await town.start("student", STUDENT)
        student = town.peer(agent.address)
        before = await student.answer(DOMAIN, QUESTIONS, timeout_s=30)
        view, events = await taught(student, server.address)
        yield Scene(
            town,
            teacher,
            server.address,
            student,
            agent.address,
            tuple(answer.completion for answer in before),
            view,
            events,
        )


async def test_the_transfer_is_committed_with_evidence(scene):
    assert scene.view.state is TransferState.COMMITTED
    assert isinstance(scene.view.verdict, Accepted)
    assert scene.view.verdict.evidence.gain > 0
    assert scene.view.teachers == ("adder",)


async def test_events_are_numbered_without_gaps_and_make_allowed_moves(scene):
    assert [event.number for event in scene.events] == list(range(1, len(scene.events) + 1))
    states = [event.state for event in scene.events]
    assert states[0] is TransferState.OFFERED
    for earlier, later in pairwise(states):
        assert later is earlier or later in MOVES[earlier]
    assert any("loss_reason" in event.figures for event in scene.events)


async def test_head_is_the_state_that_the_receipt_names(scene):
    _, head = await scene.student.describe_student(timeout_s=5)
    trust = load_trust(scene.town.folder / "student" / "trust.json").enrol(
        scene.town.signer("student").key_id, "student"
    )
    receipt = cards.verify_receipt(scene.view.receipt, trust)
    assert receipt.head_after == head.digest != receipt.head_before
    assert head.transfer == scene.view.transfer
    assert head.skills[DOMAIN].lineage == receipt.packets
    assert head.skills[DOMAIN].signers == (scene.town.signer("adder").key_id,)
    assert (receipt.meter.labels, receipt.meter.logits) == (0, 0)
    assert receipt.meter.bytes > 0


async def test_the_teacher_is_told_of_it(scene):
    await until(lambda: scene.teacher.receipts)
    assert scene.teacher.receipts[0] == scene.view.receipt


async def test_answers_come_from_what_was_learnt(scene):
    after = await scene.student.answer(DOMAIN, QUESTIONS, timeout_s=30)
    assert [answer.question for answer in after] == QUESTIONS
    assert tuple(answer.completion for answer in after) != scene.before
    again = await scene.student.answer(DOMAIN, QUESTIONS, timeout_s=30)
    assert again == after


async def test_an_exam_is_the_same_for_the_same_seed(scene):
    first = await scene.student.examine(DOMAIN, per_level=1, seed=5, timeout_s=60)
    again = await scene.student.examine(DOMAIN, per_level=1, seed=5, timeout_s=60)
    other = await scene.student.examine(
        DOMAIN, per_level=1, seed=5, exclude=first.questions, timeout_s=60
    )
    assert first == again
    assert len(first.questions) == 4
    assert not set(first.questions) & set(other.questions)


async def test_the_history_is_newest_first_and_may_be_cut(scene):
    whole = await scene.student.history(timeout_s=5)
    newest = await scene.student.history(limit=1, timeout_s=5)
    assert [state.parent for state in whole] == [whole[1].digest, None]
    assert newest == whole[:1]


async def test_a_watcher_that_comes_back_sees_each_event_once(scene):
    half = len(scene.events) // 2
    rest = [
        event
        async for event in scene.student.watch(
            scene.view.transfer, after=scene.events[half - 1].number, timeout_s=10
        )
    ]
    assert rest == scene.events[half:]


async def test_a_watcher_who_has_seen_all_is_told_nothing_and_let_go(scene):
    call = scene.student.watch(scene.view.transfer, after=scene.view.last_event, timeout_s=1.0)
    messages = [event async for event in call]
    assert messages == []


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda s: s.answer(DOMAIN, [], timeout_s=5), RequestError),
        (lambda s: s.answer(DOMAIN, ["1+1"] * 257, timeout_s=5), RequestError),
        (lambda s: s.answer("arith.mod5", ["1+1"], timeout_s=5), RequestError),
        (lambda s: s.examine(DOMAIN, per_level=0, seed=1, timeout_s=5), RequestError),
        (lambda s: s.learn(DOMAIN, timeout_s=5), RequestError),
        (lambda s: s.learn(DOMAIN, teachers=["a:1"], key="k" * 65, timeout_s=5), RequestError),
        (lambda s: s.learn(DOMAIN, teachers=["a:1"] * 17, timeout_s=5), RequestError),
        (lambda s: s.transfer(TransferId("none"), timeout_s=5), NotFoundError),
        (lambda s: s.unlearn(timeout_s=5), RequestError),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused(scene, ask, error):
    with pytest.raises(error):
        await ask(scene.student)


async def test_what_is_not_in_head_needs_no_unlearning(scene):
    done = await scene.student.unlearn(key="ed25519:" + "0" * 64, timeout_s=5)
    assert (done.moved, done.realigning) == (False, ())
    assert done.head.transfer == scene.view.transfer


async def test_the_server_is_healthy(scene):
    assert await scene.student.healthy(timeout_s=5)
    assert await scene.student.healthy("m2kt.wire.v1.StudentService", timeout_s=5)
    with pytest.raises(ProtocolError, match="NOT_FOUND"):
        await scene.student.healthy("m2kt.wire.v1.BrokerService", timeout_s=5)
