"""The Python client of the README, as it stands there, against a real student."""

from pathlib import Path

import pytest

from tests.simulator import DOMAIN, STUDENT, Town, adder

SNIPPET = """\
import asyncio

from m2kt_agents.client import PeerClient


async def teach(student: str, *teachers: str) -> str | None:
    async with PeerClient(student) as peer:
        transfer = await peer.learn("arith.mod7", teachers=teachers, timeout_s=10)
        async for event in peer.watch(transfer, timeout_s=900):
            print(event.state, event.message)
        [answer] = await peer.answer("arith.mod7", ["2+5-1"], timeout_s=30)
        return answer.answer

asyncio.run(teach("127.0.0.1:7021", "127.0.0.1:7011", "127.0.0.1:7012"))
"""
README = Path(__file__).parent.parent.parent / "README.md"


def test_the_snippet_has_at_most_fifteen_lines_and_the_readme_has_no_other():
    assert len(SNIPPET.strip().splitlines()) <= 15
    readme = README.read_text()
    assert SNIPPET.strip() in readme or "PeerClient(" not in readme


async def test_the_snippet_teaches_a_student_and_asks_it(town: Town, capsys: pytest.CaptureFixture):
    town.trust("student", "adder")
    server = await town.serve(adder(town).service)
    student = await town.start("student", STUDENT)
    names: dict[str, object] = {}
    exec(SNIPPET.rsplit("\n\n", 1)[0], names)
    answer = await names["teach"](student.address, server.address)
    assert "COMMITTED" in capsys.readouterr().out
    assert answer is None or answer in "0123456"
    assert DOMAIN in SNIPPET
