"""What a peer or a user can hand in, and what reads it: pure functions from bytes.

Each ends in success or in an M2KTError with a reason. Messages that are signed, and packets,
are signed here by a trusted key first: what is looked for lies behind the signature.

Owns: `TARGETS`. Does not own: how cases are made (mangling, packing), the limits (watching).
"""

import os
import random
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError, Message

from m2kt.signing import sign_envelope
from m2kt.wire import cards
from m2kt.wire.files import read_packet_file
from m2kt.wire.frames import decode_chunk, encode_chunk
from m2kt.wire.manifest import WireLimits, read_manifest
from m2kt.wire.packets import parse_packet
from m2kt.wire.rotations import ROTATION_TYPE, accept_rotation
from m2kt.wire.samples import sample_from_wire
from m2kt.wire.v1 import (
    agent_pb2,
    broker_service_pb2,
    envelope_pb2,
    packet_pb2,
    state_pb2,
    student_service_pb2,
    teacher_service_pb2,
    transfer_pb2,
    verdict_pb2,
)
from m2kt_agents import registrations, views
from m2kt_agents.methods import decoder
from tests.fuzz import papers
from tests.fuzz.corpus import SCRATCH, scratch
from tests.fuzz.mangling import filled, mangled, message_in, tampered
from tests.fuzz.packing import GOLDEN, Parts, described, resealed
from tests.packets import NOW_S, STUDENT, signer, trusting
from tests.sealing import TRUST, Student

Change = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Target:
    """A parser: what it reads, valid examples of that, and how a case is made of one."""

    read: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]
    change: Change = mangled
    peer: bool = True


@cache
def folder() -> Path:
    """For files that are read once; it goes when the process, or who started it, ends."""
    return Path(os.environ.get(SCRATCH) or _own().name)


@cache
def _own() -> tempfile.TemporaryDirectory[str]:
    return scratch()


def written(raw: bytes, name: str) -> Path:
    """`raw` as a file."""
    path = folder() / name
    path.write_bytes(raw)
    return path


def packet(raw: bytes) -> None:
    """A packet file, from its first byte to an AuthenticPacket."""
    envelope, payload = read_packet_file(written(raw, "packet.m2kt"))
    parse_packet(Student().receives(envelope, payload))


def chunk(raw: bytes) -> None:
    """A message of a stream; whatever the fast path reads, protobuf reads too."""
    found = decode_chunk(raw)
    if found is not None:
        message = teacher_service_pb2.StreamPacketResponse.FromString(raw)
        assert (message.chunk.index, message.chunk.data) == (found[0], bytes(found[1]))
    with suppress(DecodeError):  # gRPC answers for us
        decoder(teacher_service_pb2.StreamPacketResponse.DESCRIPTOR)(raw)


STUDENTS: Final = trusting(signer(2), agent=STUDENT)

SIGNED: Final[dict[type[Message], Callable[[bytes], object]]] = {
    agent_pb2.AgentCard: lambda raw: cards.read_card(sign_envelope(cards.CARD_TYPE, raw, signer())),
    verdict_pb2.Receipt: lambda raw: cards.verify_receipt(
        sign_envelope(cards.RECEIPT_TYPE, raw, signer(2)), STUDENTS
    ),
    agent_pb2.KeyRotation: lambda raw: accept_rotation(
        sign_envelope(ROTATION_TYPE, raw, signer(), signer(2)), TRUST, now_s=NOW_S
    ),
    envelope_pb2.Envelope: lambda raw: cards.verify_card(cards.envelope_from_bytes(raw), TRUST),
}
ANSWERS: Final[dict[type[Message], Callable[[Any], object]]] = {
    teacher_service_pb2.SampleConceptsResponse: sample_from_wire,
    transfer_pb2.Transfer: views.transfer_from_wire,
    transfer_pb2.Event: cards.event_from_wire,
    verdict_pb2.Verdict: cards.verdict_from_wire,
    state_pb2.StudentState: views.student_state_from_wire,
    student_service_pb2.UnlearnResponse: views.unlearnt_from_wire,
    student_service_pb2.ExamineResponse: views.exam_from_wire,
    student_service_pb2.ForetellResponse: views.foretelling_from_wire,
    broker_service_pb2.PacketHeader: registrations.header_from_wire,
    broker_service_pb2.WatchRegistryResponse: registrations.news_from_wire,
}
KINDS: Final = (*SIGNED, *ANSWERS)


def message(raw: bytes) -> object:
    """The first byte says which message the others are."""
    kind = KINDS[raw[0] % len(KINDS)] if raw else KINDS[0]
    if kind in SIGNED:
        return SIGNED[kind](raw[1:])
    return ANSWERS[kind](cards.read(kind, raw[1:]))


def message_seeds() -> Iterable[bytes]:
    sealed = {
        agent_pb2.AgentCard: "card",
        verdict_pb2.Receipt: "receipt-diagnosed",
    }
    for number, kind in enumerate(KINDS):
        raw = filled(kind()).SerializeToString()
        if kind in sealed:
            raw = (GOLDEN / f"{sealed[kind]}.bin").read_bytes()
            raw = envelope_pb2.Envelope.FromString(raw).payload
        if kind is envelope_pb2.Envelope:
            raw = (GOLDEN / "card.bin").read_bytes()
        yield bytes((number,)) + raw


def message_changed(raw: bytes, rng: random.Random) -> bytes:
    if not raw or rng.random() < 0.3:
        return mangled(raw, rng)
    kind = KINDS[raw[0] % len(KINDS)]
    return raw[:1] + tampered(message_in(raw[1:], kind), rng).SerializeToString()


def tampering(kind: type[Message]) -> Change:
    """Changes fields of a message as often as its bytes."""

    def change(raw: bytes, rng: random.Random) -> bytes:
        if rng.random() < 0.5:
            return mangled(raw, rng)
        return tampered(message_in(raw, kind), rng).SerializeToString()

    return change


def goldens() -> Iterable[bytes]:
    return [path.read_bytes() for path in sorted(GOLDEN.glob("packet-*.m2kt"))]


def chunks() -> Iterable[bytes]:
    return [encode_chunk(index, bytes(index)) for index in (0, 1, 300)]


def on_disk(read: Callable[[Path], object], name: str) -> Callable[[bytes], object]:
    """A reader of files as one of bytes."""
    return lambda raw: read(written(raw, name))


TARGETS: Final[dict[str, Target]] = {
    "packet": Target(packet, goldens, resealed),
    "manifest": Target(
        lambda raw: read_manifest(raw, WireLimits()),
        lambda: [Parts.of(raw).manifest.SerializeToString() for raw in goldens()],
        tampering(envelope_pb2.Manifest),
    ),
    "description": Target(
        lambda raw: packet(described(raw)),
        lambda: [Parts.of(raw).description for raw in list(goldens())[:1]],
        tampering(packet_pb2.KnowledgePacket),
    ),
    "chunk": Target(chunk, chunks),
    "message": Target(message, message_seeds, message_changed),
    **{
        name: Target(on_disk(its.read, its.file), its.seeds, peer=False)
        for name, its in papers.PAPERS.items()
    },
    "text": Target(papers.text, papers.texts),
}


@cache
def examples(name: str) -> tuple[bytes, ...]:
    """Valid examples of what a target reads, made once."""
    return tuple(TARGETS[name].seeds())
