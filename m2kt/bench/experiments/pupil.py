"""A student with a store, which learns, refuses and un-learns as an agent does, and is compared.

Owns: `Pupil`, `Snapshot`, `drawn_prompts`. Does not own: learning (m2kt.transfer), what is kept
(m2kt.store).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import torch

from m2kt.bench.delivery import NOW_S, STUDENT, Delivery, Post
from m2kt.cal import ConceptAlignmentLayer, attached
from m2kt.completion import batches_by_length
from m2kt.digest import Digest, digest_of
from m2kt.domain import Domain
from m2kt.identity import PacketId
from m2kt.language_model import LanguageModel
from m2kt.progress import silent
from m2kt.store import Skill, Store, StudentState
from m2kt.student import Student
from m2kt.tensors import bytes_of, digest_state
from m2kt.transfer import Outcome, Taught, TransferRules, run_transfer
from m2kt.zoo.symbols import symbol_document

BATCH = 64
"""Prompts that are read side by side."""


@final
@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a student is at one time.

    Attributes:
        head: Digest of its state.
        skill: What it can do in the domain, and from which packets.
        cal: Digest of the CAL's tensors, as read from the store.
        weights: Digest of the frozen weights.
        logits: Of each prompt a digest of the logits after its last token, every bit.
        said: Completions of the domain's questions.
    """

    head: Digest
    skill: Skill | None
    cal: Digest
    weights: Digest
    logits: tuple[Digest, ...] = field(repr=False)
    said: tuple[str, ...] = field(repr=False)

    def restored(self, later: "Snapshot") -> bool:
        """Whether `later` has the same skill, tensors, weights and outputs, bit for bit."""
        parts = ("skill", "cal", "weights", "logits", "said")
        return all(getattr(self, name) == getattr(later, name) for name in parts)

    def unmoved(self, later: "Snapshot") -> bool:
        """Whether `later` is besides of the same HEAD."""
        return self.restored(later) and self.head == later.head

    def changed(self, later: "Snapshot") -> float:
        """Share of prompts whose logits are not the same."""
        pairs = zip(self.logits, later.logits, strict=True)
        return sum(one != other for one, other in pairs) / len(self.logits)


def drawn_prompts(domain: Domain, count: int, seed: int) -> list[tuple[str, int]]:
    """Prompts and their levels: half are questions of the domain, half other games, level 0."""
    rng = random.Random(f"prompts {seed}")
    questions = (domain.question(rng, rng.choice(domain.levels)) for _ in range(count // 2))
    found = [(f"{its.text}\n", its.level) for its in questions]
    return found + [(symbol_document(rng)[0], 0) for _ in range(count - len(found))]


@final
@dataclass(slots=True, eq=False)
class Pupil:
    """A student of one domain and one teacher.

    Attributes:
        store: Its history.
        model: Its frozen model.
        domain: What it learns.
        post: How packets come.
    """

    store: Store
    model: LanguageModel
    domain: Domain
    post: Post

    @property
    def skill(self) -> Skill | None:
        """What it can do today."""
        return self.store.state(self.store.head()).skills.get(self.domain.name)

    @property
    def cal(self) -> ConceptAlignmentLayer | None:
        """The CAL that it carries today, made anew from what the store has."""
        its = self.skill
        if its is None:
            return None
        return ConceptAlignmentLayer.from_tensors(*self.store.get_cal(its.cal))

    def learn(self, delivery: Delivery, rules: TransferRules) -> Outcome:
        """Learns from a packet and from those that it learnt from before; HEAD moves, or not."""
        name, its = delivery.packet.packet_id, self.skill
        self.store.packets.put(name, delivery.envelope, delivery.payload)
        kept = its.lineage if its else ()
        earlier = [self.post.open(*self.store.packets.get(packet)).packet for packet in kept]
        student = Student(STUDENT, self.model, self.cal, frozenset(kept))
        packets = [*earlier, delivery.packet]
        outcome = run_transfer(student, packets, self.domain, rules, silent)
        if isinstance(outcome, Taught):
            self._keep(outcome, delivery)
        return outcome

    def _keep(self, outcome: Taught, delivery: Delivery) -> None:
        head, cal = self.store.head(), outcome.candidate.cal
        kept = self.store.put_cal(cal.tensors(), cal.header())
        skill = Skill(kept, outcome.candidate.lineage, delivery.packet.signers)
        state = StudentState(
            parent=head,
            transfer=None,
            at_s=NOW_S,
            note=f"learnt {self.domain.name}",
            skills={**self.store.state(head).skills, self.domain.name: skill},
        )
        self.store.advance(state, expected=head)

    def unlearn(self, packet: PacketId) -> None:
        """Moves HEAD to a state whose lineage does not hold the packet."""
        state = self.store.unlearnt(packets={packet}, at_s=NOW_S)
        self.store.advance(state, expected=self.store.head())

    def snapshot(self, prompts: Sequence[tuple[str, int]], completed: int) -> Snapshot:
        """What it is now. Outputs are computed with the CAL that HEAD names.

        Args:
            prompts: Texts, and their levels; 0 for what is no question of the domain.
            completed: How many questions are answered in full.
        """
        cal, asked = self.cal, [(text[:-1], level) for text, level in prompts if level]
        tensors = cal.tensors() if cal is not None else {}
        student = Student(STUDENT, self.model)
        return Snapshot(
            head=self.store.head(),
            skill=self.skill,
            cal=digest_state({name: its.detach() for name, its in tensors.items()}),
            weights=digest_state(self.model.model.state_dict()),
            logits=self._logits([text for text, _ in prompts], cal),
            said=tuple(student.completions(self.domain, asked[:completed], cal)),
        )

    @torch.no_grad()
    def _logits(
        self, texts: Sequence[str], cal: ConceptAlignmentLayer | None
    ) -> tuple[Digest, ...]:
        """Of each text a digest of the logits after its last token."""
        rows = [self.model.encode(text) for text in texts]
        found: dict[int, Digest] = {}
        for batch in batches_by_length(rows, BATCH):
            ids = self.model.padded([rows[number] for number in batch])
            if cal is None:
                logits = self.model.model(ids).logits
            else:
                with attached(self.model, cal):
                    logits = self.model.model(ids).logits
            for line, number in enumerate(batch):
                found[number] = digest_of(bytes_of(logits[line, len(rows[number]) - 1]))
        return tuple(found[number] for number in range(len(rows)))
