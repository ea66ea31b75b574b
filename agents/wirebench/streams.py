"""Ways to send the same bytes over gRPC, each with both of its ends.

    raw         identity serializers, bytes that are there already, dropped by the receiver
    naive       generated messages, each chunk with its SHA-256 and a signature of that
    ours        StreamPacket: signed manifest, chunks held against it, into warm memory
    spooled     the same, into a file, as a student does it

Owns: `SENDERS`, the handlers of a server; `RECEIVERS`, what a client does with each.
Does not own: processes (ends), what is compared (measure).
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import grpc
from grpc import aio

from m2kt.signing import Ed25519Signer, Envelope, Signature, require_valid
from m2kt.trust import key_id_of
from m2kt.wire import cards
from m2kt.wire.chunks import Assembly
from m2kt.wire.v1 import envelope_pb2
from m2kt.wire.v1 import teacher_service_pb2 as pb

from ..methods import decoder, dialled, encoder, handlers
from ..overlap import overlapped
from ..parts import Chunk, part_of
from .load import KEY, MIB, Load, admitted, cut, limits_for

SERVICE: Final = pb.DESCRIPTOR.services_by_name["TeacherService"]
RAW: Final = "/bench/Raw"
NAIVE: Final = "/bench/Naive"
SMALL: Final = "/bench/Small"
SMALL_BYTES: Final = 10_000
TIMEOUT_S: Final = 600.0


class Sender:
    """The servicers of one load: ours by its own service, the others beside it."""

    def __init__(self, load: Load) -> None:
        encoded = load.encoded
        self._load = load
        self._count = len(encoded.chunk_digests)
        self._signer = Ed25519Signer(KEY)
        self._small_load = cut(bytes(memoryview(encoded.payload)[:SMALL_BYTES]), MIB)
        self._blocks: list[bytes] = []
        self.sealed_times = 0
        self.sent = 0

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """For a server."""
        plain = {RAW: self._raw, NAIVE: self._naive, SMALL: self._small}
        return handlers(SERVICE, self), _Plain(plain)

    async def StreamPacket(
        self, request: pb.StreamPacketRequest, context: object
    ) -> AsyncIterator[pb.StreamPacketResponse | Chunk]:
        """A packet, as a teacher streams it."""
        sealed = self._load.sealed()
        self.sealed_times += 1
        yield pb.StreamPacketResponse(manifest=cards.envelope_to_wire(sealed.envelope))
        for index, data in sealed.chunks():
            self.sent = index
            yield Chunk(index, data)

    async def _raw(self, request: bytes, context: object) -> AsyncIterator[bytes]:
        if not self._blocks:  # made when they are wanted: no other way pays for their memory
            self._blocks = [bytes(data) for _, data in islice(self._load.sealed().chunks(), 64)]
        for number in range(self._count):
            yield self._blocks[number % len(self._blocks)]

    async def _naive(self, request: bytes, context: object) -> AsyncIterator[bytes]:
        for _, data in self._load.sealed().chunks():
            body = bytes(data)
            digest = hashlib.sha256(body).digest()
            signature = envelope_pb2.Signature(
                key_id=self._signer.key_id, signature=self._signer.sign(digest)
            )
            message = envelope_pb2.Envelope(
                payload_type=digest.hex(), payload=body, signatures=[signature]
            )
            yield message.SerializeToString()

    async def _small(self, request: bytes, context: object) -> AsyncIterator[bytes]:
        """Many packets of ten kilobytes on one stream, each signed when it is sent."""
        encode = encoder(pb.StreamPacketResponse.DESCRIPTOR)
        for _ in range(int.from_bytes(request, "little")):
            sealed = self._small_load.sealed()
            yield encode(pb.StreamPacketResponse(manifest=cards.envelope_to_wire(sealed.envelope)))
            for index, data in sealed.chunks():
                yield encode(Chunk(index, data))


class _Plain(grpc.GenericRpcHandler):
    """Methods of bytes."""

    def __init__(self, methods: Mapping[str, Any]) -> None:
        self._methods = methods

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:  # noqa: ANN401
        """The handler of one call."""
        behaviour = self._methods.get(handler_call_details.method)
        return behaviour and grpc.unary_stream_rpc_method_handler(behaviour)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a receiver puts bytes.

    Attributes:
        memory: Warm, as long as the payload.
        spool: A file that is not there yet.
        pause_s: Seconds for which a slow receiver sleeps after each chunk.
        packets: How many small packets to ask for.
    """

    memory: memoryview
    spool: Path
    pause_s: float = 0.0
    packets: int = 0


