"""A student's transfers: one at a time, each to its end, whatever happens on the way.

    OFFERED --gather packets--> AUTHENTICATED --host: screen, align, verify--> settled

The order of writes makes a crash harmless: packets are sealed before AUTHENTICATED is
noted; the CAL and the receipt are kept before HEAD moves; HEAD moves before the end is
noted. After a restart a transfer whose packets are sealed goes on, one whose packets were
still coming collects the rest, one whose state is in the history has been committed, or
rolled back if a later state un-learnt it; an offer whose packet had not come ends.
Un-learning moves HEAD at any time: a lesson that rests on what is gone ends, any other goes
on from the new HEAD.

Owns: `Transfers`, the state machine.
Does not own: how packets get here (fetching, intake), whether they are enough (gathering), the
lesson (studying), records (ledger).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import takewhile
from typing import Final, final

from m2kt.audit import Deed
from m2kt.digest import Digest
from m2kt.errors import BusyError, M2KTError, RequestError, StoreError
from m2kt.history import Skill, StudentState, ever_unlearnt, forgotten
from m2kt.identity import TransferId
from m2kt.journal import Transfer
from m2kt.packet import AuthenticPayload
from m2kt.progress import FINAL, Progress, TransferState
from m2kt.reasons import Reason
from m2kt.verdict import Receipt, Rejected, Verdict
from m2kt.wire import cards

from .gathering import UNDECIDED, Gather, Gathered, remaining, sealed, too_few, wanted
from .learner import Learnt
from .ledger import Ledger
from .orders import LearnOrder, collection_of, order_from_json
from .resources import StudentResources
from .studying import Course, Studies

logger = logging.getLogger(__name__)

_S = TransferState
_LOST: Final = (
    "expected the packets of a transfer after a restart, found that they had not come; offer"
    " them, or ask me, again"
)

Collect = Callable[[LearnOrder, TransferId], Awaitable[Gathered]]
Deliver = Callable[[TransferId, LearnOrder], Awaitable[None]]


@final
class Transfers:
    """Carries out orders, one at a time.

    Attributes:
        moving: Held by whoever moves HEAD, from looking at it to the end.
    """

    def __init__(
        self, resources: StudentResources, ledger: Ledger, collect: Collect, deliver: Deliver
    ) -> None:
        self._resources = resources
        self._ledger = ledger
        self._collect = collect
        self._deliver = deliver
        self._studies = Studies(resources, ledger)
        self._turn = asyncio.Lock()
        self.moving = asyncio.Lock()
        self._tasks: dict[TransferId, asyncio.Task[None]] = {}

    @property
    def learning(self) -> bool:
        """Whether the model is at work for a transfer."""
        return self._studies.learning

    def begin(self, order: LearnOrder) -> TransferId:
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
            self.carry_out(transfer, order, partial(self._collect, order))
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
            elif not record.packets and (order.pushed or order.unlearnt):
                self.refuse(record.id, order, Reason.INTERRUPTED, _LOST)
            else:
                self._ledger.reopen(record.id)
                self._go_on(record)
        self.roll_back()

    def _go_on(self, record: Transfer) -> None:
        """Begins the work on a transfer: with packets that are sealed, or from the start."""
        order = order_from_json(record.request.decode())
        again = remaining if order.unlearnt else sealed

        async def gather(transfer: TransferId) -> Gathered:
            if not record.packets:
                return await self._collect(order, transfer)
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
        course = Course(transfer, order, self._resources.store.head())
        self._decline(course, Rejected((reason,), (detail,)))

    def authenticated(self, transfer: TransferId, payloads: Sequence[AuthenticPayload]) -> None:
        """Notes that all packets are sealed and what they should be; once."""
        if self._ledger.state(transfer) is _S.OFFERED:
            packets = [payload.packet_id for payload in payloads]
            news = Progress(f"{len(packets)} packets authentic", {}, _S.AUTHENTICATED)
            self._ledger.tell(transfer, news, packets=packets)

    async def _run(self, transfer: TransferId, order: LearnOrder, gather: Gather) -> None:
        async with self._turn:
            course = Course(transfer, order, self._resources.store.head())
            try:
                await self._advance(course, gather)
            except M2KTError as error:
                self._decline(course, Rejected((error.reason,), (str(error),)))
            except Exception as error:
                logger.exception("transfer failed transfer=%s", transfer)
                detail = f"expected no fault of mine, found {type(error).__name__}; see the log"
                self._decline(course, Rejected((Reason.INTERNAL,), (detail,)))
        await self._deliver(transfer, order)

    async def _advance(self, course: Course, gather: Gather) -> None:
        """The whole way of a transfer."""
        gathered = self._only_new(course.order, await gather(course.transfer))
        gathered = wanted(self._resources, gathered)
        course.head = self._resources.store.head()  # un-learning may have moved it meanwhile
        for refusal in gathered.refusals:
            line = f"{refusal.source}: {refusal.reason}: {refusal.detail}"
            self._ledger.tell(course.transfer, Progress(line))
        course.payloads = gathered.payloads
        quorum = self._quorum(course.order)
        enough = gathered.contents >= quorum
        if self._ledger.state(course.transfer) is _S.OFFERED:  # told once, not after a restart
            self._ledger.tell(course.transfer, Progress(gathered.summary(enough=enough)))
        if not enough:
            self._decline(course, too_few(gathered, quorum))
            return
        if gathered.late:
            self._follow(course, gathered.late)
        self.authenticated(course.transfer, gathered.payloads)
        outcome = await self._studies.outcome(course)
        if isinstance(outcome, Learnt):
            await self._commit(course, outcome)
        else:
            self._decline(course, outcome.verdict)

    def _only_new(self, order: LearnOrder, gathered: Gathered) -> Gathered:
        """Of what a follow-up has gathered, that which the first lesson did not have."""
        if not order.follows:
            return gathered
        packets = self._resources.journal.transfer(order.follows).packets
        return gathered.without({self._resources.store.packets.manifest(its)[1] for its in packets})

    def _quorum(self, order: LearnOrder) -> int:
        """Different contents that have to come: one more to those of a lesson that was accepted."""
        if order.follows and self._ledger.state(order.follows) is _S.COMMITTED:
            return 1
        return order.quorum_for(self._resources.limits.quorum)

    def _follow(self, course: Course, late: Sequence[str]) -> None:
        """Begins the transfer that takes what comes later; it has its turn after this one."""
        order = course.order.following(course.transfer, late)
        try:
            transfer, is_new = self._ledger.begin(order)
        except RequestError:  # begun before a restart, when other sources were late
            line = "the follow-up transfer of this order takes what comes later"
            self._ledger.tell(course.transfer, Progress(line))
            return
        line = f"follow-up transfer {transfer} takes what comes later"
        self._ledger.tell(course.transfer, Progress(line))
        if is_new:
            self.carry_out(transfer, order, partial(self._collect, order))

    async def _commit(self, course: Course, learnt: Learnt) -> None:
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

    def _rebase(self, course: Course, skill: Skill) -> None:
        """Goes on from HEAD if un-learning has moved it and spared all that a lesson rests on."""
        history, domain = self._resources.store.history(), course.order.domain
        since = tuple(takewhile(lambda state: state.digest != course.head, history))
        if not since:
            return
        before = history[len(since)].skills.get(domain)
        spared = not skill.touches(ever_unlearnt(since))
        if spared and history[0].skills.get(domain) == before:
            course.head = history[0].digest

    def _decline(self, course: Course, verdict: Rejected) -> None:
        self._sign(course, verdict, course.head)
        self._resources.metrics.refused(*verdict.reasons)
        failed = UNDECIDED.issuperset(verdict.reasons)
        reasons = ", ".join(verdict.reasons)
        self._end(course.transfer, _S.FAILED if failed else _S.REJECTED, reasons)

    def _end(self, transfer: TransferId, state: TransferState, message: str) -> None:
        self._ledger.tell(transfer, Progress(message, {}, state))
        journal = self._resources.journal
        collection = collection_of(journal.transfer(transfer))
        if collection in map(collection_of, journal.unfinished()):
            return  # others collect into the same files
        try:
            self._resources.spool.forget(collection)
        except StoreError as error:  # the next start removes it
            logger.warning("spool not emptied transfer=%s why=%s", transfer, error)

    def _sign(self, course: Course, verdict: Verdict, head_after: Digest) -> None:
        """Signs the receipt and keeps it, before anything is final."""
        credentials, audit = self._resources.credentials, self._resources.audit
        entries, head = audit.head()
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
            audit_entries=entries,
            audit_head=head,
        )
        facts = {"transfer": course.transfer, "head": head_after, "verdict": type(verdict).__name__}
        audit.note(Deed.RECEIPT_SIGNED, facts, at_s=receipt.issued_at_s)
        envelope = cards.sign_receipt(receipt, credentials.signer)
        self._ledger.tell(course.transfer, Progress("receipt signed"), receipt=envelope)
