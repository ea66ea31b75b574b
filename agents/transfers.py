"""A student's transfers: one at a time, each to its end, whatever happens on the way.

    OFFERED --gather packets--> AUTHENTICATED --host: screen, align, verify--> settled

The order of writes makes a crash harmless: packets are sealed before AUTHENTICATED is
noted; the CAL and the receipt are kept before HEAD moves; HEAD moves before the end is
noted. After a restart a transfer whose packets are sealed goes on, one whose state is in
the history has been committed, or rolled back if a later state un-learnt it, and every
other one ends. Un-learning moves HEAD at any time: a lesson that rests on what is gone ends,
any other goes on from the new HEAD.

Owns: `Transfers`, the state machine.
Does not own: how packets get here (fetching, intake), whether they are enough (gathering),
training (learner), records (ledger), what an end says about teachers (m2kt.reputation).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final, final

from m2kt.digest import Digest
from m2kt.errors import BusyError, M2KTError, PacketError, TrustError
from m2kt.history import Skill, StudentState, ever_unlearnt, forgotten
from m2kt.identity import TransferId
from m2kt.journal import Transfer
from m2kt.meter import DataMeter
from m2kt.packet import AuthenticPayload
from m2kt.progress import FINAL, Progress, TransferState
from m2kt.reasons import Reason
from m2kt.reputation import evidence_of
from m2kt.transfer import Declined
from m2kt.verdict import Receipt, Rejected, Verdict
from m2kt.wire import cards

from .gathering import UNDECIDED, Gather, Gathered, remaining, sealed, too_few, wanted
from .intake import reopened
from .learner import Assignment, KeptCal, Learnt
from .ledger import Ledger
from .orders import LearnOrder, order_from_json
from .resources import StudentResources

logger = logging.getLogger(__name__)

_S = TransferState
_LOST: Final = "expected all packets after a restart, found that they had not come; ask me again"


Deliver = Callable[[TransferId, LearnOrder], Awaitable[None]]


@dataclass(slots=True)
class _Course:
    """One transfer on its way. `head` is the state that it started from."""

    transfer: TransferId
    order: LearnOrder
    head: Digest
    payloads: tuple[AuthenticPayload, ...] = ()
    meter: DataMeter = field(default_factory=DataMeter)
    probe_items: int = 0


@final
class Transfers:
    """Carries out orders, one at a time.

    Attributes:
        learning: Whether the model is at work for one.
        moving: Held by whoever moves HEAD, from looking at it to the end.
    """

    def __init__(self, resources: StudentResources, ledger: Ledger, deliver: Deliver) -> None:
        self._resources = resources
        self._ledger = ledger
        self._deliver = deliver
        self._turn = asyncio.Lock()
        self.moving = asyncio.Lock()
        self._tasks: dict[TransferId, asyncio.Task[None]] = {}
        self.learning = False

    def begin(self, order: LearnOrder, gather: Gather) -> TransferId:
        """Puts an order in the queue; the same key names the same transfer.

        Raises:
            BusyError: too many transfers wait.
            RequestError: the order's key was used for another order.
        """
        if len(self._tasks) >= self._resources.limits.waiting:
            raise BusyError(
                f"expected fewer than {self._resources.limits.waiting} transfers to wait, found"
                f" {len(self._tasks)}; ask again when some have ended"
            )
        transfer, is_new = self._ledger.begin(order)
        if is_new:
            self.carry_out(transfer, order, gather)
        return transfer

    def carry_out(self, transfer: TransferId, order: LearnOrder, gather: Gather) -> None:
        """Begins the work on a transfer that the ledger knows."""
        task = asyncio.create_task(self._run(transfer, order, gather), name=transfer)
        self._tasks[transfer] = task
        task.add_done_callback(lambda _: self._tasks.pop(transfer, None))

    def realign(self, transfer: TransferId) -> None:
        """Begins the work on a re-alignment that the ledger knows, unless it is under way."""
        record = self._resources.journal.transfer(transfer)
        if transfer not in self._tasks and record.state not in FINAL:
            self._go_on(record)

    def recover(self) -> None:
        """After a restart: ends what cannot go on, and goes on with what can."""
        self._resources.journal.forget_expired(now_s=self._resources.clock())
        published = {state.transfer for state in self._resources.store.history()}
        for record in self._resources.journal.unfinished():
            order = order_from_json(record.request.decode())
            if record.id in published:
                self._end(record.id, _S.COMMITTED, "HEAD had moved before I was stopped")
            elif record.packets:
                self._ledger.reopen(record.id)
                self._go_on(record)
            else:
                self.refuse(record.id, order, Reason.INTERRUPTED, _LOST)
        self.roll_back()

    def _go_on(self, record: Transfer) -> None:
        """Begins the work on a transfer whose packets are sealed."""
        order = order_from_json(record.request.decode())
        again = remaining if order.unlearnt else sealed

        async def gather(_: TransferId) -> Gathered:
            return await again(self._resources, record.packets)

        self.carry_out(record.id, order, gather)

    def roll_back(self) -> None:
        """Notes which transfers un-learning has undone; a second time it changes nothing."""
        undone = forgotten(self._resources.store.history())
        for record in self._resources.journal.transfers():
            if record.state is _S.COMMITTED and record.id in undone:
                self._end(record.id, _S.ROLLED_BACK, "un-learnt")

    async def close(self) -> None:
        """Stops; what was on its way goes on after the next start, or ends then."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def refuse(self, transfer: TransferId, order: LearnOrder, reason: Reason, detail: str) -> None:
        """Ends a transfer whose packets did not come as they should."""
        course = _Course(transfer, order, self._resources.store.head())
        self._decline(course, Rejected((reason,), (detail,)))

    def authenticated(self, transfer: TransferId, payloads: Sequence[AuthenticPayload]) -> None:
        """Notes that all packets are sealed and what they should be; once."""
        if self._ledger.state(transfer) is _S.OFFERED:
            packets = [payload.packet_id for payload in payloads]
            news = Progress(f"{len(packets)} packets authentic", {}, _S.AUTHENTICATED)
            self._ledger.tell(transfer, news, packets=packets)

    async def _run(self, transfer: TransferId, order: LearnOrder, gather: Gather) -> None:
        async with self._turn:
            course = _Course(transfer, order, self._resources.store.head())
            try:
                await self._advance(course, gather)
            except M2KTError as error:
                self._decline(course, Rejected((error.reason,), (str(error),)))
            except Exception as error:
                logger.exception("transfer failed transfer=%s", transfer)
                detail = f"expected no fault of mine, found {type(error).__name__}; see the log"
                self._decline(course, Rejected((Reason.INTERNAL,), (detail,)))
        await self._deliver(transfer, order)

    async def _advance(self, course: _Course, gather: Gather) -> None:
        """The whole way of a transfer."""
        gathered = wanted(self._resources, await gather(course.transfer))
        course.head = self._resources.store.head()  # un-learning may have moved it meanwhile
        for refusal in gathered.refusals:
            line = f"{refusal.source}: {refusal.reason}: {refusal.detail}"
            self._ledger.tell(course.transfer, Progress(line))
        course.payloads = gathered.payloads
        if gathered.contents < self._resources.limits.quorum:
            self._decline(course, too_few(gathered, self._resources.limits.quorum))
            return
        self.authenticated(course.transfer, gathered.payloads)
        try:
            outcome = await self._study(course)
        except PacketError as error:  # well signed, and still not to be read
            outcome = Declined(Rejected((error.reason,), (str(error),)), DataMeter())
        self._credit(course, outcome)
        course.meter, course.probe_items = outcome.meter, outcome.probe_items
        if isinstance(outcome, Learnt):
            await self._commit(course, outcome)
        else:
            self._decline(course, outcome.verdict)

    def _credit(self, course: _Course, outcome: Learnt | Declined) -> None:
        """Keeps what the outcome says about the teachers. Of a re-alignment it was said before."""
        resources = self._resources
        if course.order.unlearnt:
            return
        evidence = evidence_of(
            outcome.verdict,
            {payload.packet_id: payload.teacher for payload in course.payloads},
            refused=outcome.refused if isinstance(outcome, Declined) else {},
            known=course.order.domain in resources.store.state(course.head).skills,
        )
        resources.standings.credit(course.transfer, evidence, at_s=resources.clock())

    async def _study(self, course: _Course) -> Learnt | Declined:
        """Lets the host learn from the new packets together with those of the present skill.

        What is aligned anew begins from nothing: HEAD's skill is at most a part of it, unless
        something else was learnt since.
        """
        store, domain = self._resources.store, course.order.domain
        skill = store.state(course.head).skills.get(domain)
        earlier: list[AuthenticPayload] = []
        current: KeptCal | None = None
        if skill is not None:
            current = KeptCal(skill.cal, *await asyncio.to_thread(store.get_cal, skill.cal))
            earlier = await self._earlier(course, skill)
            aligned = {payload.content_digest for payload in course.payloads}
            if course.order.unlearnt and aligned.issuperset(p.content_digest for p in earlier):
                current = None
        assignment = Assignment(
            domain=domain,
            payloads=(*earlier, *course.payloads),
            current=current,
            strategy=course.order.strategy,
        )
        self.learning = True
        try:
            return await self._listen(course, assignment)
        finally:
            self.learning = False

    async def _listen(self, course: _Course, assignment: Assignment) -> Learnt | Declined:
        async for news in self._resources.host.stream("learn", assignment):
            if not isinstance(news, Progress):
                outcome: Learnt | Declined = news
                return outcome
            self._ledger.tell(course.transfer, news)
        raise AssertionError("a host's stream ends with a result")

    async def _earlier(self, course: _Course, skill: Skill) -> list[AuthenticPayload]:
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

    async def _commit(self, course: _Course, learnt: Learnt) -> None:
        store, domain = self._resources.store, course.order.domain
        cal = await asyncio.to_thread(store.put_cal, learnt.tensors, learnt.header)
        skill = Skill(cal, learnt.lineage, learnt.signers)
        async with self.moving:
            self._rebase(course, skill)
            anew = " anew" if course.order.unlearnt else ""
            state = StudentState(
                parent=course.head,
                transfer=course.transfer,
                at_s=self._resources.clock(),
                note=f"learnt {domain}{anew} from {len(learnt.lineage)} packets",
                skills={**store.state(course.head).skills, domain: skill},
            )
            self._sign(course, learnt.verdict, state.digest)
            await asyncio.to_thread(store.advance, state, expected=course.head)
            self._end(course.transfer, _S.COMMITTED, f"HEAD is {state.digest}")

    def _rebase(self, course: _Course, skill: Skill) -> None:
        """Goes on from HEAD if un-learning has moved it and spared all that a lesson rests on."""
        history, domain = self._resources.store.history(), course.order.domain
        since = tuple(takewhile(lambda state: state.digest != course.head, history))
        if not since:
            return
        before = history[len(since)].skills.get(domain)
        spared = not skill.touches(ever_unlearnt(since))
        if spared and history[0].skills.get(domain) == before:
            course.head = history[0].digest

    def _decline(self, course: _Course, verdict: Rejected) -> None:
        self._sign(course, verdict, course.head)
        failed = UNDECIDED.issuperset(verdict.reasons)
        reasons = ", ".join(verdict.reasons)
        self._end(course.transfer, _S.FAILED if failed else _S.REJECTED, reasons)

    def _end(self, transfer: TransferId, state: TransferState, message: str) -> None:
        self._ledger.tell(transfer, Progress(message, {}, state))

    def _sign(self, course: _Course, verdict: Verdict, head_after: Digest) -> None:
        """Signs the receipt and keeps it, before anything is final."""
        credentials = self._resources.credentials
        receipt = Receipt(
            transfer=course.transfer,
            student=credentials.agent,
            domain=course.order.domain,
            packets=tuple(payload.packet_id for payload in course.payloads),
            teachers=tuple(dict.fromkeys(payload.teacher for payload in course.payloads)),
            verdict=verdict,
            head_before=course.head,
            head_after=head_after,
            meter=course.meter,
            probe_items=course.probe_items,
            issued_at_s=self._resources.clock(),
            unlearnt=course.order.unlearnt,
        )
        envelope = cards.sign_receipt(receipt, credentials.signer)
        self._ledger.tell(course.transfer, Progress("receipt signed"), receipt=envelope)
