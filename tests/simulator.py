"""Agents for tests: real ones on 127.0.0.1, and a teacher that lies when it is told to.

`Town` starts real agents in this process, with real keys, stores and gRPC. `HostileTeacher`
serves real gRPC too, and each of its knobs is one lie.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self, TypeVar

from m2kt import domains, zoo
from m2kt.extract import ExtractConfig, extract_packet
from m2kt.identity import AgentCard, AgentId, Role, TransferId
from m2kt.language_model import load_language_model
from m2kt.packet import KnowledgePacket
from m2kt.progress import Event
from m2kt.signing import Ed25519Signer, Envelope, sign_envelope
from m2kt.transferability import sample_of
from m2kt.trust import TrustStore, load_trust, save_trust
from m2kt.wire import cards, samples
from m2kt.wire import manifest as wire_manifest
from m2kt.wire.chunks import SealHeader, seal
from m2kt.wire.manifest import MANIFEST_TYPE, Manifest, manifest_to_bytes
from m2kt.wire.packets import encode_packet
from m2kt.wire.v1 import envelope_pb2
from m2kt.wire.v1 import teacher_service_pb2 as pb
from m2kt.wire.v1.teacher_service_pb2_grpc import TeacherServiceServicer
from m2kt_agents.certificates import Authority
from m2kt_agents.client import PeerClient
from m2kt_agents.faultbench import pupil
from m2kt_agents.launching import MakeHost, RunningAgent, start_agent
from m2kt_agents.parts import Chunk
from m2kt_agents.server import RunningServer, Service, serve
from m2kt_agents.settings import Limits, TlsFiles, settings_from
from m2kt_agents.views import TransferView
from tests.packets import tiny_packet

DOMAIN, STUDENT, PATIENT = pupil.DOMAIN, pupil.STUDENT, pupil.PATIENT
ALIGN = pupil.ALIGN
ADDER = {"name": "mod7-addsub", "threads": 1}
MULTIPLIER = {"name": "mod7-mul", "threads": 1}
EXTRACT = {"traces_per_level": 12}
TEACHER: Mapping[str, Any] = {"role": "teacher", "model": ADDER, "extract": EXTRACT}


class Town:
    """Agents that know one another. Use it in an `async with`.

    Attributes:
        folder: Everything that they keep.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[RunningAgent] = []
        self._servers: list[RunningServer] = []
        self._clients: list[PeerClient] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.close()
        for agent in reversed(self._running):
            await agent.drain(0.2)
        for server in self._servers:
            await server.drain(0.2)

    def signer(self, agent: str) -> Ed25519Signer:
        """The agent's key, made when it is first asked for."""
        path = self.folder / agent / "key.pem"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            Ed25519Signer.generate().save(path)
        return Ed25519Signer.load(path)

    def trust(self, who: str, *others: str) -> None:
        """Enrols keys of `others` in the trust store of `who`."""
        path = self.folder / who / "trust.json"
        store = load_trust(path)
        for other in others:
            store = store.enrol(self.signer(other).key_id, AgentId(other))
        save_trust(path, store)

    def change_trust(self, who: str, change: Callable[[TrustStore], TrustStore]) -> None:
        path = self.folder / who / "trust.json"
        save_trust(path, change(load_trust(path)))

    async def start(
        self,
        name: str,
        table: Mapping[str, Any],
        *,
        clock: Callable[[], float] = time.time,
        make_host: MakeHost | None = None,
    ) -> RunningAgent:
        """Starts an agent of that name with settings from `table`."""
        self.signer(name)
        full = {"name": name, "domains": [DOMAIN], "data_dir": name, **table}
        settings = settings_from(full, base=self.folder, environ={})
        agent = await start_agent(settings, make_host=make_host, clock=clock)
        self._running.append(agent)
        return agent

    async def stop(self, agent: RunningAgent, grace_s: float = 0.2) -> None:
        self._running.remove(agent)
        await agent.drain(grace_s)

    async def serve(self, *services: Service, limits: Limits | None = None) -> RunningServer:
        """Serves anything else until the end."""
        server = await serve(services, "127.0.0.1:0", limits=limits or Limits())
        self._servers.append(server)
        return server

    def certify(self, agent: str, **named: Any) -> TlsFiles:
        """A certificate for `agent` of the town's authority, for 127.0.0.1."""
        authority = Authority(self.folder / "certs")
        return authority.issue(AgentId(agent), hosts=["127.0.0.1"], **named)

    def peer(self, address: str, tls: TlsFiles | None = None) -> PeerClient:
        """A client that is closed at the end."""
        self._clients.append(PeerClient(address, tls=tls))
        return self._clients[-1]


async def ended(
    student: PeerClient, transfer: TransferId, timeout_s: float = 60.0
) -> tuple[TransferView, list[Event]]:
    """Waits until a transfer has ended: what it is then, and all its events."""
    events = [event async for event in student.watch(transfer, timeout_s=timeout_s)]
    return await student.transfer(transfer, timeout_s=5.0), events


async def taught(
    student: PeerClient, *teachers: str, timeout_s: float = 60.0, **named: Any
) -> tuple[TransferView, list[Event]]:
    """One whole transfer by pull."""
    transfer = await student.learn(DOMAIN, teachers=teachers, timeout_s=5.0, **named)
    return await ended(student, transfer, timeout_s)


