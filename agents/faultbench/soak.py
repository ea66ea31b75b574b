"""Two students under faults, transfer after transfer.

One is killed, and finds its disk full, at points that are drawn; what has to hold of its folder
is checked after each transfer. The other lives through all of it, with calls that are cancelled,
and its memory is watched.

Owns: `soak`. Does not own: faults (proxy, mortal), what has to hold (invariants), claims (measure).
"""

import asyncio
import random
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Any, Final, final

import psutil

from m2kt.errors import M2KTError
from m2kt.identity import AgentId, TransferId
from m2kt.progress import Report
from m2kt.signing import Ed25519Signer
from m2kt.trust import TrustStore, save_trust

from ..client import PeerClient
from .invariants import violations
from .mortal import CHUNKS, DISK, POINTS, Life
from .pupil import DOMAIN, PATIENT
from .tally import Plan, Tally
from .teaching import ADDER, HARMFUL, MULTIPLIER, School

STUDENT: Final = AgentId("student")
TABLE: Final[Mapping[str, Any]] = {
    **PATIENT,
    "name": STUDENT,
    "domains": [DOMAIN],
    "data_dir": STUDENT,
    "limits": {"fetch_s": 20.0, "drain_s": 0.5, "stall_s": 1.0},
}
DECLINED_AT: Final = (
    "OFFERED",
    "a chunk has come",
    "the packet is sealed",
    "the packet is noted with its source",
    "AUTHENTICATED",
    "the receipt is signed",
    "the end is being noted",
    "REJECTED",
)
"""Where a student can be killed that declines a packet."""
LEARNT_AT: Final = (*POINTS, "AUTHENTICATED", "SCREENED", "ALIGNING", "VERIFYING", "COMMITTED")
"""Where one can be killed that learns from it."""
LESSONS: Final = (ADDER, *[HARMFUL] * 8, MULTIPLIER, *[HARMFUL] * 8)
"""Of one folder: two that move HEAD among many that must not."""
KILLED, FAILED_DISK, CANCELLED = "student killed", "disk error", "call cancelled"
END_S: Final = 120.0
POLL_S: Final = 0.05
SAMPLE_S: Final = 1.0

Signers = Mapping[AgentId, Ed25519Signer]


async def soak(folder: Path, plan: Plan, report: Report) -> Tally:
    """Goes on until there were enough faults and the time is up.

    Args:
        folder: For everything that students keep.
        plan: How much.
        report: Told how many faults were injected.
    """
    signers = {who: Ed25519Signer.generate() for who in (ADDER, MULTIPLIER, HARMFUL)}
    schools = [School(signers, plan.seed), School(signers, plan.seed + 1)]
    async with schools[0], schools[1]:
        tally = Tally(plan, schools)
        mortal = _Mortal(folder / "mortal", signers, schools[0], tally, report)
        lasting = _Lasting(folder / "lasting", signers, schools[1], tally, report)
        await asyncio.gather(mortal.run(), lasting.run())
    return tally


class _Course:
    """One student's transfers."""

    def __init__(
        self, folder: Path, signers: Signers, school: School, tally: Tally, report: Report
    ) -> None:
        self._folder, self._signers, self._school = folder, signers, school
        self._tally, self._report = tally, report
        self._rng = random.Random(tally.plan.seed)
        worth = (school.teachers[ADDER], school.teachers[MULTIPLIER])
        self._good = [teacher.encoded.content_digest for teacher in worth]

    def _enrol(self, folder: Path) -> None:
        """A student's folder, from nothing."""
        (folder / STUDENT).mkdir(parents=True)
        Ed25519Signer.generate().save(folder / STUDENT / "key.pem")
        trust = TrustStore()
        for who, signer in self._signers.items():
            trust = trust.enrol(signer.key_id, who)
        save_trust(folder / STUDENT / "trust.json", trust)

    async def _learns(
        self, folder: Path, student: PeerClient, teacher: AgentId, key: str = ""
    ) -> TransferId:
        """Asks the student to learn from `teacher`."""
        if not key:
            self._school.teachers[teacher].begin(folder / STUDENT / "spool")
        address = self._school.proxies[teacher].address
        return await student.learn(DOMAIN, teachers=[address], key=key, timeout_s=10.0)

    async def _end(self, student: PeerClient, transfer: TransferId, teacher: AgentId) -> None:
        """Watches a transfer to its end."""
        last = None
        async for event in student.watch(transfer, timeout_s=END_S):
            last = event
        self._tally.ended[f"{teacher}: {last.state if last else 'unknown'}"] += 1

    def _check(self, folder: Path) -> None:
        self._tally.checks += 1
        self._tally.violations += violations(folder / STUDENT, self._good)


