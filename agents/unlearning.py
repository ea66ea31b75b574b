"""Un-learning by provenance: what a packet or a key stands for, and what is owed for it.

HEAD moves away at once, to the best state of the history. Where no state holds all that
remains of a lineage, the rest is to be aligned anew, in a transfer of its own. That is
entered before HEAD moves: after a crash in between, whoever finds it un-learns first.

Owns: `Unlearning`.
Does not own: which state is the best (m2kt.history), carrying transfers out (transfers).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

from m2kt.audit import Deed
from m2kt.digest import Digest, digest_of
from m2kt.errors import NotFoundError, StoreError
from m2kt.history import StudentState, could_go_back_to, ever_unlearnt
from m2kt.identity import KEY_ID_PATTERN, KeyId, PacketId, TransferId
from m2kt.progress import Progress, TransferState
from m2kt.wire import cards

from .ledger import Ledger
from .orders import LearnOrder, order_from_json
from .resources import StudentResources
from .views import Realignment, UnlearntView, state_view


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A transfer that has not ended: what it is for, and the packets that it is about."""

    transfer: TransferId
    order: LearnOrder
    packets: tuple[PacketId, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a kept packet's manifest says: whose signatures it bears, and over what content."""

    signers: frozenset[KeyId]
    content: Digest


@dataclass(frozen=True, slots=True)
class _Case:
    """One un-learning, before it is done.

    Attributes:
        history: Every state, newest first.
        waiting: Transfers that have not ended.
        kept: What is known of each packet of these.
        packets: Those that are meant: named, signed by a key that was named, or of equal content.
        keys: Those that were named.
    """

    history: tuple[StudentState, ...]
    waiting: tuple[_Waiting, ...]
    kept: dict[PacketId, _Kept]
    packets: frozenset[PacketId]
    keys: frozenset[KeyId]

    @property
    def names(self) -> frozenset[PacketId | KeyId]:
        """All that is to be un-learnt."""
        return self.packets | self.keys

    @property
    def contents(self) -> dict[PacketId, Digest]:
        """Digests of what the packets contain."""
        return {packet: its.content for packet, its in self.kept.items()}

    @property
    def hit(self) -> tuple[_Waiting, ...]:
        """Transfers that have not ended and would learn from what is meant, as far as is known."""
        news = self.packets - ever_unlearnt(self.history)
        return tuple(its for its in self.waiting if not news.isdisjoint(its.packets))

    @property
    def open(self) -> bool:
        """Whether HEAD, a state that it could go back to, or a transfer under way rests on it."""
        return bool(self.hit) or could_go_back_to(self.history, self.names)


@final
class Unlearning:
    """Moves HEAD away from packets and keys. Its calls block, and are quick: no payload is read."""

    def __init__(self, resources: StudentResources, ledger: Ledger) -> None:
        self._resources = resources
        self._ledger = ledger

    def unlearn(self, packets: frozenset[PacketId], keys: frozenset[KeyId]) -> UnlearntView:
        """Un-learns; a second time it changes nothing. Nobody else may move HEAD meanwhile.

        Raises:
            StoreError: HEAD could not be moved. What was entered is done after the next start.
        """
        case, store = self._case(packets, keys), self._resources.store
        head = case.history[0]
        names = tuple(sorted(case.names))
        if not case.open:
            busy = tuple(
                Realignment(its.order.domain, its.transfer)
                for its in case.waiting
                if not (packets | keys).isdisjoint(its.order.unlearnt)
            )
            view = state_view(head)
            return UnlearntView(head=view, moved=False, realigning=busy, unlearnt=names)
        state = store.unlearnt(
            packets=case.packets,
            keys=case.keys,
            contents=case.contents,
            at_s=self._resources.clock(),
        )
        owed = tuple(self._owed(case, state))
        digest = store.advance(state, expected=head.digest)
        facts = {"names": " ".join(names), "head": digest}
        self._resources.audit.note(Deed.UNLEARNT, facts, at_s=state.at_s)
        return UnlearntView(head=state_view(state), moved=True, realigning=owed, unlearnt=names)

    def recover(self) -> None:
        """Ends what a crash has interrupted, and un-learns what keys signed that were revoked."""
        for its in self._waiting():
            names = frozenset(its.order.unlearnt)
            if not names <= ever_unlearnt(self._resources.store.history()):
                keys = frozenset(KeyId(name) for name in names if KEY_ID_PATTERN.fullmatch(name))
                self.unlearn(frozenset(PacketId(name) for name in names - keys), keys)
        if revoked := frozenset(self._resources.credentials.trust.revoked):
            self.unlearn(frozenset(), revoked)

    def _case(self, packets: frozenset[PacketId], keys: frozenset[KeyId]) -> _Case:
        history, waiting = self._resources.store.history(), self._waiting()
        skills = [skill for state in history for skill in state.skills.values()]
        learnt = frozenset(packet for skill in skills for packet in skill.lineage)
        coming = frozenset(packet for its in waiting for packet in its.packets)
        kept = self._kept(packets | learnt | coming)
        signed = frozenset(its for its in kept if not keys.isdisjoint(kept[its].signers))
        # A content is condemned by who was believed: what came once and was not learnt from may
        # be a copy that somebody made of another's packet, to have it un-learnt.
        guilty = packets | (signed & learnt)
        contents = {kept[packet].content for packet in guilty if packet in kept}
        equal = frozenset(packet for packet, its in kept.items() if its.content in contents)
        return _Case(history, waiting, kept, guilty | equal | (signed & coming), keys)

    def _waiting(self) -> tuple[_Waiting, ...]:
        return tuple(
            _Waiting(record.id, order_from_json(record.request.decode()), record.packets)
            for record in self._resources.journal.unfinished()
        )

    def _kept(self, packets: Iterable[PacketId]) -> dict[PacketId, _Kept]:
        """What is known of packets; a manifest that is lost or damaged says nothing."""
        found = {}
        for packet in packets:
            try:
                raw, content = self._resources.store.packets.manifest(packet)
            except StoreError:
                continue
            signatures = cards.envelope_from_bytes(raw).signatures
            found[packet] = _Kept(frozenset(its.key_id for its in signatures), content)
        return found

    def _owed(self, case: _Case, state: StudentState) -> Iterable[Realignment]:
        """Enters for each domain what `state` lacks of the packets that remain."""
        hit = [its for its in case.hit if its.order.unlearnt]
        touched = [name for name, its in case.history[0].skills.items() if its.touches(case.names)]
        left_out = case.names.union(*(its.order.unlearnt for its in hit))
        for domain in sorted({*touched, *(its.order.domain for its in hit)}):
            stopped = [its for its in hit if its.order.domain == domain]
            rest = _rest(case, domain, stopped)
            skill = state.skills.get(domain)
            if not rest or (skill is not None and skill.covers(rest, case.contents)):
                continue
            strategies = [its.order.strategy for its in stopped]
            strategy = (*strategies, self._strategy(case.history, domain))[0]
            key = digest_of("/".join([case.history[0].digest, domain, *sorted(left_out)]).encode())
            order = LearnOrder(
                domain=domain,
                key=key.removeprefix("b3:"),
                strategy=strategy,
                unlearnt=tuple(sorted(left_out)),
            )
            yield Realignment(domain, self._entered(order, rest))

    def _entered(self, order: LearnOrder, rest: Sequence[PacketId]) -> TransferId:
        transfer, _ = self._ledger.begin(order)
        if self._ledger.state(transfer) is TransferState.OFFERED:
            news = f"{len(rest)} packets remain of what was un-learnt, to be aligned anew"
            progress = Progress(news, {}, TransferState.AUTHENTICATED)
            self._ledger.tell(transfer, progress, packets=rest)
        return transfer

    def _strategy(self, history: Sequence[StudentState], domain: str) -> str:
        """How the packets of HEAD's skill were combined; empty for the student's own rule."""
        skill = history[0].skills.get(domain)
        for state, before in pairwise(history):
            brought = state.skills.get(domain) == skill != before.skills.get(domain)
            if brought and state.transfer is not None:
                try:
                    record = self._resources.journal.transfer(state.transfer)
                except NotFoundError:
                    return ""  # the state is older than the journal
                return order_from_json(record.request.decode()).strategy
        return ""


def _rest(case: _Case, domain: str, stopped: Sequence[_Waiting]) -> tuple[PacketId, ...]:
    """The packets of HEAD's skill, and of re-alignments that are stopped, that remain."""
    skill = case.history[0].skills.get(domain)
    lineages = [skill.lineage if skill else (), *(its.packets for its in stopped)]
    named = dict.fromkeys(packet for lineage in lineages for packet in lineage)
    return tuple(its for its in named if its in case.kept and its not in case.packets)
