"""A student whose disk is a real one, and full: run in a mount namespace of its own.

    unshare -Urm python -m tests.small_disk FOLDER

Mounts a small tmpfs at FOLDER, fills it while a packet comes, and makes room again. Exits with 0
if all is as it should be. (It cannot be made read-only: the student has files open for writing.)
"""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from m2kt.digest import digest_of
from m2kt.errors import StoreError
from m2kt.reasons import Reason
from m2kt_agents.intake import Intake
from tests.pupils import Class, school, teacher_of
from tests.simulator import DOMAIN, Town

MEBIBYTES = 4
NONCE = bytes(32)


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def fill(folder: Path, left: int) -> Path:
    """Fills the disk but for `left` bytes."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            file.truncate(max(0, filler.stat().st_size - left))
    return filler


def kept(folder: Path) -> dict[str, str]:
    files = (path for path in (folder / "student" / "store").rglob("*") if path.is_file())
    return {path.name: digest_of(path.read_bytes()) for path in files}


async def intake_of(its: Class, seed: int) -> bytes:
    """Takes a whole packet in: its payload."""
    resources, teacher = its.agent.agent._resources, teacher_of(its.town, "a", seed)
    intake = Intake(resources, DOMAIN, NONCE)
    try:
        intake.admit(teacher.sealed(resources.credentials.agent, NONCE))
        for chunk in teacher.chunks():
            intake.accept(chunk)
        return bytes((await intake.finish()).payload)
    finally:
        intake.close()


async def require_refused(its: Class, found: str) -> None:
    """A packet is refused for what the disk says, and nothing has changed."""
    folder, head = its.town.folder, await its.head()
    before = kept(folder)
    with pytest.raises(StoreError, match=rf"expected .*found .*{found}.*; \w+") as caught:
        await intake_of(its, 1)
    assert caught.value.reason is Reason.STORAGE
    after = kept(folder)
    assert {name: after.get(name) for name in before} == before
    assert await its.head() == head


async def live(folder: Path) -> None:
    async with Town(folder) as town:
        its = await school(town)
        await its.learns(teacher_of(town, "b", 2))
        length = len(teacher_of(town, "a", 1).encoded.payload)
        for left in (0, length // 2, length):
            filler = fill(folder, left)
            await require_refused(its, "No space left|is full|disk I/O error")
            filler.unlink()
            assert await intake_of(its, 1 + left) == teacher_of(town, "a", 1 + left).encoded.payload
        await its.learns(teacher_of(town, "c", 3))
        done = await its.student.unlearn(key=town.signer("c").key_id, timeout_s=5)
        assert done.moved


def main() -> None:
    folder = Path(sys.argv[1])
    mount("-t", "tmpfs", "-o", f"size={MEBIBYTES}m", "tmpfs", str(folder))
    asyncio.run(live(folder))


if __name__ == "__main__":
    main()
