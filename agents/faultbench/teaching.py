"""Honest teachers behind bad connections, and what they send more than once.

Owns: `Teaching`, `School`. Does not own: faults (proxy), who learns (soak).
"""

import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, Self, final

from m2kt import domains, zoo
from m2kt.extract import ExtractConfig, extract_packet
from m2kt.identity import AgentId
from m2kt.language_model import load_language_model
from m2kt.packet import KnowledgePacket
from m2kt.signing import Ed25519Signer, Envelope
from m2kt.wire import cards
from m2kt.wire.chunks import SealHeader, seal
from m2kt.wire.packets import encode_packet
from m2kt.wire.v1 import teacher_service_pb2 as pb

from ..lecturer import trained_on
from ..parts import Chunk
from ..server import RunningServer, Service, serve
from ..settings import Limits
from .proxy import Fault, FaultProxy, Strike
from .pupil import DOMAIN

CHUNK_BYTES: Final = 16384
WEIGHTS: Final[Mapping[Fault, float]] = {
    Fault.LATENCY: 2,
    Fault.BANDWIDTH: 2,
    Fault.SLICER: 2,
    Fault.RESET: 5,
    Fault.HALF_CLOSE: 2,
    Fault.BLACK_HOLE_DOWN: 0.1,
    Fault.BLACK_HOLE_UP: 0.1,
    Fault.CORRUPT: 0.2,
}
"""How often each fault is drawn beside the others: the last three may end a transfer."""
ADDER, MULTIPLIER, HARMFUL = AgentId("adder"), AgentId("multiplier"), AgentId("harmful")


def packets() -> dict[AgentId, KnowledgePacket]:
    """What each teacher sends: two that are worth learning, and one that is not finite."""
    adding = _packet(ADDER, "mod7-addsub")
    means = adding.means.clone()
    means[0, 0] = float("nan")
    harmful = replace(adding, means=means, provenance=replace(adding.provenance, teacher=HARMFUL))
    return {ADDER: adding, MULTIPLIER: _packet(MULTIPLIER, "mod7-mul"), HARMFUL: harmful}


def _packet(agent: AgentId, model: str) -> KnowledgePacket:
    grammar = trained_on(model, domains.get(DOMAIN))
    teacher = load_language_model(str(zoo.folder(model)))
    config = ExtractConfig(traces_per_level=12)
    return extract_packet(teacher, grammar, config, agent=agent, now_s=time.time())


@final
class Teaching:
    """A teacher with one packet, sealed for whoever asks.

    Attributes:
        again: For each time that a student came back, chunks it asked for though it held them.
        resent_bytes: For each of these times, bytes that had passed for nothing: of chunks that
            were cut, were on their way, or had to be sent again; heads and manifests, too.
        receipts: That students have signed.
        spool: Where the student of the moment keeps chunks.
        passed: Says how many bytes have passed to students.
    """

    def __init__(self, agent: AgentId, signer: Ed25519Signer, packet: KnowledgePacket) -> None:
        self.again: list[int] = []
        self.resent_bytes: list[int] = []
        self.receipts: list[Envelope] = []
        self.spool = Path()
        self.passed: Callable[[], int] = int
        self.encoded = encode_packet(packet, chunk_bytes=CHUNK_BYTES)
        self._agent, self._signer = agent, signer
        self._sequence = 0
        self._last: tuple[int, int] | None = None

    def begin(self, spool: Path) -> None:
        """Another transfer begins, of a student who spools there."""
        self.spool, self._last = spool, None

    async def StreamPacket(
        self, request: pb.StreamPacketRequest, context: object
    ) -> AsyncIterator[pb.StreamPacketResponse | Chunk]:
        """The packet from the chunk that is asked for."""
        self._note_return(request.from_chunk)
        self._sequence += 1
        header = SealHeader(
            audience=cards.card_from_wire(request.student).agent,
            nonce=request.nonce,
            sequence=self._sequence,
            issued_at_s=time.time(),
            ttl_s=600.0,
        )
        sealed = seal(self.encoded, self._signer, header)
        yield pb.StreamPacketResponse(manifest=cards.envelope_to_wire(sealed.envelope))
        for index, data in sealed.chunks(request.from_chunk):
            yield Chunk(index, data)

    async def RecordReceipt(
        self, request: pb.TeacherServiceRecordReceiptRequest, context: object
    ) -> pb.TeacherServiceRecordReceiptResponse:
        """Keeps the receipt."""
        self.receipts.append(cards.envelope_from_wire(request.receipt))
        return pb.TeacherServiceRecordReceiptResponse()

    def _note_return(self, first: int) -> None:
        if self._last is not None:
            held = sum(part.stat().st_size for part in self.spool.glob("*.part")) // CHUNK_BYTES
            self.again.append(max(0, held - first))
            passed, began = self.passed() - self._last[0], self._last[1]
            self.resent_bytes.append(max(0, passed - (first - began) * CHUNK_BYTES))
        self._last = (self.passed(), first)


@final
class School:
    """The teachers of one student, each behind a proxy of its own. Use it in an `async with`."""

    def __init__(self, signers: Mapping[AgentId, Ed25519Signer], seed: int) -> None:
        """Serves nothing yet.

        Args:
            signers: The teachers' keys.
            seed: Of all faults.
        """
        made, rng = packets(), random.Random(seed)
        self.teachers = {name: Teaching(name, signers[name], made[name]) for name in made}
        self.proxies: dict[AgentId, FaultProxy] = {}
        self._draw = partial(_drawn, rng)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for number, (name, teacher) in enumerate(self.teachers.items()):
            service = Service(pb.DESCRIPTOR.services_by_name["TeacherService"], teacher)
            server = await serve([service], "127.0.0.1:0", limits=Limits())
            self._stack.push_async_callback(_drained, server)
            proxy = FaultProxy(server.address, self._draw, seed=number)
            self.proxies[name] = await self._stack.enter_async_context(proxy)
            teacher.passed = partial(getattr, proxy, "passed")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def struck(self) -> Counter[Fault]:
        """How often each fault has struck."""
        return sum((proxy.struck for proxy in self.proxies.values()), Counter[Fault]())


async def _drained(server: RunningServer) -> None:
    await server.drain(0.2)


def _drawn(rng: random.Random) -> Strike:
    [fault] = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))
    return Strike(fault, after=rng.randrange(8_000, 160_000), span=rng.randrange(16_000, 65_000))
