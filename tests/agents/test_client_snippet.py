"""The Python client of the README, as it stands there, against a real student."""

import asyncio
import re
from pathlib import Path

import pytest

from m2kt import domains
from tests.simulator import DOMAIN, PATIENT, Town, adder

README = Path(__file__).parents[2] / "README.md"
QUESTION = "2+5-1"


def snippet() -> str:
    """The README's only block of Python."""
    [found] = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    return found


def test_the_readme_holds_a_client_of_at_most_fifteen_lines():
    assert len(snippet().strip().splitlines()) <= 15
    assert "PeerClient(" in snippet()
    assert f'"{QUESTION}"' in snippet()


@pytest.mark.slow
async def test_the_client_of_the_readme_teaches_a_student_what_it_did_not_know(
    town: Town, capsys: pytest.CaptureFixture
):
    town.trust("student", "adder")
    teacher = await town.serve(adder(town).service)
    student = await town.start("student", PATIENT)
    right = domains.get(DOMAIN).solve(QUESTION).answer
    [before] = await town.peer(student.address).answer(DOMAIN, [QUESTION], timeout_s=30)
    assert before.answer != right

    code = snippet()
    for written, served in {"7021": student.address, "7011": teacher.address}.items():
        assert f'"127.0.0.1:{written}"' in code
        code = code.replace(f"127.0.0.1:{written}", served)
    await asyncio.to_thread(exec, code, {})  # with a loop of its own, as in a program
    *events, answer = capsys.readouterr().out.splitlines()
    assert any(line.startswith("COMMITTED ") for line in events)
    assert answer == right
