"""The student agent: learns, answers, un-learns.

Owns: `StudentAgent` (a plain class that knows neither Ray nor gRPC).
Does not own: the steps of a transfer (m2kt.transfer), its course (transfers).
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, final

from m2kt import domains
from m2kt.audit import Deed
from m2kt.digest import Digest
from m2kt.domain import answer_in
from m2kt.errors import BusyError, RequestError, RevokedKeyError
from m2kt.history import StudentState
from m2kt.identity import AgentCard, KeyId, ModelCard, PacketId, TransferId
from m2kt.reputation import Reputation

from .fetching import Fetcher
from .foretelling import Foreteller
from .learner import ExamPaper, KeptCal
from .ledger import Ledger
from .offers import Offers
from .orders import MOST_TEACHERS, LearnOrder
from .permissions import Permissions
from .receipts import deliver
from .resources import StudentResources
from .transfers import Transfers
from .unlearning import Unlearning
from .views import AnswerView, ExamView, Foretelling, UnlearntView

logger = logging.getLogger(__name__)

MOST_QUESTIONS: Final = 256
MOST_PER_LEVEL: Final = 1000


@final
class StudentAgent:
    """A student. Make it on the event loop that it will live on.

    Attributes:
        ledger: Its transfers, to look at and to watch.
        offers: Packets that teachers bring.
    """

    def __init__(self, resources: StudentResources, model: ModelCard, *, broker: str = "") -> None:
        self._resources = resources
        self._model = model
        self._broker = broker
        self.address = ""
        self.ledger = Ledger(resources.journal, resources.clock, resources.metrics)
        self._foreteller = Foreteller(resources, self._skill)
        self._fetcher = Fetcher(resources, lambda: self.card, self._foreteller)
        self._transfers = Transfers(resources, self.ledger, self._fetcher.gather, self._deliver)
        self._unlearning = Unlearning(resources, self.ledger)
        self.offers = Offers(resources, self.ledger, self._transfers)

    def recover(self) -> None:
        """Un-learns what is not trusted any more, and goes on with what a crash has interrupted.

        Call it once, after the start.
        """
        self._unlearning.recover()
        self._transfers.recover()

    async def close(self) -> None:
        """Stops what is under way; it goes on after the next start."""
        self.offers.close()
        await self._transfers.close()
        await self._fetcher.close()
        await self._resources.host.close()
        self._resources.journal.close()
        self._resources.store.close()

    @property
    def permissions(self) -> Permissions:
        """Who may ask it for what."""
        return self._resources.permissions

    @property
    def card(self) -> AgentCard:
        """How it introduces itself."""
        return self._resources.credentials.card(self.address, self._model)

    @property
    def state(self) -> StudentState:
        """Its present state."""
        store = self._resources.store
        return store.state(store.head())

    def learn(self, order: LearnOrder) -> TransferId:
        """Puts an order in the queue; see `Transfers.begin`."""
        self.require_mine(order.domain)
        return self._transfers.begin(order)

    async def foretell(self, domain: str, teachers: Sequence[str]) -> Foretelling:
        """What it expects to gain from teachers; fetches no packet and records nothing.

        Raises:
            RequestError: no teacher, or too many.
            BusyError: the model is learning, or began to before all had shown a sample.
        """
        self.require_mine(domain)
        if not 1 <= len(teachers) <= MOST_TEACHERS:
            raise RequestError(
                f"expected 1 to {MOST_TEACHERS} teachers, found {len(teachers)}; ask about some of"
                " them first"
            )
        self._require_rest()
        found = await self._foreteller.foretell(domain, teachers)
        return Foretelling(found, self._resources.limits.min_outlook)

    async def answer(
        self, domain: str, questions: Sequence[str]
    ) -> tuple[tuple[AnswerView, ...], str]:
        """Answers with HEAD's skill, or with the bare model; and the digest of HEAD.

        Raises:
            RequestError: no question, or too many.
            BusyError: the model is learning.
        """
        self.require_mine(domain)
        if not 1 <= len(questions) <= MOST_QUESTIONS:
            raise RequestError(
                f"expected 1 to {MOST_QUESTIONS} questions, found {len(questions)}; ask in parts"
            )
        kept, head = await self._skill(domain)
        said = await self._resources.host.call("answer", domain, tuple(questions), kept)
        pairs = zip(questions, said, strict=True)
        return tuple(AnswerView(q, text, answer_in(text)) for q, text in pairs), head

    async def examine(self, paper: ExamPaper) -> ExamView:
        """How it does on problems drawn from a seed, as it stands.

        Raises:
            RequestError: no problem, or too many.
            BusyError: the model is learning.
        """
        self.require_mine(paper.domain)
        if not 1 <= paper.per_level <= MOST_PER_LEVEL:
            raise RequestError(
                f"expected 1 to {MOST_PER_LEVEL} problems a level, found {paper.per_level}"
            )
        kept, head = await self._skill(paper.domain)
        questions, exam = await self._resources.host.call("examine", paper, kept)
        return ExamView(questions, exam, head)

    async def unlearn(self, *, packet: PacketId | None, key: KeyId | None) -> UnlearntView:
        """Moves HEAD away from a packet, or from all that a key signed; aligns what remains."""
        packets = frozenset({packet}) if packet else frozenset[PacketId]()
        keys = frozenset({key}) if key else frozenset[KeyId]()
        async with self._transfers.moving:
            done = self._unlearning.unlearn(packets, keys)
        for its in done.realigning:
            self._transfers.realign(its.transfer)
        if done.moved:
            self._transfers.roll_back()
        return done

    async def revert(self, to: Digest) -> tuple[StudentState, bool]:
        """Moves HEAD to a state with the skills of an earlier one; that, and if it had to move.

        Raises:
            BusyError: a transfer is under way.
            NotFoundError: HEAD never pointed at `to`.
            RequestError: something that `to` holds was un-learnt since.
            RevokedKeyError: something that `to` holds was signed by a key that is revoked.
            StoreError: HEAD could not be moved.
        """
        store, now_s = self._resources.store, self._resources.clock()
        async with self._transfers.moving:
            if waiting := self._resources.journal.unfinished():
                raise BusyError(
                    f"expected a student without transfers under way, found {waiting[0].id}; go"
                    " back when it has ended (WatchTransfer)"
                )
            head, state = self.state, store.reverted(to, at_s=now_s)
            revoked = frozenset(self._resources.credentials.trust.revoked)
            if any(skill.touches(revoked) for skill in state.skills.values()):
                raise RevokedKeyError(
                    f"expected a state without anything of revoked keys, found some in {to};"
                    " un-learn it (Unlearn), then choose a later state"
                )
            if state.skills == head.skills:
                return head, False
            store.advance(state, expected=head.digest)  # whole, also if who asked hangs up
            facts = {"to": to, "head": state.digest}
            self._resources.audit.note(Deed.REVERTED, facts, at_s=now_s)
        return state, True

    @property
    def reputations(self) -> tuple[Reputation, ...]:
        """How the packets of each of its teachers have held up so far."""
        return self._resources.track_records.all(now_s=self._resources.clock())

    def history(self, limit: int) -> tuple[StudentState, ...]:
        """The states that it has been in, newest first; `limit` 0 for all."""
        states = self._resources.store.history()
        return states[:limit] if limit else states

    def _require_rest(self) -> None:
        if self._transfers.learning:
            raise BusyError(
                "expected a student at rest, found it learning with the same model; ask again when"
                " the transfer has ended (WatchTransfer)"
            )

    async def _skill(self, domain: str) -> tuple[KeptCal | None, str]:
        """The CAL of HEAD's skill, and the digest of HEAD.

        Raises:
            BusyError: the model is learning, or began to while the CAL was read.
        """
        self._require_rest()
        store, head = self._resources.store, self.state
        skill = head.skills.get(domain)
        if skill is None:
            return None, head.digest
        tensors, header = await asyncio.to_thread(store.get_cal, skill.cal)
        self._require_rest()
        return KeptCal(skill.cal, tensors, header), head.digest

    def require_mine(self, domain: str) -> None:
        """Refuses what it was not set up for.

        Raises:
            DomainError: nobody knows the domain.
            RequestError: it is none of the student's.
        """
        mine = self._resources.credentials.domains
        domains.get(domain)
        if domain not in mine:
            raise RequestError(
                f"expected one of my domains {', '.join(mine)}, found {domain}; add it to `domains`"
                " in the student's settings"
            )

    async def _deliver(self, transfer: TransferId, order: LearnOrder) -> None:
        view = self.ledger.view(transfer)
        broker = order.broker or self._broker
        await deliver(view, teachers=order.teachers, broker=broker, tls=self._resources.tls)
