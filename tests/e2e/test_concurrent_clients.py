"""Several clients at once leave a student's HEAD as one client after the other would.

Each run is a history of what the clients asked, were told, and when; `tests/linearizability.py`
looks for an order in which a single register with compare-and-set tells them the same.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from itertools import count

import pytest

from m2kt.errors import M2KTError
from m2kt.history import EMPTY
from m2kt.verdict import Receipt
from m2kt.wire import cards
from m2kt_agents.offering import Offer, offer
from tests.linearizability import Call, linearization
from tests.pupils import Class, receipt_of, school, teacher_of
from tests.simulator import DOMAIN, HostileTeacher, Town, ended, until

CLIENTS, CALLS = 5, 6
DEEDS = ("learn", "learn", "offer", "unlearn", "head", "history", "learn and leave", "leave")


class Crowd:
    """Clients of one student, and the history of their calls."""

    def __init__(self, its: Class, teachers: Sequence[tuple[HostileTeacher, str]], seed: int):
        self.its, self.teachers, self.rng = its, teachers, random.Random(seed)
        self.history: list[Call] = []
        self._offers, self._told = count(), set()
        self._now = asyncio.get_running_loop().time

    def note(self, asked: str, told: object, since: float, *, left: bool = False) -> None:
        self.history.append(Call(asked, told, since, *([] if left else [self._now()])))

    def settled(self, asked: str, receipt: Receipt, since: float) -> None:
        """A transfer that has ended, by its receipt: HEAD moved, or was looked at."""
        if receipt.transfer not in self._told:
            self._told.add(receipt.transfer)
            moved = receipt.head_before != receipt.head_after
            heads = (receipt.head_before, receipt.head_after)
            self.note(asked, ("moved", *heads) if moved else ("was", heads[0]), since)

    async def client(self) -> None:
        """Calls one after the other; whatever is refused had no effect."""
        student = self.its.town.peer(self.its.agent.address)
        for _ in range(CALLS):
            deed, since = self.rng.choice(DEEDS), self._now()
            teacher, address = self.rng.choice(self.teachers)
            with suppress(M2KTError):
                await self._do(deed, student, teacher, address, since)
            await asyncio.sleep(self.rng.random() / 50)

    async def _do(self, deed, student, teacher, address, since) -> None:
        match deed:
            case "learn":
                transfer = await student.learn(DOMAIN, teachers=[address], timeout_s=5)
                view, _ = await ended(student, transfer)
                self.settled(deed, receipt_of(view), since)
            case "offer":
                settlement = await offer(student.address, self._offer(teacher), timeout_s=20)
                self.settled(deed, cards.receipt_from_bytes(settlement.receipt.payload), since)
            case "unlearn":
                await self._unlearn(student, since)
            case "head":
                _, head = await student.describe_student(timeout_s=5)
                self.note(deed, ("was", head.digest), since)
            case "history":
                states = await student.history(timeout_s=5)
                self.note(deed, ("were", *(state.digest for state in states)), since)
            case "learn and leave":
                learning = student.learn(DOMAIN, teachers=[address], timeout_s=5)
                await self._leaves(deed, learning, since)
            case "leave":
                coming = offer(student.address, self._offer(teacher), timeout_s=20)
                await self._leaves(deed, coming, since)

    async def _unlearn(self, student, since) -> None:
        """Un-learns one packet that the student rests on; what remains is aligned anew."""
        _, head = await student.describe_student(timeout_s=5)
        if DOMAIN not in head.skills:
            return
        since = self._now()
        packet = self.rng.choice(head.skills[DOMAIN].lineage)
        done = await student.unlearn(packet=packet, timeout_s=5)
        moved = ("moved", done.head.parent, done.head.digest)
        self.note("unlearn", moved if done.moved else ("was", done.head.digest), since)
        for realigning in done.realigning:
            view, _ = await ended(student, realigning.transfer)
            self.settled("realign", receipt_of(view), since)

    async def _leaves(self, deed, call, since) -> None:
        """A call that its caller cancels: nobody knows what came of it."""
        calling = asyncio.create_task(call)
        await asyncio.wait({calling}, timeout=self.rng.random() / 20)
        calling.cancel()
        self.note(deed, None, since, left=True)
        with suppress(asyncio.CancelledError):
            await calling

    def _offer(self, teacher: HostileTeacher) -> Offer:
        async def manifest(student, nonce):
            return teacher.sealed(student.agent, nonce)

        return Offer(
            teacher=teacher.card,
            domain=DOMAIN,
            offer_id=f"offer-{next(self._offers)}",
            manifest=manifest,
            chunks=teacher.chunks,
        )


def register_of(final: Sequence):
    """HEAD, with all heads before it: moved by compare-and-set alone.

    What an unanswered call has done, if anything, is in the `final` history.
    """
    after = {state.parent: state.digest for state in final}

    def model(heads, call):
        match call.told:
            case None:
                return [heads, (after[heads[0]], *heads)] if heads[0] in after else [heads]
            case "was", head:
                return [heads] if heads[0] == head else []
            case "were", *past:
                return [heads] if heads == tuple(past) else []
            case "moved", before, now:
                return [(now, *heads)] if heads[0] == before else []

    return model


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
async def test_what_clients_are_told_at_once_could_have_been_told_one_by_one(tmp_path, seed):
    async with Town(tmp_path) as town:
        its = await school(town, fetch_s=2.0)
        teachers = [teacher_of(town, name, 10 * seed + i) for i, name in enumerate("abcabc")]
        crowd = Crowd(its, [(one, await its.address(one)) for one in teachers], seed)
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(crowd.client())
        journal = its.agent.agent._resources.journal
        await until(lambda: not journal.unfinished(), timeout_s=20)
        final = await its.student.history(timeout_s=5)
        crowd.note("history", ("were", *(state.digest for state in final)), crowd._now())
    model, start = register_of(final), (EMPTY.digest,)
    assert len(final) > CLIENTS, "HEAD moved often enough for a mistake to be seen"
    assert linearization(crowd.history, model, start) is not None, crowd.history
    lie = Call("head", ("was", final[1].digest), *[crowd.history[-1].returned_at + 1] * 2)
    assert linearization([*crowd.history, lie], model, start) is None, "a stale read is noticed"
    moves = [call for call in crowd.history if call.told is not None and call.told[0] == "moved"]
    lost = [call for call in crowd.history if call is not moves[0]]
    if not any(call.told is None for call in crowd.history):
        assert linearization(lost, model, start) is None, "a move that nobody asked for is noticed"
