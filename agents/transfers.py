"""A student's transfers: one at a time, each to its end, whatever happens on the way.

    OFFERED --gather packets--> AUTHENTICATED --host: screen, align, verify--> settled

The order of writes makes a crash harmless: packets are sealed before AUTHENTICATED is
noted; the CAL and the receipt are kept before HEAD moves; HEAD moves before the end is
noted. After a restart a transfer whose packets are sealed goes on, one whose packets were
still coming collects the rest, one whose state is in the history has been committed, or
rolled back if a later state un-learnt it; an offer whose packet had not come ends.

Owns: `Transfers`, the state machine.
Does not own: how packets get here (fetching, intake), training (learner), records (ledger).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, final

from m2kt.digest import Digest
from m2kt.errors import BusyError, M2KTError, RequestError, StoreError, TrustError
from m2kt.history import Skill, StudentState, forgotten
from m2kt.identity import PacketId, TransferId
from m2kt.meter import DataMeter
from m2kt.packet import AuthenticPayload
from m2kt.progress import Progress, TransferState
from m2kt.reasons import Reason
from m2kt.transfer import Declined
from m2kt.verdict import Receipt, Rejected, Verdict
from m2kt.wire import cards

from .gathered import Gathered, Received
from .intake import reopened
from .learner import Assignment, KeptCal, Learnt
from .ledger import Ledger
from .orders import LearnOrder, collection_of, order_from_json
from .resources import StudentResources

logger = logging.getLogger(__name__)

_S = TransferState
UNDECIDED: Final = frozenset(
    {Reason.PEER_UNAVAILABLE, Reason.DEADLINE, Reason.INTERRUPTED, Reason.STORAGE, Reason.INTERNAL}
)
"""Reasons that say nothing about a packet: a transfer that ends for these alone has FAILED."""
_LOST: Final = (
    "expected the packet of an offer, found that I stopped before it came; offer it again"
)


Collect = Callable[[LearnOrder, TransferId], Awaitable[Gathered]]
Gather = Callable[[TransferId], Awaitable[Gathered]]
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
    """Carries out orders, one at a time."""

    def __init__(
        self, resources: StudentResources, ledger: Ledger, collect: Collect, deliver: Deliver
    ) -> None:
        self._resources = resources
        self._ledger = ledger
        self._collect = collect
        self._deliver = deliver
        self._turn = asyncio.Lock()
        self._tasks: dict[TransferId, asyncio.Task[None]] = {}
        self.learning = False

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

    def recover(self) -> None:
        """After a restart: ends what cannot go on, and goes on with what can."""
        self._resources.journal.forget_expired(now_s=self._resources.clock())
        published = {state.transfer for state in self._resources.store.history()}
        for record in self._resources.journal.unfinished():
            order = order_from_json(record.request.decode())
            if record.id in published:
                self._end(record.id, _S.COMMITTED, "HEAD had moved before I was stopped")
            elif order.pushed and not record.packets:
                self.refuse(record.id, order, Reason.INTERRUPTED, _LOST)
            else:
                self._ledger.reopen(record.id)
                known = partial(self._again, record.packets)
                gather = known if record.packets else partial(self._collect, order)
                self.carry_out(record.id, order, gather)
        self.roll_back()

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
        gathered = await self._only_new(course.order, await gather(course.transfer))
        for refusal in gathered.refusals:
            line = f"{refusal.source}: {refusal.reason}: {refusal.detail}"
            self._ledger.tell(course.transfer, Progress(line))
        course.payloads = gathered.payloads
        quorum = self._quorum(course.order)
        enough = gathered.contents >= quorum
        if self._ledger.state(course.transfer) is _S.OFFERED:  # told once, not after a restart
            self._ledger.tell(course.transfer, Progress(gathered.summary(enough=enough)))
        if not enough:
            self._decline(course, _too_few(gathered, quorum))
            return
        if gathered.late:
            self._follow(course, gathered.late)
        self.authenticated(course.transfer, gathered.payloads)
        outcome = await self._study(course)
        course.meter, course.probe_items = outcome.meter, outcome.probe_items
        if isinstance(outcome, Learnt):
            await self._commit(course, outcome)
        else:
            self._decline(course, outcome.verdict)

    async def _only_new(self, order: LearnOrder, gathered: Gathered) -> Gathered:
        """Of what a follow-up has gathered, that which the first lesson did not have."""
        if not order.follows:
            return gathered
        packets = self._resources.journal.transfer(order.follows).packets
        first = await self._again(packets, order.follows)
        return gathered.without({payload.content_digest for payload in first.payloads})

    def _quorum(self, order: LearnOrder) -> int:
        """Different contents that have to come: one more to those of a lesson that was accepted."""
        if order.follows and self._ledger.state(order.follows) is _S.COMMITTED:
            return 1
        return order.quorum_for(self._resources.limits.quorum)

    def _follow(self, course: _Course, late: Sequence[str]) -> None:
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

    async def _study(self, course: _Course) -> Learnt | Declined:
        """Lets the host learn from the new packets together with those of the present skill."""
        store, domain = self._resources.store, course.order.domain
        skill = store.state(course.head).skills.get(domain)
        earlier: list[AuthenticPayload] = []
        current: KeptCal | None = None
        if skill is not None:
            current = KeptCal(skill.cal, *await asyncio.to_thread(store.get_cal, skill.cal))
            earlier = await self._earlier(course, skill)
        assignment = Assignment(
            domain=domain,
            payloads=(*earlier, *course.payloads),
            current=current,
            lineage=frozenset(skill.lineage if skill else ()),
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
        state = StudentState(
            parent=course.head,
            transfer=course.transfer,
            at_s=self._resources.clock(),
            note=f"learnt {domain} from {len(learnt.lineage)} packets",
            skills={
                **store.state(course.head).skills,
                domain: Skill(cal, learnt.lineage, learnt.signers),
            },
        )
        self._sign(course, learnt.verdict, state.digest)
        await asyncio.to_thread(store.advance, state, expected=course.head)
        self._end(course.transfer, _S.COMMITTED, f"HEAD is {state.digest}")

    def _decline(self, course: _Course, verdict: Rejected) -> None:
        self._sign(course, verdict, course.head)
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
        )
        envelope = cards.sign_receipt(receipt, credentials.signer)
        self._ledger.tell(course.transfer, Progress("receipt signed"), receipt=envelope)

    async def _again(self, packets: Sequence[PacketId], _: TransferId) -> Gathered:
        """Packets that were sealed before a restart."""
        found = [await asyncio.to_thread(reopened, self._resources, p) for p in packets]
        return Gathered(tuple(Received("kept", payload) for payload in found))


def _too_few(gathered: Gathered, quorum: int) -> Rejected:
    """A rejection with the reasons of all who were refused."""
    reasons = dict.fromkeys(refusal.reason for refusal in gathered.refusals)
    telling = tuple(reason for reason in reasons if reason not in UNDECIDED)
    details = tuple(f"{refusal.source}: {refusal.detail}" for refusal in gathered.refusals)
    found = f"found {gathered.contents} of different content"
    missing = f"expected {quorum} authentic packets, {found}; ask me again"
    return Rejected(telling or tuple(reasons) or (Reason.NOT_FOUND,), (*details, missing))
