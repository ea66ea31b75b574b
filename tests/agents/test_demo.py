"""The whole demo with a student that learns in seconds, its agents in this process."""

import json
from dataclasses import replace

import pytest
import pytest_asyncio

from m2kt_agents.cast import cast
from m2kt_agents.demo import Demo, finished
from m2kt_agents.gauge import Gauge
from m2kt_agents.launching import RunningAgent, start_agent
from m2kt_agents.settings import Settings
from tests.simulator import STUDENT

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
PER_LEVEL = 8


class House:
    """Starts agents in this process."""

    def __init__(self) -> None:
        self.running: list[RunningAgent] = []

    async def start(self, settings: Settings, *, broker: str) -> str:
        agent = await start_agent(replace(settings, broker=broker))
        self.running.append(agent)
        return agent.address


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(tmp_path_factory):
    """The record of one performance, and the folder that it wrote to."""
    out, house = tmp_path_factory.mktemp("demo"), House()
    (out / "agents").mkdir()
    people = cast(out / "agents", STUDENT)
    with Gauge() as gauge:
        record = await Demo(people, house, gauge, per_level=PER_LEVEL, shots=0).play()
        for agent in reversed(house.running):
            await agent.drain(0.2)
        return finished(record | {"quick": True}, gauge, out), out


async def test_the_record_is_what_was_written(played):
    record, out = played
    assert json.loads((out / "demo.json").read_text()) == record
    assert "<svg" in (out / "demo.html").read_text()


async def test_the_record_has_all_that_was_promised(played):
    record, _ = played
    for part in ("before", "after"):
        assert set(record["student"][part]) == {"1", "2", "3", "4"}
    assert [set(teacher["accuracy"]) for teacher in record["teachers"]] == [{*"1234"}, {*"1234"}]
    assert set(record["meter"]) >= {
        *("labels", "logits", "traces", "trace_tokens", "bytes", "teacher_passes")
    }
    assert record["meter"]["labels"] == record["meter"]["logits"] == 0
    assert record["seconds"]["total"] >= sum(record["seconds"].values()) / 2
    assert record["peak_rss_mib"] > 0
    assert record["losses"]


async def test_both_teachers_are_on_the_receipt(played):
    record, _ = played
    assert sorted(record["receipt"]["teachers"]) == ["adder", "multiplier"]
    assert record["receipt"]["verdict"] == "accepted"
    packets = {teacher["packet"]["packet_id"] for teacher in record["teachers"]}
    assert not packets & set(record["receipt"]["packets"]), "each student gets its own manifest"


async def test_the_student_improved_and_neither_teacher_does_mixed_chains(played):
    record, _ = played
    student = record["student"]
    assert sum(student["after"].values()) > sum(student["before"].values())
    assert all(
        sum(t["mixed"].values()) < sum(student["mixed"].values()) for t in record["teachers"]
    )


async def test_the_liar_is_declined_and_nothing_moves(played):
    poisoned = played[0]["poisoned"]
    assert (poisoned["verdict"], poisoned["head_moved"]) == ("rejected", False)
    assert poisoned["reasons"]
    assert poisoned["answers_identical"]
    assert poisoned["answers_compared"] > 0


async def test_the_tampered_stream_is_refused_before_it_is_parsed(played):
    tampered = played[0]["tampered"]
    assert tampered["refused_before_parse"]
    assert "CHUNK_MISMATCH" in tampered["reasons"]
    assert tampered["flipped"].startswith("bit")
    assert not tampered["head_moved"]


async def test_claims_name_what_did_not_hold(played):
    claims = played[0]["acceptance"]
    assert claims["HEAD stayed where it was"]
    assert claims["no label and no logit was used"]
    assert claims["the student answers at least 95 % after"] == (
        sum(played[0]["student"]["after"].values()) / 4 >= 0.95
    )
