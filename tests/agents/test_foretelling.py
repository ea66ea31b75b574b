"""A student foretells what teachers would gain it, and fetches nothing from whom it expects little.

The pupil gets nearly every problem wrong and can learn all of the domain from two teachers:
what it foretells of them is near what it then gains.
"""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import pytest_asyncio

from m2kt import domains
from m2kt.errors import RequestError
from m2kt.identity import AgentCard, AgentId, ModelCard
from m2kt.probes import draw_probes
from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt.transferability import Outlook
from m2kt.verdict import Rejected
from m2kt.wire import cards
from m2kt.wire.v1 import teacher_service_pb2 as pb
from m2kt_agents import views
from m2kt_agents.client import PeerClient
from m2kt_agents.foretelling import too_little
from m2kt_agents.learner import TRIED, tried
from m2kt_agents.server import Service
from m2kt_agents.views import Foretelling, Foretold, OutlookView, TransferView
from tests.simulator import (
    DOMAIN,
    PATIENT,
    STUDENT,
    HostileTeacher,
    Town,
    adder,
    multiplier,
    taught,
)

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.slow,
]
NOBODY = "127.0.0.1:1"


@dataclass
class Scene:
    """What was foretold before and after a student learnt, and how much it gained."""

    town: Town
    teachers: list[HostileTeacher]
    addresses: list[str]
    student: PeerClient
    before: Foretelling
    asked: int
    transfer: TransferView
    after: Foretelling


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory):
    async with Town(tmp_path_factory.mktemp("town")) as town:
        town.trust("student", "adder", "multiplier")
        teachers = [adder(town), multiplier(town), adder(town, "stranger")]
        addresses = [(await town.serve(its.service)).address for its in teachers]
        student = town.peer((await town.start("student", PATIENT)).address)
        asked = [*addresses, NOBODY]
        before = await student.foretell(DOMAIN, teachers=asked, timeout_s=60)
        packets = sum(len(its.asked) for its in teachers)
        _, head = await student.describe_student(timeout_s=5)
        assert head.transfer is None, "nothing has changed"
        view, _ = await taught(student, *addresses[:2])
        after = await student.foretell(DOMAIN, teachers=addresses[:1], timeout_s=60)
        yield Scene(town, teachers, addresses, student, before, packets, view, after)


async def test_a_dry_run_asks_for_no_packet(scene):
    assert scene.asked == 0
    assert len(scene.teachers[0].asked) == 1, "learning asked for one"


async def test_what_is_foretold_is_near_what_is_then_gained(scene):
    gained = scene.transfer.verdict.evidence.gain
    told = [its.outlook.gain for its in scene.before.foretold[:2]]
    assert gained > 0.5
    assert told == pytest.approx([gained] * 2, abs=0.2)


async def test_the_gain_is_the_product_of_the_parts_that_are_told(scene):
    its = scene.before.foretold[0].outlook
    assert its.gain == pytest.approx(
        (1 - its.before) * its.recognised * its.depth**4 * its.steadiness
    )
    assert its.depth == 1.0, "this teacher reads its last layer"


async def test_each_teacher_is_told_of_in_the_order_in_which_it_was_named(scene):
    assert [its.teacher for its in scene.before.foretold] == [*scene.addresses, NOBODY]
    assert [its.agent for its in scene.before.foretold] == ["adder", "multiplier", "", ""]
    reasons = [its.reason for its in scene.before.foretold]
    assert reasons == [None, None, Reason.UNKNOWN_KEY, Reason.PEER_UNAVAILABLE]
    assert [its.outlook is None for its in scene.before.foretold] == [False, False, True, True]
    assert scene.before.threshold == 0.0


async def test_whoever_has_learnt_expects_little_more(scene):
    [its] = scene.after.foretold
    assert its.outlook.before > scene.before.foretold[0].outlook.before + 0.5
    assert its.outlook.gain < 0.3


@pytest.mark.parametrize("teachers", [[], [NOBODY] * 17], ids=["none", "too many"])
async def test_a_request_for_none_or_too_many_is_refused(scene, teachers):
    with pytest.raises(RequestError, match="1 to 16 teachers"):
        await scene.student.foretell(DOMAIN, teachers=teachers, timeout_s=5)


async def test_a_domain_that_is_not_the_students_is_refused(scene):
    with pytest.raises(RequestError, match="one of my domains"):
        await scene.student.foretell("arith.mod5", teachers=[NOBODY], timeout_s=5)


def halfway(message: pb.SampleConceptsResponse) -> pb.SampleConceptsResponse:
    """As if it had been read in the middle of a model that is twice as deep."""
    message.depth = 2 * message.layer
    return message


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def choosy(scene):
    """A student that expects at least half of the problems of a teacher."""
    scene.town.trust("choosy", "adder", "early")
    table = {**STUDENT, "limits": {**STUDENT["limits"], "min_outlook": 0.5}}
    return scene.town.peer((await scene.town.start("choosy", table)).address)


