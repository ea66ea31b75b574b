"""Threat: a peer that sends a byte now and then, and so holds a stream for ever."""

import asyncio

from m2kt.identity import AgentId
from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt.verdict import Rejected
from tests.simulator import STUDENT, HostileTeacher, Town, packet_by, taught

HASTY = {**STUDENT, "limits": {**STUDENT["limits"], "stall_s": 0.3, "min_bytes_per_s": 100_000}}


class Dripping(HostileTeacher):
    """Sends four kibibytes a second."""

    async def StreamPacket(self, request, context):  # noqa: N802 - the name in the proto
        async for part in super().StreamPacket(request, context):
            yield part
            await asyncio.sleep(1.0)


async def test_a_teacher_that_drips_is_given_up(tmp_path):
    async with Town(tmp_path) as town:
        town.trust("student", "teacher")
        student = town.peer((await town.start("student", HASTY)).address)
        packet = packet_by("mod7-addsub", "+-", "teacher")
        teacher = Dripping(AgentId("teacher"), town.signer("teacher"), packet=packet)
        server = await town.serve(teacher.service)
        view, _ = await taught(student, server.address)
        assert view.state is TransferState.FAILED
        assert isinstance(view.verdict, Rejected)
        assert view.verdict.reasons == (Reason.DEADLINE,)
        assert "bytes a second" in view.verdict.details[0]  # and not the deadline of all of it
