"""A student learns a second domain: what it could before, it can as before, to the letter."""

import pytest

from m2kt.progress import TransferState
from m2kt.verdict import Exam
from m2kt_agents.client import PeerClient
from tests.simulator import DOMAIN, EXTRACT, PATIENT, Town, adder, ended, taught

pytestmark = pytest.mark.asyncio
OTHER = "arith.mod10"
TEACHER = {
    "role": "teacher",
    "model": {"name": "mod10", "threads": 1},
    "domains": [OTHER],
    "extract": EXTRACT,
}


async def examined(student: PeerClient, domain: str) -> Exam:
    """How the student does in an exam that is always the same."""
    return (await student.examine(domain, per_level=4, seed=3, timeout_s=60)).exam


async def test_a_domain_costs_those_learnt_before_nothing(tmp_path):
    async with Town(tmp_path) as town:
        town.trust("student", "adder", "teacher")
        town.trust("teacher", "student")
        first = await town.serve(adder(town).service)
        second = await town.start("teacher", TEACHER)
        agent = await town.start("student", {**PATIENT, "domains": [DOMAIN, OTHER]})
        student = town.peer(agent.address)
        strange = await examined(student, OTHER)
        view, _ = await taught(student, first.address)
        assert view.state is TransferState.COMMITTED
        before = await examined(student, DOMAIN)
        assert await examined(student, OTHER) == strange  # asked in another domain, it is itself

        transfer = await student.learn(OTHER, teachers=[second.address], timeout_s=5)
        view, _ = await ended(student, transfer)
        assert view.state is TransferState.COMMITTED
        _, head = await student.describe_student(timeout_s=5)
        assert set(head.skills) == {DOMAIN, OTHER}
        assert await examined(student, DOMAIN) == before
        assert (await examined(student, OTHER)).mean > strange.mean
