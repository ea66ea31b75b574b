"""A real teacher: its packet is made once, and signed for each student, or left with a broker."""

import time
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from m2kt import errors
from m2kt.identity import AgentCard, AgentId, Role
from m2kt.meter import DataMeter
from m2kt.packet import AuthenticPayload
from m2kt.reasons import Reason
from m2kt.signing import verify_envelope
from m2kt.trust import TrustStore
from m2kt.verdict import Receipt, Rejected
from m2kt.wire import cards
from m2kt.wire.admission import Expectations
from m2kt.wire.chunks import authenticate_whole
from m2kt.wire.manifest import MANIFEST_TYPE, WireLimits, parse_manifest
from m2kt.wire.packets import parse_packet
from m2kt_agents.broker_client import BrokerClient
from m2kt_agents.client import PeerClient
from m2kt_agents.launching import RunningAgent, thread_host
from m2kt_agents.parts import Chunk
from m2kt_agents.settings import Settings
from tests.packets import signer
from tests.simulator import DOMAIN, MULTIPLIER, STUDENT, TEACHER, Town, ended, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
NONCE = b"n" * 16


@dataclass
class Class:
    """One teacher of * and its students."""

    town: Town
    teacher: RunningAgent
    peer: PeerClient

    @property
    def trust(self) -> TrustStore:
        return TrustStore().enrol(self.town.signer("teacher").key_id, AgentId("teacher"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lesson(tmp_path_factory):
    async with Town(tmp_path_factory.mktemp("class")) as town:
        town.trust("teacher", "student")
        extract = {"traces_per_level": 3, "exemplars": 4}
        table = {**TEACHER, "model": MULTIPLIER, "extract": extract}
        teacher = await town.start("teacher", table)
        yield Class(town, teacher, town.peer(teacher.address))


def student_card(name: str = "student") -> AgentCard:
    key = signer()
    return AgentCard(
        agent=AgentId(name),
        role=Role.STUDENT,
        address="",
        key_id=key.key_id,
        public_key=key.public_key,
        domains=(DOMAIN,),
        model=None,
        software="test",
    )


async def streamed(lesson: Class, name: str, *, nonce: bytes = NONCE, first: int = 0):
    parts = [
        part
        async for part in lesson.peer.stream_packet(
            DOMAIN, student_card(name), nonce, from_chunk=first, timeout_s=60
        )
    ]
    envelope, *chunks = parts
    return envelope, chunks


def authentic(lesson: Class, envelope, chunks: list[Chunk], name: str) -> AuthenticPayload:
    expected = Expectations(audience=AgentId(name), now_s=time.time(), nonce=NONCE)
    payload = b"".join(chunk.data for chunk in chunks)
    return authenticate_whole(envelope, payload, lesson.trust, expected, lambda _: False)


async def test_it_introduces_itself_with_its_model(lesson: Class):
    card = await lesson.peer.describe_teacher(timeout_s=5)
    assert (card.agent, card.role, card.address) == (
        "teacher",
        Role.TEACHER,
        lesson.teacher.address,
    )
    assert card.model is not None
    assert card.model.hidden_size == 96


async def test_its_packet_is_authentic_and_holds_what_its_model_was_trained_on(lesson: Class):
    envelope, chunks = await streamed(lesson, "student")
    packet = parse_packet(authentic(lesson, envelope, chunks, "student")).packet
    assert len(packet.concepts) == 49
    assert all("*" in concept.id for concept in packet.concepts)
    assert packet.provenance.meter.labels == packet.provenance.meter.logits == 0


async def test_it_shows_two_concepts_of_its_packet_to_whoever_asks(lesson: Class):
    sample = await lesson.peer.sample_concepts(DOMAIN, timeout_s=60)
    again = await lesson.peer.sample_concepts(DOMAIN, timeout_s=60)
    assert sample.states.equal(again.states)
    assert sample.of == 49 * 4
    assert sample.states.shape == (2, 2, 96), "1 % would be less than a concept"
    card = await lesson.peer.describe_teacher(timeout_s=5)
    assert sample.depth == card.model.layers
    packet = parse_packet(authentic(lesson, *await streamed(lesson, "student"), "student")).packet
    assert sample.layer == packet.provenance.layer
    known = {pair.numpy().tobytes() for pair in packet.exemplars[:, :2]}
    assert {pair.numpy().tobytes() for pair in sample.states} <= known


async def test_a_sample_of_a_domain_that_is_not_taught_is_refused(lesson: Class):
    with pytest.raises(errors.RequestError, match="my domains"):
        await lesson.peer.sample_concepts("arith.mod5", timeout_s=5)


async def test_with_one_exemplar_of_each_concept_there_is_a_packet_and_no_sample(lesson: Class):
    extract = {"traces_per_level": 3, "exemplars": 1}
    table = {**TEACHER, "model": MULTIPLIER, "extract": extract}
    peer = lesson.town.peer((await lesson.town.start("brief", table)).address)
    with pytest.raises(errors.CompatibilityError, match="extract with more"):
        await peer.sample_concepts(DOMAIN, timeout_s=60)
    stream = peer.stream_packet(DOMAIN, student_card(), NONCE, from_chunk=0, timeout_s=60)
    assert [part async for part in stream]


def manifest_in(lesson: Class, envelope):
    return parse_manifest(verify_envelope(envelope, lesson.trust, MANIFEST_TYPE), WireLimits())


async def test_the_payload_is_the_same_for_all_and_the_manifest_is_not(lesson: Class):
    one, chunks_of_one = await streamed(lesson, "one")
    two, chunks_of_two = await streamed(lesson, "two")
    first, second = manifest_in(lesson, one), manifest_in(lesson, two)
    assert chunks_of_one == chunks_of_two
    assert first.content_digest == second.content_digest
    assert (first.audience, second.audience) == ("one", "two")
    assert second.sequence > first.sequence


async def test_a_stream_begins_at_the_chunk_that_was_asked_for(lesson: Class):
    _, whole = await streamed(lesson, "student")
    _, rest = await streamed(lesson, "student", first=len(whole))
    assert rest == []


@pytest.mark.parametrize("nonce", [b"", b"short", b"x" * 65])
async def test_a_nonce_that_proves_nothing_is_refused(lesson: Class, nonce: bytes):
    with pytest.raises(errors.RequestError, match="nonce"):
        await streamed(lesson, "student", nonce=nonce)


async def test_a_domain_that_is_not_taught_is_refused(lesson: Class):
    stream = lesson.peer.stream_packet(
        "arith.mod5", student_card(), NONCE, from_chunk=0, timeout_s=5
    )
    with pytest.raises(errors.RequestError, match="my domains"):
        await anext(stream)


def receipt_of(lesson: Class, key) -> object:
    receipt = Receipt(
        transfer="t",
        student=AgentId("student"),
        domain=DOMAIN,
        packets=(),
        teachers=(AgentId("teacher"),),
        verdict=Rejected((Reason.NO_GAIN,)),
        head_before="b3:0",
        head_after="b3:0",
        meter=DataMeter(),
        probe_items=0,
        issued_at_s=1.0,
    )
    return cards.sign_receipt(receipt, key)


async def test_it_keeps_receipts_of_students_that_it_trusts_and_of_nobody_else(lesson: Class):
    honest = receipt_of(lesson, lesson.town.signer("student"))
    for _ in range(2):
        await lesson.peer.tell_teacher(honest, timeout_s=5)
    with pytest.raises(errors.UnknownKeyError):
        await lesson.peer.tell_teacher(receipt_of(lesson, signer(9)), timeout_s=5)
    assert lesson.teacher.agent.receipts().count(honest) == 1


async def test_it_brings_its_packet_and_leaves_it_with_a_broker(lesson: Class):
    lesson.town.trust("student", "teacher")
    wants_exemplars = {"min_exemplars": 16}
    student = await lesson.town.start("student", {**STUDENT, "screen": wants_exemplars})
    settlement = await lesson.teacher.agent.offer(student.address, DOMAIN, timeout_s=60)
    assert Reason.TOO_FEW_EXEMPLARS in settlement.verdict.reasons
    broker = await lesson.town.start("broker", {"role": "broker"})
    packet = await lesson.teacher.agent.publish(
        broker.address, DOMAIN, audience=AgentId("student"), timeout_s=60
    )
    async with BrokerClient(broker.address) as client:
        [header] = await client.list_packets(DOMAIN, AgentId("student"), timeout_s=5)
    assert header.packet_id == packet
    peer = lesson.town.peer(student.address)
    transfer = await peer.learn(DOMAIN, broker=broker.address, timeout_s=5)
    view, _ = await ended(peer, transfer)
    assert Reason.TOO_FEW_EXEMPLARS in view.verdict.reasons
    receipt = cards.receipt_from_bytes(view.receipt.payload)
    assert receipt.packets == (packet,)
    await until(lambda: broker.agent.receipts("teacher"))
    async with BrokerClient(broker.address) as client:
        assert await client.receipts(teacher="teacher", timeout_s=5) == (view.receipt,)


async def test_a_sequence_file_that_holds_no_number_is_said_so(lesson: Class):
    path = lesson.town.folder / "teacher" / "sequence"
    before = path.read_text()
    path.write_text("many")
    try:
        with pytest.raises(errors.StoreError):
            await streamed(lesson, "student")
    finally:
        path.write_text(before)


class Elsewhere:
    """A host on another machine: the file that its worker has written is not on this one."""

    def __init__(self, settings: Settings) -> None:
        self._real, self.asked = thread_host(settings), []

    async def call(self, method, *args):
        self.asked.append(method)
        found = await self._real.call(method, *args)
        if method == "lecture":
            return replace(found, file=found.file.parent / "here" / found.file.name)
        return found

    def stream(self, method, *args):
        return self._real.stream(method, *args)

    async def close(self):
        await self._real.close()


async def test_a_model_on_another_machine_has_its_payload_fetched_once(tmp_path):
    hosts = []

    def make_host(settings):
        hosts.append(Elsewhere(settings))
        return hosts[0]

    async with Town(tmp_path) as town:
        extract = {"traces_per_level": 3, "exemplars": 4}
        table = {**TEACHER, "model": MULTIPLIER, "extract": extract}
        teacher = await town.start("teacher", table, make_host=make_host)
        away = Class(town, teacher, town.peer(teacher.address))
        for name in ("one", "two"):
            envelope, chunks = await streamed(away, name)
            assert authentic(away, envelope, chunks, name).payload
    assert hosts[0].asked == ["card", "lecture", "payload"]
