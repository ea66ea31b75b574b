"""A student under attack: who lies to it, what it says, and that nothing of it has changed.

Every lie but the harmful ones is told about a packet that the student would learn from: a
defence that fails moves HEAD.
"""

import itertools
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest

from m2kt.digest import digest_from_raw, digest_of
from m2kt.errors import M2KTError
from m2kt.identity import AgentId, TransferId
from m2kt.packet import KnowledgePacket
from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt.signing import Ed25519Signer, Envelope, Signature
from m2kt.verdict import Rejected
from m2kt.wire import cards
from m2kt.wire.manifest import Manifest, TensorEntry
from m2kt_agents.client import PeerClient
from m2kt_agents.launching import RunningAgent
from m2kt_agents.offering import Offer, Settlement, offer
from m2kt_agents.parts import Chunk
from m2kt_agents.settings import Limits
from m2kt_agents.views import TransferView
from tests.packets import tiny_packet
from tests.simulator import DOMAIN, STUDENT, HostileTeacher, Town, packet_by, taught

TEACHER = AgentId("teacher")
REVOKED = AgentId("revoked")
CHUNK_BYTES = 65536
offers = itertools.count()
over_grpc = pytest.mark.asyncio(loop_scope="session")
"""For tests of the besieged student, who lives as long as the session."""


@dataclass
class Siege:
    """A student that trusts `teacher`, trusted `revoked`, and knows nobody else."""

    town: Town
    agent: RunningAgent
    student: PeerClient

    @classmethod
    async def laid(cls, town: Town) -> "Siege":
        town.trust("student", TEACHER, REVOKED)
        key = town.signer(REVOKED).key_id
        town.change_trust("student", lambda trust: trust.revoke(key, "stolen"))
        agent = await town.start("student", STUDENT)
        return cls(town, agent, town.peer(agent.address))

    def teacher(self, **lies: Any) -> HostileTeacher:
        """The trusted teacher, turned; without lies it is honest, and worth learning from."""
        lies = {"packet": worth_learning(), "chunk_bytes": CHUNK_BYTES, **lies}
        signer = lies.pop("signer", self.town.signer(TEACHER))
        return HostileTeacher(lies.pop("agent", TEACHER), signer, **lies)

    async def refuses(self, reason: Reason, **lies: Any) -> None:
        """A lie is refused for `reason` alone, pulled and pushed, and nothing changes."""
        assert reasons(await self.pulled(self.teacher(**lies))) == (reason,)
        with pytest.raises(M2KTError) as caught:
            await self.pushed(self.teacher(**lies))
        assert caught.value.reason is reason, caught.value

    async def declines(self, packet: KnowledgePacket, *wanted: Reason) -> None:
        """An authentic packet is kept sealed and not learnt from, for exactly these reasons."""
        view = await self.pulled(self.teacher(packet=packet), sealed=True)
        assert reasons(view) == wanted
        settlement = await self.pushed(self.teacher(packet=packet), sealed=True)
        assert settlement.verdict.reasons == wanted

    async def pulled(
        self, teacher: HostileTeacher, *, sealed: bool = False, limits: Limits | None = None
    ) -> TransferView:
        """The student asks `teacher` and rejects what it sends; checks that it did not change."""
        server = await self.town.serve(teacher.service, limits=limits)
        before, known = await self.witness(), self.journal()
        view, events = await taught(self.student, server.address)
        assert view.state is events[-1].state is TransferState.REJECTED
        self.declined(view.receipt, view.verdict)
        await self.unchanged(before, sealed=sealed)
        assert self.journal() == known | {view.transfer: "REJECTED"}
        return view

    async def pushed(
        self, teacher: HostileTeacher, *, sealed: bool = False, **changes: Any
    ) -> Settlement:
        """`teacher` brings its packet and is refused; checks that the student did not change."""

        async def manifest(student, nonce):
            return teacher.sealed(student.agent, nonce)

        brought = Offer(
            teacher=changes.get("card", teacher.card),
            domain=changes.get("domain", DOMAIN),
            offer_id=f"offer-{next(offers)}",
            manifest=manifest,
            chunks=teacher.chunks,
        )
        before, known = await self.witness(), self.journal()
        try:
            settlement = await offer(self.agent.address, brought, timeout_s=20)
            self.declined(settlement.receipt, settlement.verdict)
            return settlement
        finally:
            await self.unchanged(before, sealed=sealed)
            entered = {id: state for id, state in self.journal().items() if id not in known}
            assert list(entered.values()) in ([], ["REJECTED"])

    def declined(self, receipt: Envelope, verdict: Any) -> None:
        """The receipt says the same as the verdict, and that HEAD stayed."""
        signed = cards.receipt_from_bytes(receipt.payload)
        assert signed.verdict == verdict
        assert isinstance(verdict, Rejected)
        assert signed.head_before == signed.head_after

    async def unchanged(self, before: Mapping[str, str], *, sealed: bool) -> None:
        """Nothing has changed; a packet that was authentic may have been sealed."""
        after = await self.witness()
        added = [name for name in after if name not in before]
        assert {name: after[name] for name in before if name in after} == before
        assert all(sealed and name.startswith("packets/") for name in added), added
        spool = self.town.folder / "student" / "spool"
        assert not list(spool.iterdir()), "bytes were kept"

    async def witness(self) -> dict[str, str]:
        """HEAD as the student tells it, and every file of its store with its digest."""
        _, head = await self.student.describe_student(timeout_s=5)
        store = self.town.folder / "student" / "store"
        files = (path for path in sorted(store.rglob("*")) if path.is_file())
        found = {path.relative_to(store).as_posix(): digest_of(path.read_bytes()) for path in files}
        assert head.digest == (store / "HEAD").read_text()
        return found

    def journal(self) -> dict[TransferId, str]:
        """Transfers and where they stand, as another process would read it."""
        path = self.town.folder / "student" / "journal.sqlite"
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            return dict(connection.execute("SELECT id, state FROM transfers"))
        finally:
            connection.close()


