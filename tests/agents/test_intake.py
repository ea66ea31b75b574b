"""A stream is taken as it comes: one chunk is checked while the next one is on its way."""

import asyncio

import pytest

from m2kt.errors import ChunkError, PeerUnavailableError, ProtocolError, UnknownKeyError
from m2kt.identity import AgentId
from m2kt_agents.intake import Intake
from m2kt_agents.parts import Chunk
from tests.simulator import DOMAIN, STUDENT, HostileTeacher, Town, adder, until

NONCE = bytes(32)


@pytest.fixture
async def student(tmp_path):
    """A student's resources; it trusts `adder`."""
    async with Town(tmp_path) as town:
        town.trust("student", "adder")
        running = await town.start("student", STUDENT)
        yield town, running.agent._resources


def intake_of(student) -> tuple[Intake, HostileTeacher]:
    town, resources = student
    teacher = adder(town)
    intake = Intake(resources, DOMAIN, NONCE)
    intake.admit(teacher.sealed(resources.credentials.agent, NONCE))
    return intake, teacher


async def sent(chunks, end: Exception | None = None):
    for chunk in chunks:
        yield chunk
    if end is not None:
        raise end


async def test_all_chunks_that_came_before_a_stream_broke_are_taken(student):
    intake, teacher = intake_of(student)
    first = teacher.chunks()[:2]
    with pytest.raises(PeerUnavailableError):
        await intake.take(sent(first, PeerUnavailableError("gone")))
    assert intake.next_chunk == 2
    await intake.take(sent(teacher.chunks(2)))
    payload = await intake.finish()
    assert payload.content_digest == teacher.encoded.content_digest
    assert payload.payload == teacher.encoded.payload


async def test_a_wrong_last_chunk_counts_more_than_the_stream_that_broke_after_it(student):
    intake, teacher = intake_of(student)
    good, bad = teacher.chunks()[:2]
    altered = Chunk(bad.index, bytes(len(bad.data)))
    with pytest.raises(ChunkError):
        await intake.take(sent([good, altered], PeerUnavailableError("gone")))
    assert intake.next_chunk == 1


async def test_nothing_is_taken_after_a_wrong_chunk(student):
    intake, teacher = intake_of(student)
    asked = []

    async def chunks():
        for chunk in [Chunk(0, b"wrong"), *teacher.chunks()]:
            asked.append(chunk.index)
            yield chunk

    with pytest.raises(ChunkError):
        await intake.take(chunks())
    assert len(asked) <= 2
    assert intake.next_chunk == 0


async def test_a_chunk_before_the_manifest_is_a_breach_of_the_protocol(student):
    _, resources = student
    with pytest.raises(ProtocolError):
        await Intake(resources, DOMAIN, NONCE).take(sent([Chunk(0, b"x")]))


async def test_who_is_cancelled_leaves_a_file_of_whole_chunks(student):
    intake, teacher = intake_of(student)

    async def chunks():
        for chunk in teacher.chunks()[:3]:
            yield chunk
        await asyncio.Event().wait()

    taking = asyncio.create_task(intake.take(chunks()))
    await until(lambda: intake.next_chunk >= 2)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert intake._part.stat().st_size == intake.next_chunk * teacher.chunk_bytes
    await intake.take(sent(teacher.chunks(intake.next_chunk)))
    assert (await intake.finish()).content_digest == teacher.encoded.content_digest


async def test_a_packet_of_another_agent_than_the_one_that_was_asked_is_refused(student):
    town, resources = student
    manifest = adder(town).sealed(resources.credentials.agent, NONCE)
    Intake(resources, DOMAIN, NONCE, teacher=AgentId("adder")).admit(manifest)
    with pytest.raises(UnknownKeyError, match="its own packets"):
        Intake(resources, DOMAIN, NONCE, teacher=AgentId("another")).admit(manifest)