async def test_below_the_threshold_nothing_is_fetched_and_the_receipt_says_why(scene, choosy):
    early = adder(scene.town, "early", spoil_sample=halfway)
    address = (await scene.town.serve(early.service)).address
    view, events = await taught(choosy, address)
    assert view.state is events[-1].state is TransferState.REJECTED
    assert isinstance(view.verdict, Rejected)
    assert view.verdict.reasons == (Reason.UNPROMISING,)
    sentence = view.verdict.details[0]
    [told] = (await choosy.foretell(DOMAIN, teachers=[address], timeout_s=60)).foretold
    assert 0 < told.outlook.gain < 0.5
    assert told.reason is Reason.UNPROMISING
    assert told.detail in sentence
    assert "at least 0.500" in sentence
    assert f"found {told.outlook.gain:.3f} foretold" in sentence
    assert "lower `min_outlook`" in sentence

    receipt = cards.receipt_from_bytes(view.receipt.payload)
    assert receipt.verdict == view.verdict
    assert receipt.packets == ()
    assert receipt.meter.bytes == 0
    assert receipt.head_before == receipt.head_after
    assert early.asked == []


async def test_of_several_teachers_those_that_promise_enough_are_learnt_from(scene, choosy):
    early = adder(scene.town, "early", spoil_sample=halfway)
    server = await scene.town.serve(early.service)
    view, events = await taught(choosy, server.address, scene.addresses[0])
    assert view.state is TransferState.COMMITTED
    assert view.teachers == ("adder",)
    assert any("UNPROMISING" in event.message for event in events)
    assert early.asked == []


@pytest.mark.parametrize(
    ("low", "remedy"),
    [
        ({"before": 0.9}, "ask about another domain: in this one little is left"),
        ({"recognised": 0.1}, "choose another model for me"),
        ({"depth": 0.5, "recognised": 0.3}, "reads its concepts nearer its last layer"),
        ({"steadiness": 0.1}, "concepts stay the same from context to context"),
        ({"depth": 0.9, "steadiness": 0.5}, "concepts stay the same from context to context"),
    ],
)
async def test_the_remedy_is_for_the_factor_that_is_smallest(low, remedy):
    full = {"before": 0.0, "recognised": 1.0, "depth": 1.0, "steadiness": 1.0}
    sentence = too_little(Outlook(**{**full, **low}), 0.7)
    assert "lower `min_outlook`" in sentence
    assert remedy in sentence
    assert ("nearer its last layer" in sentence) == ("nearer its last layer" in remedy)


def older(teacher: HostileTeacher) -> Service:
    """The service of a version that had no samples."""
    older = SimpleNamespace(DescribeTeacher=teacher.DescribeTeacher)
    return Service(pb.DESCRIPTOR.services_by_name["TeacherService"], older)


async def test_of_a_teacher_that_shows_no_sample_nothing_can_be_told(scene):
    server = await scene.town.serve(older(adder(scene.town)))
    told = await scene.student.foretell(DOMAIN, teachers=[server.address], timeout_s=60)
    [its] = told.foretold
    assert (its.outlook, its.reason) == (None, Reason.PROTOCOL)
    assert "UNIMPLEMENTED" in its.detail


class Boaster(HostileTeacher):
    """A teacher whose card tells of another model than its sample."""

    @property
    def card(self) -> AgentCard:
        model = ModelCard(
            family="gpt2", hidden_size=4096, layers=80, parameters=10**10, weights_digest="b3:0"
        )
        return replace(super().card, model=model)


async def test_a_sample_that_is_not_of_the_model_on_the_card_is_refused(scene):
    boaster = Boaster(AgentId("adder"), scene.town.signer("adder"))
    server = await scene.town.serve(boaster.service)
    told = await scene.student.foretell(DOMAIN, teachers=[server.address], timeout_s=60)
    [its] = told.foretold
    assert (its.outlook, its.reason) == (None, Reason.BAD_SHAPE)
    assert "expected a sample of width 4096 from 80 layers" in its.detail


@pytest.mark.parametrize("per_level", [1, 100, 200])
async def test_what_is_tried_beforehand_is_not_what_verification_asks(per_level):
    domain = domains.get(DOMAIN)
    held = draw_probes(domain, seed=1, per_level=per_level)
    probes = tried(domain, held)
    kept = {item.question for item in held.items}
    for level in domain.levels:
        questions = {item.question for item in probes.at(level)}
        assert len(questions) == TRIED
        exhausted = len(held.at(level)) < per_level  # there are no other questions
        assert questions <= kept if exhausted else not questions & kept


async def test_what_was_foretold_survives_its_message():
    outlook = OutlookView(before=0.25, recognised=0.5, depth=0.75, steadiness=1.0, gain=0.125)
    view = Foretelling(
        (
            Foretold(teacher="a:1", agent="a", outlook=outlook, reason=None, detail=""),
            Foretold(teacher="b:1", agent="", outlook=None, reason=Reason.UNPROMISING, detail="so"),
        ),
        0.5,
    )
    assert views.foretelling_from_wire(views.foretelling_to_wire(view)) == view