@final
class _Mortal(_Course):
    """A student that does not live long; each folder has its own list of lessons."""

    async def run(self) -> None:
        number = 0
        while not self._tally.over(self._report):
            number += 1
            await self._folder_through(self._folder / str(number))

    async def _folder_through(self, folder: Path) -> None:
        self._enrol(folder)
        for number, teacher in enumerate(LESSONS):
            if self._tally.over(self._report):
                break
            await self._transfer(folder, teacher, f"lesson-{number}")
            await asyncio.to_thread(self._check, folder)
        shutil.rmtree(folder)

    async def _transfer(self, folder: Path, teacher: AgentId, key: str) -> None:
        """One lesson, through lives that end early to one that does not."""
        self._school.teachers[teacher].begin(folder / STUDENT / "spool")
        died_s = None
        for _ in range(self._rng.randrange(3)):
            died_s = await self._short_life(folder, teacher, key)
        async with Life(folder, TABLE) as life, PeerClient(await life.address()) as student:
            transfer = await self._learns(folder, student, teacher, key)
            if died_s is not None:
                waited_s = time.monotonic() - died_s
                self._tally.recovered_s.setdefault(KILLED, []).append(waited_s)
            await self._end(student, transfer, teacher)

    async def _short_life(self, folder: Path, teacher: AgentId, key: str) -> float | None:
        """A life with one fault, if it comes to that; when it died."""
        async with Life(folder, TABLE, self._point(teacher)) as life:
            with suppress(EOFError, M2KTError):
                async with PeerClient(await life.address()) as student:
                    transfer = await self._learns(folder, student, teacher, key)
                    await self._dead_or_done(life, student, transfer)
            if life.stumbled:
                self._tally.injected[FAILED_DISK] += 1
            if life.alive:
                return None
        self._tally.injected[KILLED] += 1
        return time.monotonic()

    async def _dead_or_done(self, life: Life, student: PeerClient, transfer: TransferId) -> None:
        watching = asyncio.create_task(_watched(student, transfer))
        while life.alive and not watching.done():  # noqa: ASYNC110  # a process has no event
            await asyncio.sleep(POLL_S)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    def _point(self, teacher: AgentId) -> str:
        """Where the next life ends."""
        kind = self._rng.randrange(3)
        if kind == 0:
            return f"{self._rng.randrange(1, 57)}{CHUNKS}"
        if kind == 1:
            return f"{DISK}{self._rng.randrange(1, 30)} {self._rng.choice(('ENOSPC', 'EIO'))}"
        return self._rng.choice(DECLINED_AT if teacher == HARMFUL else LEARNT_AT)


async def _watched(student: PeerClient, transfer: TransferId) -> None:
    async for _ in student.watch(transfer, timeout_s=END_S):
        pass


@final
class _Lasting(_Course):
    """A student that lives through everything, and whose callers hang up."""

    async def run(self) -> None:
        self._enrol(self._folder)
        async with Life(self._folder, TABLE) as life, PeerClient(await life.address()) as student:
            sampling = asyncio.create_task(self._sample(life.pid))
            await self._lesson(student, ADDER)
            before = await self._accuracy(student)
            while not self._tally.over(self._report):
                await self._lesson(student, HARMFUL)
                await self._hang_up(student)
            if await self._accuracy(student) < before:
                self._tally.violations.append("worse: the student answers fewer problems")
            sampling.cancel()
        await asyncio.to_thread(self._check, self._folder)

    async def _lesson(self, student: PeerClient, teacher: AgentId) -> None:
        transfer = await self._learns(self._folder, student, teacher)
        hanging = asyncio.create_task(_watched(student, transfer))
        await asyncio.sleep(self._rng.uniform(0.0, 0.5))
        if hanging.cancel():
            self._tally.injected[CANCELLED] += 1
        await asyncio.gather(hanging, return_exceptions=True)
        await self._end(student, transfer, teacher)

    async def _hang_up(self, student: PeerClient) -> None:
        """Calls that are cancelled before they are answered."""
        for _ in range(4):
            asking = asyncio.create_task(student.history(timeout_s=10.0))
            await asyncio.sleep(self._rng.uniform(0.0, 0.002))
            if asking.cancel():
                self._tally.injected[CANCELLED] += 1
            await asyncio.gather(asking, return_exceptions=True)

    async def _accuracy(self, student: PeerClient) -> float:
        found = await student.examine(DOMAIN, per_level=20, seed=0, timeout_s=60.0)
        return fmean(found.exam.accuracy.values())

    async def _sample(self, pid: int) -> None:
        process = psutil.Process(pid)
        while True:
            held_mib = process.memory_info().rss / 2**20
            self._tally.memory.append((self._tally.lasted_s(), held_mib))
            await asyncio.sleep(SAMPLE_S)
