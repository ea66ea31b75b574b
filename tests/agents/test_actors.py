"""Agents on Ray: a student whose model works in a child actor learns from a teacher."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import pytest_asyncio

from m2kt.digest import content_digest_of, digest_of
from m2kt.errors import (
    CompatibilityError,
    DomainError,
    M2KTError,
    PacketError,
    PeerUnavailableError,
    RequestError,
)
from m2kt.journal import Journal
from m2kt.progress import TransferState
from m2kt.verdict import Exam
from m2kt.wire import cards
from m2kt_agents import actors
from m2kt_agents.client import PeerClient
from m2kt_agents.learner import ExamPaper
from m2kt_agents.settings import ModelSettings, settings_from
from tests.simulator import ALIGN, DOMAIN, STUDENT, TEACHER, Town, adder, taught

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),  # ten processes that import torch, on two cores
]


@pytest.fixture(scope="session")
def ray_runtime():
    actors.start_local_ray(cpus=2)
    actors.start_local_ray(cpus=2)  # a second call changes nothing
    yield
    actors.stop_local_ray()


@pytest_asyncio.fixture(loop_scope="module")
async def town(tmp_path, ray_runtime):
    async with Town(tmp_path) as town:
        yield town


def settings(town: Town, name: str, table, **changes):
    town.signer(name)
    full = {"name": name, "domains": [DOMAIN], "data_dir": name, **table, **changes}
    return settings_from(full, base=town.folder, environ={})


async def test_a_student_on_ray_learns_answers_and_is_stopped(town: Town):
    town.trust("student", "adder")
    server = await town.serve(adder(town).service)
    student = await actors.launch(settings(town, "student", STUDENT, executor="ray"))
    async with PeerClient(student.address) as peer:
        view, events = await taught(peer, server.address, timeout_s=100)
        assert view.state is TransferState.COMMITTED
        assert any("loss_reason" in event.figures for event in events)
        assert len(await peer.answer(DOMAIN, ["1+2"], timeout_s=30)) == 1
        with pytest.raises(PacketError) as caught:
            await peer.answer(DOMAIN, ["not a question"], timeout_s=30)
        assert "ray::" not in str(caught.value)
        await actors.stop(student, grace_s=1.0)
        with pytest.raises(PeerUnavailableError):
            await peer.describe_student(timeout_s=5)


async def test_on_one_node_of_ray_a_packet_is_lent_through_the_object_store(town: Town):
    town.trust("student", "teacher")
    teacher = await actors.launch(settings(town, "teacher", TEACHER))
    student = await actors.launch(settings(town, "student", STUDENT))
    async with PeerClient(student.address) as peer:
        view, _ = await taught(peer, teacher.address, timeout_s=100)
        assert view.state is TransferState.COMMITTED
    [payload] = (town.folder / "teacher" / "payloads").iterdir()
    [lent] = await teacher.actor.lent.remote(content_digest_of(payload.read_bytes()))
    assert bytes(memoryview(await lent)) == payload.read_bytes()
    assert await teacher.actor.lent.remote(digest_of(b"")) == []
    for agent in (student, teacher):
        await actors.stop(agent, grace_s=0.5)


async def test_agents_of_all_roles_are_launched_and_found(town: Town):
    broker = await actors.launch(settings(town, "broker", {"role": "broker"}))
    table = {**TEACHER, "broker": broker.address, "extract": {"traces_per_level": 2}}
    teacher = await actors.launch(settings(town, "teacher", table))
    packet = await teacher.call("publish", broker.address, DOMAIN, timeout_s=60)
    assert packet.startswith("b3:")
    async with PeerClient(teacher.address) as peer:
        assert (await peer.describe_teacher(timeout_s=5)).agent == "teacher"
    await asyncio.gather(actors.stop(teacher), actors.stop(broker))


async def test_an_agent_that_cannot_start_says_why(town: Town):
    nowhere = settings(town, "teacher", TEACHER, model={"name": str(town.folder / "no model")})
    with pytest.raises(CompatibilityError, match="no model"):
        await actors.launch(nowhere)
    badly = settings(town, "broker", {"role": "broker"}, listen="127.0.0.1:nowhere")
    with pytest.raises(RequestError, match="listen"):
        await actors.launch(badly)


async def test_what_runs_in_the_actors_is_plain_and_runs_without_ray_too(tmp_path):
    async with Town(tmp_path) as town:
        worker = actors.Worker(settings(town, "student", STUDENT))
        assert worker.call("card", ()).family == "gpt2"
        with pytest.raises(AttributeError):
            next(worker.stream("learn", (None,)))
        broker = actors.Agent(settings(town, "broker", {"role": "broker"}))
        with pytest.raises(PeerUnavailableError):
            await broker.call("watch", (), {})
        await broker.drain(0.1)  # not started: nothing to end
        address = await broker.start()
        async with PeerClient(address) as peer:
            assert await peer.healthy(timeout_s=5)
        await broker.drain(0.1)


async def test_actors_get_as_much_of_a_busy_machine_as_others(ray_runtime):
    asked = actors.ray.remote(num_cpus=0)(lambda: os.nice(0))
    assert await asked.remote() == os.nice(0)


async def test_a_share_of_a_gpu_is_asked_for_where_there_is_one(ray_runtime):
    share = actors.ray.cluster_resources().get("GPU", 0) and actors.GPU_SHARE
    assert actors.gpu_share(ModelSettings(device="auto")) == share
    assert actors.gpu_share(ModelSettings(device="cpu")) == 0
    assert actors.gpu_share(ModelSettings(gpus=0.5)) == 0.5


async def test_a_worker_in_a_process_of_its_own_is_called_and_comes_back_when_it_was_killed(
    town: Town,
):
    host = actors.RayHost(settings(town, "student", STUDENT))
    card = await host.call("card")
    assert card.family == "gpt2"
    paper = ExamPaper(domain=DOMAIN, per_level=1, seed=1)
    questions, exam = await host.call("examine", paper, None)
    assert len(questions) == 4
    assert isinstance(exam, Exam)
    with pytest.raises(DomainError, match="alchemy"):
        await host.call("answer", "alchemy", ("1+1",), None)
    with pytest.raises(M2KTError, match="AttributeError"):
        await host.call("no_such_method")
    with pytest.raises(M2KTError, match="AttributeError"):
        await anext(host.stream("learn", None))
    actors.ray.kill(host._actor, no_restart=False)
    async with asyncio.timeout(60):
        while True:
            try:
                assert await host.call("card") == card
                break
            except M2KTError:
                await asyncio.sleep(0.2)
    await host.close()
    async with asyncio.timeout(60):
        with pytest.raises(M2KTError, match="gone"):  # noqa: PT012  # one call or some
            while True:  # until it is: what was asked a moment before may still be answered
                await host.call("card")


async def launched(town: Town, names: list[str], table, **changes) -> list[actors.Launched]:
    """Agents of one kind, started together."""
    return await asyncio.gather(
        *(actors.launch(settings(town, name, table, **changes)) for name in names)
    )


async def stopped(*agents: actors.Launched) -> None:
    await asyncio.gather(*(actors.stop(agent, grace_s=0.5) for agent in agents))


CROWD = [f"a{i}" for i in range(10)]


async def test_one_student_learns_from_ten_teachers(town: Town):
    town.trust("student", *CROWD)
    limits = {"limits": {"fetch_s": 90.0, "streams": 4, "quorum": 10}}
    teachers = await launched(town, CROWD, TEACHER, extract={"traces_per_level": 2})
    [student] = await launched(town, ["student"], STUDENT, **limits)
    async with PeerClient(student.address) as peer:
        addresses = [teacher.address for teacher in teachers]
        view, events = await taught(peer, *addresses, timeout_s=100)
    await stopped(student, *teachers)
    assert view.state in (TransferState.COMMITTED, TransferState.REJECTED)
    assert view.verdict.evidence is not None, "a lesson was learnt and examined"
    assert set(view.teachers) == set(CROWD)
    assert any(event.message.startswith("used 10 of 10 sources") for event in events)


async def test_ten_students_learn_from_one_teacher(town: Town):
    town.trust("teacher", *CROWD)
    for name in CROWD:
        town.trust(name, "teacher")
    [teacher] = await launched(town, ["teacher"], TEACHER, extract={"traces_per_level": 2})
    quick = {"align": {**ALIGN, "readout_steps": 4, "steps": 4}, "verify": {"probes_per_level": 4}}
    students = await launched(town, CROWD, STUDENT, limits={"fetch_s": 90.0}, **quick)

    async def lesson(student: actors.Launched) -> TransferState:
        async with PeerClient(student.address) as peer:
            view, _ = await taught(peer, teacher.address, timeout_s=100)
            assert view.teachers == ("teacher",)
            return view.state

    states = await asyncio.gather(*map(lesson, students))
    await stopped(teacher, *students)
    assert set(states) <= {TransferState.COMMITTED, TransferState.REJECTED}
    with Journal(town.folder / "teacher" / "journal.sqlite") as journal:
        receipts = [cards.envelope_from_bytes(raw) for raw in journal.receipts()]
    told = {cards.receipt_from_bytes(envelope.payload).student for envelope in receipts}
    assert told == set(CROWD)


async def test_agents_land_on_the_nodes_that_have_what_they_ask_for(tmp_path):
    command = [sys.executable, "-m", "tests.two_nodes", str(tmp_path)]
    root = Path(__file__).parents[2]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=root, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told["placed"] == {"desk": ["Agent"], "gpu_box": ["Agent", "Worker"]}
    assert told["state"] == "COMMITTED"
    assert "expected a node of Ray with {'moon': 1}, found 3 nodes" in told["refused"]