async def until(condition: Callable[[], bool], *, timeout_s: float = 10.0) -> None:
    """Waits until `condition` holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.01)


@cache
def packet_by(model: str, operations: str, agent: str) -> KnowledgePacket:
    """What a real model of the zoo knows; extracted once for all tests."""
    domain = domains.get(DOMAIN)
    grammar = domain.restrict(domain.concepts_of(operations))
    teacher = load_language_model(str(zoo.folder(model)))
    config = ExtractConfig(traces_per_level=12)
    return extract_packet(teacher, grammar, config, agent=AgentId(agent), now_s=time.time())


def adder(town: "Town", agent: str = "adder", **lies: Any) -> "HostileTeacher":
    """A teacher of + and - with a real packet; honest unless told to lie."""
    packet = packet_by("mod7-addsub", "+-", agent)
    return HostileTeacher(
        AgentId(agent), town.signer(agent), packet=packet, chunk_bytes=65536, **lies
    )


def multiplier(town: "Town", agent: str = "multiplier", **lies: Any) -> "HostileTeacher":
    """A teacher of * with a real packet; honest unless told to lie."""
    packet = packet_by("mod7-mul", "*", agent)
    return HostileTeacher(
        AgentId(agent), town.signer(agent), packet=packet, chunk_bytes=65536, **lies
    )


T = TypeVar("T")


def same(value: T) -> T:
    """No lie."""
    return value


@dataclass
class HostileTeacher(TeacherServiceServicer):
    """A teacher whose every knob is one lie; with none turned it is honest.

    Attributes:
        agent: The name under which it signs.
        signer: Its key.
        packet: What it sends.
        audience: For whom it signs; None for whoever asks.
        nonce: What it repeats; None for what it was asked.
        issued_at_s: When it says that it signed; None for now.
        ttl_s: For how long it says that holds.
        edit: Changes the manifest before it is signed.
        spoil_envelope: Changes the envelope after it was signed.
        spoil_chunk: Changes a chunk on its way.
        spoil_sample: Changes the sample that it shows beforehand.
        cut_after: Chunks after which the stream breaks off, once.
        chunk_bytes: Length of a chunk.
        replay: A whole stream that is sent in place of another.
    """

    agent: AgentId
    signer: Ed25519Signer
    packet: KnowledgePacket | None = None
    audience: AgentId | None = None
    nonce: bytes | None = None
    issued_at_s: float | None = None
    ttl_s: float = 600.0
    edit: Callable[[Manifest], Manifest] = same
    spoil_envelope: Callable[[Envelope], Envelope] = same
    spoil_chunk: Callable[[Chunk], Chunk] = same
    spoil_sample: Callable[[pb.SampleConceptsResponse], pb.SampleConceptsResponse] = same
    cut_after: int | None = None
    chunk_bytes: int = 4096
    replay: list[pb.StreamPacketResponse] | None = None
    asked: list[pb.StreamPacketRequest] = field(default_factory=list)
    receipts: list[Envelope] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.taught = self.packet or tiny_packet(teacher=self.agent)
        self.encoded = encode_packet(self.taught, chunk_bytes=self.chunk_bytes)

    @property
    def card(self) -> AgentCard:
        return AgentCard(
            agent=self.agent,
            role=Role.TEACHER,
            address="",
            key_id=self.signer.key_id,
            public_key=self.signer.public_key,
            domains=(DOMAIN,),
            model=None,
            software="simulator",
        )

    def sealed(self, audience: AgentId, nonce: bytes) -> Envelope:
        """The signed manifest, with all lies that concern it."""
        header = SealHeader(
            audience=self.audience or audience,
            nonce=nonce if self.nonce is None else self.nonce,
            sequence=1,
            issued_at_s=time.time() if self.issued_at_s is None else self.issued_at_s,
            ttl_s=self.ttl_s,
        )
        honest = seal(self.encoded, self.signer, header)
        manifest = self.edit(manifest_of(honest.envelope))
        raw = manifest_to_bytes(manifest)
        return self.spoil_envelope(sign_envelope(MANIFEST_TYPE, raw, self.signer))

    def chunks(self, first: int = 0) -> list[Chunk]:
        size, payload = self.chunk_bytes, self.encoded.payload
        count = len(self.encoded.chunk_digests)
        whole = (Chunk(i, payload[i * size : (i + 1) * size]) for i in range(first, count))
        return [self.spoil_chunk(chunk) for chunk in whole]

    async def DescribeTeacher(self, request, context):
        return pb.DescribeTeacherResponse(teacher=cards.card_to_wire(self.card))

    async def SampleConcepts(self, request, context):
        sample = sample_of(self.taught, depth=self.taught.provenance.layer)
        return self.spoil_sample(samples.sample_to_wire(sample))

    async def StreamPacket(self, request, context) -> AsyncIterator[pb.StreamPacketResponse]:
        self.asked.append(request)
        if self.replay is not None:
            for message in self.replay:
                yield message
            return
        student = cards.card_from_wire(request.student)
        envelope = self.sealed(student.agent, request.nonce)
        yield pb.StreamPacketResponse(manifest=cards.envelope_to_wire(envelope))
        for number, chunk in enumerate(self.chunks(request.from_chunk)):
            if number == self.cut_after:
                self.cut_after = None
                return
            yield pb.StreamPacketResponse(chunk=chunk_to_wire(chunk))

    async def RecordReceipt(self, request, context):
        self.receipts.append(cards.envelope_from_wire(request.receipt))
        return pb.TeacherServiceRecordReceiptResponse()

    @property
    def service(self) -> Service:
        return Service(pb.DESCRIPTOR.services_by_name["TeacherService"], self)


def chunk_to_wire(chunk: Chunk) -> envelope_pb2.Chunk:
    """As a message of the generated code: what programs in other languages send."""
    return envelope_pb2.Chunk(index=chunk.index, data=bytes(chunk.data))


def manifest_of(envelope: Envelope) -> Manifest:
    """The manifest in an envelope, believed."""
    return wire_manifest._manifest_from(wire_manifest.read_message(envelope.payload))