def _plain(channel: aio.Channel, method: str) -> Callable[..., AsyncIterator[bytes]]:
    """A method whose messages are bytes as they are."""
    call: Any = channel.unary_stream(method)
    found: Callable[..., AsyncIterator[bytes]] = call
    return found


async def _receive_raw(channel: aio.Channel, target: Target) -> int:
    taken = 0
    async for raw in _plain(channel, RAW)(b"", timeout=TIMEOUT_S):
        taken += len(raw)
    return taken


async def _receive_naive(channel: aio.Channel, target: Target) -> int:
    at, key = 0, key_id_of(Ed25519Signer(KEY).public_key)
    async for raw in _plain(channel, NAIVE)(b"", timeout=TIMEOUT_S):
        message = envelope_pb2.Envelope.FromString(raw)
        body = message.payload
        digest = hashlib.sha256(body).digest()
        if digest.hex() != message.payload_type:
            raise AssertionError("digest")
        require_valid(Signature(key, message.signatures[0].signature), digest)
        target.memory[at : at + len(body)] = body
        at += len(body)
    return at


async def _receive_ours(channel: aio.Channel, target: Target) -> int:
    return await _assembled(channel, None, target)


async def _receive_spooled(channel: aio.Channel, target: Target) -> int:
    try:
        return await _assembled(channel, target.spool, target)
    finally:
        target.spool.unlink(missing_ok=True)


async def _assembled(channel: aio.Channel, spool: Path | None, target: Target) -> int:
    """What a student does with a stream: manifest first, each chunk checked, then the whole."""
    call = dialled(channel, SERVICE.methods_by_name["StreamPacket"])
    stream = aiter(call(pb.StreamPacketRequest(), timeout=TIMEOUT_S))
    first = part_of(await anext(stream), "the sender")
    if not isinstance(first, Envelope):
        raise AssertionError("a manifest comes first")
    limits = limits_for(len(target.memory) or 4096 * MIB)
    assembly = Assembly(admitted(first, limits), spool, into=None if spool else target.memory)

    async def steady() -> AsyncIterator[Chunk]:
        async for chunk in stream:
            yield chunk
            if target.pause_s:
                await asyncio.sleep(target.pause_s)

    await overlapped(steady(), lambda chunk: assembly.add(chunk.index, chunk.data))
    return len(assembly.finish().payload)


async def _receive_small(channel: aio.Channel, target: Target) -> int:
    """Every packet verified, admitted, held against its manifest; their payloads' bytes."""
    decode, taken = decoder(pb.StreamPacketResponse.DESCRIPTOR), 0
    limits = limits_for(MIB)
    assembly: Assembly | None = None
    request = target.packets.to_bytes(4, "little")
    async for raw in _plain(channel, SMALL)(request, timeout=TIMEOUT_S):
        part = part_of(decode(raw), "the sender")
        if isinstance(part, Envelope):
            assembly = Assembly(admitted(part, limits))
            continue
        if assembly is None:
            raise AssertionError("a manifest comes first")
        assembly.add(part.index, part.data)
        if assembly.complete:
            taken += len(assembly.finish().payload)
    return taken


async def _receive_unary(channel: aio.Channel, target: Target) -> int:
    """The same, each packet by a call of its own."""
    limits, taken = limits_for(MIB), 0
    ask = _plain(channel, SMALL)
    decode = decoder(pb.StreamPacketResponse.DESCRIPTOR)
    for _ in range(target.packets):
        assembly: Assembly | None = None
        async for raw in ask((1).to_bytes(4, "little"), timeout=TIMEOUT_S):
            part = part_of(decode(raw), "the sender")
            if isinstance(part, Envelope):
                assembly = Assembly(admitted(part, limits))
            elif assembly is not None:
                assembly.add(part.index, part.data)
        taken += len(assembly.finish().payload) if assembly is not None else 0
    return taken


Receive = Callable[[aio.Channel, Target], Awaitable[int]]
RECEIVERS: Final[Mapping[str, Receive]] = {
    "raw": _receive_raw,
    "naive": _receive_naive,
    "ours": _receive_ours,
    "spooled": _receive_spooled,
    "small": _receive_small,
    "unary": _receive_unary,
}
