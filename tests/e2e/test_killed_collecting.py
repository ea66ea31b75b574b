"""A student that is killed while it collects downloads no chunk twice that it had verified."""

import asyncio
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from m2kt.identity import BROADCAST, AgentId, TransferId
from m2kt.journal import Journal
from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt.registry import PacketHeader
from m2kt.wire import cards
from m2kt.wire.admission import packet_id_of
from m2kt_agents.broker_client import BrokerClient
from m2kt_agents.client import PeerClient
from m2kt_agents.faultbench.mortal import Life
from tests.crowd import Dawdler
from tests.simulator import DOMAIN, PATIENT, STUDENT, Town, adder, ended, packet_by, until

pytestmark = pytest.mark.slow
KILLED = -signal.SIGKILL
COUNT = 10
TABLE = {
    **STUDENT,
    "name": "student",
    "domains": [DOMAIN],
    "data_dir": "student",
    "align": PATIENT["align"],
    "limits": {**STUDENT["limits"], "streams": COUNT, "quorum": COUNT, "fetch_s": 60.0},
}
ALONE = {**TABLE, "limits": STUDENT["limits"]}


@pytest.fixture
async def town(tmp_path: Path):
    async with Town(tmp_path) as town:
        town.signer("student")
        yield town


async def teachers_of(town: Town) -> tuple[list[Dawdler], list[str]]:
    """Teachers of + and -: the first sends all, every other one waits before a later chunk."""
    found, addresses = [], []
    for i in range(COUNT):
        town.trust("student", name := f"t{i}")
        packet = packet_by("mod7-addsub", "+-", "adder")
        about = replace(packet.provenance, teacher=AgentId(name))
        teacher = Dawdler(
            AgentId(name),
            town.signer(name),
            packet=replace(packet, provenance=about),
            chunk_bytes=4096,
            hold_before=i or None,
        )
        found.append(teacher)
        addresses.append((await town.serve(teacher.service)).address)
    return found, addresses


def spooled(town: Town) -> list[int]:
    """Whole chunks in each of the spool's files, fewest first."""
    parts = (town.folder / "student" / "spool").glob("*.part")
    return sorted(part.stat().st_size // 4096 for part in parts)


def collected(town: Town, transfer: TransferId) -> list[str]:
    """The sources whose packets are sealed and noted."""
    with Journal(town.folder / "student" / "journal.sqlite") as journal:
        return list(journal.collected(transfer))


async def test_ten_streams_that_were_killed_go_on_at_their_first_missing_chunk(town: Town):
    teachers, addresses = await teachers_of(town)
    count = len(teachers[0].encoded.chunk_digests)
    assert count > COUNT + 1
    come = count + sum(range(1, COUNT))
    async with Life(town.folder, TABLE, f"{come + 1} chunks have come") as life:
        async with PeerClient(await life.address()) as student:
            transfer = await student.learn(DOMAIN, teachers=addresses, timeout_s=10)
        await until(lambda: spooled(town) == list(range(1, COUNT)), timeout_s=30)
        await until(lambda: collected(town, transfer) == [addresses[0]])
        teachers[1].go_on.set()
        assert await life.death() == KILLED
    verified = [count, 2, *range(2, COUNT)]  # of the second teacher one more had come
    assert spooled(town) == sorted(verified[1:])
    for teacher in teachers:
        teacher.go_on.set()
    async with Life(town.folder, TABLE) as life, PeerClient(await life.address()) as student:
        view, _ = await ended(student, transfer)
    assert view.state is TransferState.COMMITTED
    assert set(view.teachers) == {teacher.agent for teacher in teachers}
    assert teachers[0].streams == [list(range(count))]
    for teacher, first in zip(teachers[1:], verified[1:], strict=True):
        assert teacher.streams[-1] == list(range(first, count))
    assert [len(teacher.asked) for teacher in teachers] == [1] + [2] * (COUNT - 1)
    assert not list((town.folder / "student" / "spool").iterdir())


async def test_a_student_that_is_killed_again_and_again_comes_to_the_end(town: Town):
    teachers, addresses = await teachers_of(town)
    count = len(teachers[0].encoded.chunk_digests)
    for teacher in teachers:
        teacher.go_on.set()
    transfer = TransferId("")
    lives = 0
    for _ in range(COUNT * count // 600):
        async with Life(town.folder, TABLE, "600 chunks have come") as life:
            async with PeerClient(await life.address()) as student:
                transfer = await student.learn(DOMAIN, teachers=addresses, key="once", timeout_s=10)
            assert await life.death() == KILLED
            lives += 1
    assert lives > 1
    async with Life(town.folder, TABLE) as life, PeerClient(await life.address()) as student:
        view, _ = await ended(student, transfer)
    assert view.state is TransferState.COMMITTED


@pytest.mark.parametrize(
    "point",
    ["a chunk has come", "the packet is sealed", "the packet is noted with its source"],
)
async def test_a_packet_that_a_broker_keeps_is_no_replay_of_itself(town: Town, point):
    town.trust("student", "adder")
    teacher = adder(town)
    broker = await town.start("broker", {"role": "broker"})
    envelope = teacher.sealed(BROADCAST, b"")
    header = PacketHeader(
        packet_id=packet_id_of(envelope.payload),
        teacher=teacher.agent,
        audience=BROADCAST,
        domain=DOMAIN,
        expires_at_s=time.time() + 600,
        payload_bytes=len(teacher.encoded.payload),
    )
    async with BrokerClient(broker.address) as client:
        await client.publish(header, envelope, teacher.chunks(), timeout_s=5)
    async with Life(town.folder, ALONE, point) as life:
        async with PeerClient(await life.address()) as student:
            transfer = await student.learn(DOMAIN, broker=broker.address, timeout_s=10)
        assert await life.death() == KILLED
    async with Life(town.folder, ALONE) as life, PeerClient(await life.address()) as student:
        view, _ = await ended(student, transfer)
    assert view.state is TransferState.COMMITTED
    assert cards.receipt_from_bytes(view.receipt.payload).packets == (header.packet_id,)


async def test_what_a_key_signed_that_is_revoked_meanwhile_is_not_learnt_from(town: Town):
    teachers, addresses = await teachers_of(town)
    async with Life(town.folder, ALONE, "the packet is noted with its source") as life:
        async with PeerClient(await life.address()) as student:
            transfer = await student.learn(DOMAIN, teachers=addresses[:1], timeout_s=10)
        assert await life.death() == KILLED
    key = teachers[0].signer.key_id
    await asyncio.to_thread(town.change_trust, "student", lambda t: t.revoke(key, "stolen"))
    async with Life(town.folder, ALONE) as life, PeerClient(await life.address()) as student:
        view, _ = await ended(student, transfer)
    assert view.state is TransferState.REJECTED
    assert view.verdict.reasons == (Reason.REVOKED_KEY,)
    assert len(teachers[0].asked) == 1


async def test_a_teacher_with_other_bytes_after_the_restart_is_asked_from_the_beginning(town: Town):
    teachers, addresses = await teachers_of(town)
    async with Life(town.folder, ALONE, "5 chunks have come") as life:
        async with PeerClient(await life.address()) as student:
            transfer = await student.learn(DOMAIN, teachers=addresses[:1], timeout_s=10)
        assert await life.death() == KILLED
    teachers[0].encoded = adder(town, "t0").encoded
    teachers[0].chunk_bytes = 65536
    async with Life(town.folder, ALONE) as life, PeerClient(await life.address()) as student:
        view, _ = await ended(student, transfer)
    assert view.state is TransferState.COMMITTED
    assert [request.from_chunk for request in teachers[0].asked] == [0, 5, 0]
