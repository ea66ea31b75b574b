"""A domain that is written in one file, in the form of its README, is taught by agent to agent."""

import pytest

from m2kt.progress import TransferState
from tests.simulator import Town, ended

NAME = "own.products"
HEAD = f'name = "{NAME}"\nsymbols = "0123456"\n[[operations]]\nsign = "*"\n'
TABLE = [f'"{"".join(str(a * b % 7) for b in range(7))}"' for a in range(7)]
COMMON = {"domains": [NAME], "domain_files": ["own.toml"]}
EXAM = {"per_level": 25, "seed": 5, "timeout_s": 120.0}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.asyncio
async def test_a_domain_in_one_file_transfers(tmp_path):
    (tmp_path / "own.toml").write_text(f"{HEAD}table = [{', '.join(TABLE)}]\n")
    async with Town(tmp_path) as town:
        town.trust("pupil", "teacher")
        knows = {"name": "mod7-mul", "threads": 1}
        teacher = await town.start("teacher", {"role": "teacher", "model": knows, **COMMON})
        learns = {"name": "symbols-student", "threads": 1}
        student = await town.start("pupil", {"role": "student", "model": learns, **COMMON})
        pupil = town.peer(student.address)
        before = await pupil.examine(NAME, **EXAM)
        transfer = await pupil.learn(NAME, teachers=[teacher.address], timeout_s=5.0)
        view, _ = await ended(pupil, transfer, 400.0)
        assert view.state is TransferState.COMMITTED
        after = await pupil.examine(NAME, **EXAM)
    for level in (2, 3, 4):
        assert after.exam.accuracy[level] > 0.8 > 0.5 > before.exam.accuracy[level]
