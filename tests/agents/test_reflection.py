"""Tools of others: a health probe, a list of services, and a client that has none of our code."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from m2kt.wire import cards
from tests.simulator import DOMAIN, STUDENT, Town, adder

pytestmark = pytest.mark.slow
STRANGER = Path(__file__).parent.parent / "stranger.py"


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What the stranger found, and the transfer as the student's own client sees it."""
    return asyncio.run(scene(tmp_path_factory.mktemp("town")))


async def scene(folder: Path):
    async with Town(folder) as town:
        town.trust("student", "adder")
        server = await town.serve(adder(town).service)
        agent = await town.start("student", STUDENT)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", str(STRANGER), agent.address, server.address),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        found = json.loads(out)
        return found, await town.peer(agent.address).transfer(found["transfer"], timeout_s=5)


def test_a_health_probe_is_told_of_the_server_of_a_service_and_of_one_that_there_is_none(told):
    found, _ = told
    assert found["health"] == {
        "": "SERVING",
        "m2kt.wire.v1.StudentService": "SERVING",
        "no.such.Service": "NOT_FOUND",
    }


def test_reflection_lists_what_is_served(told):
    found, _ = told
    assert found["services"] == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "m2kt.wire.v1.StudentService",
    ]


def test_a_client_made_of_reflection_alone_completes_a_learn(told):
    found, _ = told
    assert found["ours"] == []
    assert found["state"] == "TRANSFER_STATE_COMMITTED"
    numbers, states = zip(*found["events"], strict=True)
    assert numbers == tuple(range(1, len(numbers) + 1))
    assert list(dict.fromkeys(state.removeprefix("TRANSFER_STATE_") for state in states)) == [
        "OFFERED",
        "AUTHENTICATED",
        "SCREENED",
        "ALIGNING",
        "VERIFYING",
        "COMMITTED",
    ]


def test_it_reads_in_the_signed_receipt_what_we_read(told):
    found, view = told
    ours = cards.receipt_from_bytes(view.receipt.payload)
    assert found["receipt"] == {
        "transfer": found["transfer"],
        "student": "student",
        "domain": DOMAIN,
        "packets": list(ours.packets),
        "teachers": ["adder"],
        "outcome": "accepted",
        "gain": ours.verdict.evidence.gain,
        "labels": 0,
        "traces": ours.meter.traces,
        "head_before": found["heads"][0],
        "head_after": found["heads"][1],
    }
    assert found["receipt"]["gain"] > 0
    assert found["receipt"]["traces"] > 0
    assert found["heads"][0] != found["heads"][1]
