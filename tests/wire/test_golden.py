"""Wire v1, frozen: packets, receipts and cards that were sealed once must verify forever.

A failure means that released peers can no longer talk to each other. If a change of the
format was meant, it is another version: `proto/README.md` has the rules.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from packets import NOW_S, STUDENT, TEACHER, equal, provenance, signer, trusting
from sealing import HEADER, Student

from m2kt.domain import ConceptSpec, Step, Trace
from m2kt.identity import AgentCard, ModelCard, PacketId, Role, TransferId
from m2kt.meter import DataMeter
from m2kt.packet import ActivationMaps, KnowledgePacket
from m2kt.reasons import Reason
from m2kt.symptoms import Cause, Diagnosis, Symptom
from m2kt.tensors import Dtype
from m2kt.verdict import Accepted, Evidence, Receipt, Rejected
from m2kt.wire import cards
from m2kt.wire.chunks import seal
from m2kt.wire.files import HEAD, read_packet_file, write_packet_file
from m2kt.wire.packets import encode_packet, parse_packet
from m2kt.wire.v1 import agent_pb2, envelope_pb2, packet_pb2, transfer_pb2, verdict_pb2

GOLDEN = Path(__file__).parent / "golden"
ENCODINGS = (Dtype.F32, Dtype.F16, Dtype.BF16, Dtype.I8)
EVIDENCE = Evidence(
    before={1: 0.25, 2: 0.125},
    after={1: 1.0, 2: 0.5},
    gain=0.5,
    p_gain=0.001,
    p_loss=1.0,
    items=200,
    figures={"loss_reason": 0.25},
)
DIAGNOSIS = Diagnosis(
    Symptom.GEOMETRY_PLATEAU, Cause.WRONG_LAYER, "found: meaning; remedy", {"loss_geometry": 1.5}
)
VERDICTS = {
    "accepted": Accepted(EVIDENCE),
    "rejected": Rejected((Reason.NO_GAIN, Reason.UNDECIDED), ("expected, found",), EVIDENCE),
    "refused": Rejected((Reason.BAD_SIGNATURE,)),
    "diagnosed": Rejected((Reason.NO_GAIN,), (), replace(EVIDENCE, diagnosis=(DIAGNOSIS,))),
}
CARD = AgentCard(
    agent=TEACHER,
    role=Role.TEACHER,
    address="127.0.0.1:7000",
    key_id=signer().key_id,
    public_key=signer().public_key,
    domains=("arith.mod7",),
    model=ModelCard(
        family="gpt2",
        hidden_size=128,
        layers=4,
        parameters=800_000,
        weights_digest="b3:" + "1" * 64,
        base_lineage=("scratch",),
    ),
    software="m2kt 1",
)


def golden_packet() -> KnowledgePacket:
    """A packet of exact numbers: no rounding, so the same bytes on every machine."""
    specs = tuple(
        ConceptSpec(id=f"arith.mod7/{fact}", gloss=f"{fact} modulo 7", prompt=f"{fact}=")
        for fact in ("3+5", "2*4")
    )
    steps = (
        Step(rule="+", operands=("3", "5"), result="1", stem="3+5=", concept="arith.mod7/3+5"),
        Step(rule="*", operands=("1", "4"), result="4", stem="1*4=", concept="arith.mod7/2*4"),
    )
    exemplars = (torch.arange(2 * 16 * 12) % 29 - 14).reshape(2, 16, 12) / 16.0
    return KnowledgePacket(
        concepts=specs,
        means=exemplars.mean(dim=1),
        exemplars=exemplars,
        maps=ActivationMaps(
            torch.tensor([[0, 1], [1, 0]], dtype=torch.int32),
            torch.tensor([[0.75, 0.25], [0.5, 0.5]]),
        ),
        traces=(Trace(question="3+5*4", steps=steps, answer="4"),),
        symbols=tuple("0123456"),
        provenance=provenance(teacher=TEACHER, domain="arith.mod7", concepts=2),
    )


def receipt(verdict) -> Receipt:
    return Receipt(
        transfer=TransferId("t-1"),
        student=STUDENT,
        domain="arith.mod7",
        packets=(PacketId("b3:" + "2" * 64),),
        teachers=(TEACHER,),
        verdict=verdict,
        head_before="b3:" + "3" * 64,
        head_after="b3:" + "4" * 64,
        meter=DataMeter(traces=6, trace_tokens=99, bytes=7560),
        probe_items=200,
        issued_at_s=NOW_S,
    )


@pytest.mark.parametrize("dtype", ENCODINGS)
def test_a_packet_sealed_by_wire_v1_is_written_as_it_was(golden, tmp_path, dtype):
    packet = seal(encode_packet(golden_packet(), exemplars_as=dtype), signer(), HEADER)
    write_packet_file(tmp_path / "now.m2kt", packet.envelope, packet.encoded.payload)
    golden(GOLDEN / f"packet-{dtype}.m2kt", (tmp_path / "now.m2kt").read_bytes())


@pytest.mark.parametrize("dtype", ENCODINGS)
def test_a_packet_sealed_by_wire_v1_still_verifies(dtype):
    envelope, payload = read_packet_file(GOLDEN / f"packet-{dtype}.m2kt")
    packet = parse_packet(Student().receives(envelope, payload)).packet
    assert packet.provenance.teacher == TEACHER
    assert packet.concepts == golden_packet().concepts
    assert packet.traces == golden_packet().traces
    # Sixteenths up to 14 / 16 are exact in every type but i8.
    assert equal(packet, golden_packet()) is (dtype is not Dtype.I8)


@pytest.mark.parametrize("name", VERDICTS)
def test_a_receipt_signed_by_wire_v1_is_written_as_it_was_and_still_verifies(golden, name):
    path, expected = GOLDEN / f"receipt-{name}.bin", receipt(VERDICTS[name])
    golden(path, cards.envelope_to_bytes(cards.sign_receipt(expected, signer(2))))
    found = cards.envelope_from_bytes(path.read_bytes())
    assert cards.verify_receipt(found, trusting(signer(2), agent=STUDENT)) == expected


def test_the_receipt_of_a_realignment_is_written_as_it_was_and_still_verifies(golden):
    path, left_out = GOLDEN / "receipt-realigned.bin", (PacketId("b3:" + "5" * 64), signer().key_id)
    expected = replace(receipt(VERDICTS["accepted"]), unlearnt=left_out)
    golden(path, cards.envelope_to_bytes(cards.sign_receipt(expected, signer(2))))
    found = cards.envelope_from_bytes(path.read_bytes())
    assert cards.verify_receipt(found, trusting(signer(2), agent=STUDENT)) == expected


def test_a_card_signed_by_wire_v1_is_written_as_it_was_and_still_verifies(golden):
    golden(GOLDEN / "card.bin", cards.envelope_to_bytes(cards.sign_card(CARD, signer())))
    found = cards.envelope_from_bytes((GOLDEN / "card.bin").read_bytes())
    assert cards.verify_card(found, trusting()) == CARD == cards.read_card(found)


def test_numbers_of_fields_and_reasons_never_change(golden):
    files = (agent_pb2, envelope_pb2, packet_pb2, transfer_pb2, verdict_pb2)
    numbers = {
        **{
            message.full_name: {field.name: field.number for field in message.fields}
            for file in files
            for message in file.DESCRIPTOR.message_types_by_name.values()
        },
        **{
            enum.full_name: {value.name: value.number for value in enum.values}
            for file in files
            for enum in file.DESCRIPTOR.enum_types_by_name.values()
        },
    }
    golden(GOLDEN / "numbers.json", (json.dumps(numbers, indent=1, sort_keys=True) + "\n").encode())


def test_the_layout_of_a_golden_packet_is_that_of_the_specification():
    raw = (GOLDEN / "packet-f32.m2kt").read_bytes()
    magic, version, length = HEAD.unpack(raw[: HEAD.size])
    envelope = cards.envelope_from_bytes(raw[HEAD.size : HEAD.size + length])
    assert (magic, version) == (b"M2KT", 1)
    assert Student().receives(envelope, raw[HEAD.size + length :])
