"""The lesson of one transfer: what the model is given to learn, and what comes of it.

Owns: `Course`, `Studies`.
Does not own: whose turn it is and what becomes of HEAD (transfers), the model (learner), what
an end says about teachers (m2kt.reputation).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

from m2kt.digest import Digest
from m2kt.errors import PacketError, TrustError
from m2kt.history import Skill
from m2kt.identity import TransferId
from m2kt.meter import DataMeter
from m2kt.packet import AuthenticPayload, voter_of
from m2kt.progress import Progress
from m2kt.reputation import evidence_of, trust_in
from m2kt.transfer import Declined
from m2kt.verdict import Rejected

from .intake import reopened
from .learner import Assignment, KeptCal, Learnt
from .ledger import Ledger
from .orders import LearnOrder
from .resources import StudentResources


@dataclass(slots=True)
class Course:
    """One transfer on its way. `head` is the state that it started from."""

    transfer: TransferId
    order: LearnOrder
    head: Digest
    payloads: tuple[AuthenticPayload, ...] = ()
    meter: DataMeter = field(default_factory=DataMeter)
    probe_items: int = 0


@final
class Studies:
    """Lets the host learn, and keeps what the end says about the teachers.

    Attributes:
        learning: Whether the model is at work for a transfer.
    """

    def __init__(self, resources: StudentResources, ledger: Ledger) -> None:
        self._resources = resources
        self._ledger = ledger
        self.learning = False

    async def outcome(self, course: Course) -> Learnt | Declined:
        """What comes of the packets of `course`, whose meter it reads."""
        try:
            outcome = await self._study(course)
        except PacketError as error:  # well signed, and still not to be read
            outcome = Declined(Rejected((error.reason,), (str(error),)), DataMeter())
        course.meter, course.probe_items = outcome.meter, outcome.probe_items
        self._credit(course, outcome)
        return outcome

    async def _study(self, course: Course) -> Learnt | Declined:
        """Lets the host learn from the new packets together with those of the present skill.

        What is aligned anew begins from nothing: HEAD's skill is at most a part of it, unless
        something else was learnt since.
        """
        store, order = self._resources.store, course.order
        skill = store.state(course.head).skills.get(order.domain)
        earlier: list[AuthenticPayload] = []
        current: KeptCal | None = None
        if skill is not None:
            current = KeptCal(skill.cal, *await asyncio.to_thread(store.get_cal, skill.cal))
            earlier = await self._earlier(course, skill)
            aligned = {payload.content_digest for payload in course.payloads}
            if order.unlearnt and aligned.issuperset(p.content_digest for p in earlier):
                current = None
        known = skill.lineage if skill and not order.unlearnt else ()
        payloads = (*earlier, *course.payloads)
        return await self._learn(
            course.transfer,
            Assignment(
                domain=order.domain,
                payloads=payloads,
                current=current,
                lineage=frozenset(known),
                strategy=order.strategy,
                trust=self._trust(payloads),
            ),
        )

    def _trust(self, payloads: Sequence[AuthenticPayload]) -> dict[str, float]:
        """How much the word of each who speaks in a lesson weighs, by the record so far."""
        resources = self._resources
        records = resources.track_records.all(now_s=resources.clock())
        return trust_in(
            {(its.teacher, voter_of(its)) for its in payloads},
            {its.teacher: its.score for its in records},
            {voter_of(its) for its in payloads if its.root},
        )

    async def _learn(self, transfer: TransferId, assignment: Assignment) -> Learnt | Declined:
        self.learning = True
        try:
            async for news in self._resources.host.stream("learn", assignment):
                if not isinstance(news, Progress):
                    outcome: Learnt | Declined = news
                    return outcome
                self._ledger.tell(transfer, news)
            raise AssertionError("a host's stream ends with a result")
        finally:
            self.learning = False

    async def _earlier(self, course: Course, skill: Skill) -> list[AuthenticPayload]:
        """The packets that the present skill rests on, as far as they are still trusted."""
        fresh, found = {payload.packet_id for payload in course.payloads}, []
        for packet in skill.lineage:
            if packet in fresh:
                continue
            try:
                found.append(await asyncio.to_thread(reopened, self._resources, packet))
            except TrustError as error:
                line = f"left out packet {packet}, which I had learnt from: {error}"
                self._ledger.tell(course.transfer, Progress(line))
        return found

    def _credit(self, course: Course, outcome: Learnt | Declined) -> None:
        """Keeps what the outcome says about the teachers. Of a re-alignment it was said before."""
        resources = self._resources
        if course.order.unlearnt:
            return
        evidence = evidence_of(
            outcome.verdict,
            frozenset(payload.teacher for payload in course.payloads),
            known=course.order.domain in resources.store.state(course.head).skills,
        )
        resources.track_records.credit(course.transfer, evidence, at_s=resources.clock())