def worth_learning() -> KnowledgePacket:
    """What the trusted teacher really knows."""
    return packet_by("mod7-addsub", "+-", TEACHER)


@cache
def with_nan() -> KnowledgePacket:
    """A packet that is refused by screening: quick, and after it was authenticated."""
    packet = tiny_packet(teacher=TEACHER)
    means = packet.means.clone()
    means[0, 0] = float("nan")
    return replace(packet, means=means)


def reasons(view: TransferView) -> tuple[Reason, ...]:
    assert isinstance(view.verdict, Rejected), view
    return view.verdict.reasons


# --- lies ---


def flip_bit(raw: bytes, at: float) -> bytes:
    """One bit of a byte: `at` 0 the first one, 1 the last."""
    changed = bytearray(raw)
    changed[round(at * (len(raw) - 1))] ^= 1
    return bytes(changed)


def flip_manifest(envelope: Envelope, at: float = 0.5) -> Envelope:
    return replace(envelope, payload=flip_bit(envelope.payload, at))


def flip_signature(envelope: Envelope, at: float = 0.2) -> Envelope:
    [signature] = envelope.signatures
    forged = Signature(signature.key_id, flip_bit(signature.signature, at))
    return replace(envelope, signatures=(forged,))


def flip_chunk(chunk: Chunk, index: int = 1, at: float = 0.5) -> Chunk:
    return Chunk(index, flip_bit(chunk.data, at)) if chunk.index == index else chunk


def tensor(manifest: Manifest, **changes: Any) -> Manifest:
    """Another entry for the first tensor."""
    first, *rest = manifest.tensors
    changed: TensorEntry = replace(first, **changes)
    return replace(manifest, tensors=(changed, *rest))


def many_chunks(manifest: Manifest) -> Manifest:
    """Digests for more chunks than there are bytes."""
    invented = digest_from_raw(b"\0" * 32)
    return replace(manifest, chunk_digests=(*manifest.chunk_digests, invented))


def stranger() -> Ed25519Signer:
    return Ed25519Signer.generate()
