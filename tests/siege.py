"""A student under attack: who lies to it, what it says, and that nothing of it has changed."""

from dataclasses import dataclass, replace
from typing import Any

from m2kt.digest import digest_from_raw
from m2kt.identity import AgentId
from m2kt.packet import KnowledgePacket
from m2kt.reasons import Reason
from m2kt.signing import Ed25519Signer, Envelope, Signature
from m2kt.verdict import Rejected
from m2kt.wire.manifest import Manifest
from m2kt_agents.client import PeerClient
from m2kt_agents.launching import RunningAgent
from m2kt_agents.parts import Chunk
from m2kt_agents.views import TransferView
from tests.packets import tiny_packet
from tests.simulator import STUDENT, HostileTeacher, Town, taught

TEACHER = AgentId("teacher")
REVOKED = AgentId("revoked")


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
        """The trusted teacher, turned."""
        return HostileTeacher(TEACHER, lies.pop("signer", self.town.signer(TEACHER)), **lies)

    async def pulled(self, teacher: HostileTeacher) -> TransferView:
        """The student asks `teacher`; checks that it did not change."""
        server = await self.town.serve(teacher.service)
        before = await self.witness()
        view, _ = await taught(self.student, server.address)
        assert await self.witness() == before, "the student has changed"
        assert not list((self.town.folder / "student" / "spool").iterdir()), "bytes were kept"
        return view

    async def witness(self) -> tuple[str, ...]:
        """HEAD and everything it can reach."""
        _, head = await self.student.describe_student(timeout_s=5)
        states = await self.student.history(timeout_s=5)
        store = self.town.folder / "student" / "store"
        return (
            head.digest,
            *(s.digest for s in states),
            *sorted(map(str, store.glob("objects/*"))),
        )


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


def flip_manifest(envelope: Envelope) -> Envelope:
    """One bit of the signed bytes."""
    payload = bytearray(envelope.payload)
    payload[len(payload) // 2] ^= 1
    return replace(envelope, payload=bytes(payload))


def flip_signature(envelope: Envelope) -> Envelope:
    signature = envelope.signatures[0]
    raw = bytearray(signature.signature)
    raw[10] ^= 1
    return replace(envelope, signatures=(Signature(signature.key_id, bytes(raw)),))


def unsigned(envelope: Envelope) -> Envelope:
    return replace(envelope, signatures=())


def other_type(envelope: Envelope) -> Envelope:
    """The signed bytes of a manifest, said to be a receipt."""
    return replace(envelope, payload_type="application/vnd.m2kt.receipt.v1+protobuf")


def flip_chunk(chunk: Chunk) -> Chunk:
    data = bytearray(chunk.data)
    data[len(data) // 2] ^= 1
    return Chunk(chunk.index, bytes(data)) if chunk.index == 1 else chunk


def long_chunk(chunk: Chunk) -> Chunk:
    return Chunk(chunk.index, chunk.data + b"\0" * 100)


def other_index(chunk: Chunk) -> Chunk:
    return Chunk(chunk.index + 1, chunk.data)


def shape_bomb(manifest: Manifest) -> Manifest:
    """A tensor of 2^62 rows in a few bytes."""
    first, *rest = manifest.tensors
    return replace(manifest, tensors=(replace(first, shape=(2**62, 4)), *rest))


def oversize(manifest: Manifest) -> Manifest:
    return replace(manifest, payload_bytes=2**50)


def many_chunks(manifest: Manifest) -> Manifest:
    """Digests for more chunks than there are bytes."""
    invented = digest_from_raw(b"\0" * 32)
    return replace(manifest, chunk_digests=(*manifest.chunk_digests, invented))


def other_domain(manifest: Manifest) -> Manifest:
    return replace(manifest, domain="arith.mod5")


def stranger() -> Ed25519Signer:
    return Ed25519Signer.generate()
