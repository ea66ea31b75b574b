"""A second reader of the wire format, written from proto/README.md: it shares no code with ours.

    python -m tests.wire.reader_stubs

It reads messages with the generated stubs, and computes the rest itself. Where two readers of
one specification differ, the specification is at fault.

Owns: receipts, cards, rotations and samples; the answers of the second reader.
Does not own: envelopes (stub_envelopes), packets (stub_packets), the questions (conformance).
"""

import base64
import json
import math
import sys
from typing import Any

import numpy as np

from m2kt.wire.v1 import agent_pb2, teacher_service_pb2, verdict_pb2
from tests.wire.stub_envelopes import (
    Asked,
    RefusedError,
    need,
    need_believed,
    need_names,
    need_own,
    opened,
    parsed,
    signers,
)
from tests.wire.stub_packets import read_file, read_packet, total


def signed(asked: Asked) -> Any:
    return opened(base64.b64decode(asked["envelope"]), asked["kind"])


def read_receipt(asked: Asked) -> dict[str, Any]:
    envelope = signed(asked)
    agent, _, until_s = signers(envelope, asked["context"])
    its = parsed(verdict_pb2.Receipt, envelope.payload)
    need_names(its.student)
    outcome = its.verdict.WhichOneof("outcome")
    need(outcome is not None, "MALFORMED")
    told = getattr(its.verdict, outcome)
    reasons = list(its.verdict.rejected.reasons)
    need(outcome == "accepted" or bool(reasons), "MALFORMED")
    voices = [voice for opinion in told.consensus.opinions for voice in opinion.voices]
    for some in (told.consensus.standings, told.consensus.opinions, voices):
        need(len(some) <= 1 << 14, "OVERSIZE")
    need_known_numbers(its.verdict)
    need_believed(its.issued_at_s, until_s)
    need(its.student == agent, "BAD_SIGNATURE")
    return {
        "transfer": its.transfer_id,
        "student": its.student,
        "domain": its.domain,
        "packets": list(its.packet_ids),
        "verdict": outcome,
        "reasons": [verdict_pb2.Reason.Name(number)[len("REASON_") :] for number in reasons],
        "gain": told.evidence.gain if told.HasField("evidence") else None,
        "head_after": its.head_after,
        "issued_at_s": its.issued_at_s,
        "unlearnt": list(its.unlearnt),
        "audit_entries": its.audit_entries,
    }


def need_known_numbers(message: Any) -> None:
    """Every value of an enumeration, wherever it stands, is one that v1 has, and not 0."""
    for field in message.DESCRIPTOR.fields:
        found = getattr(message, field.name)
        if field.enum_type:
            known = field.enum_type.values_by_number
            numbers = found if field.is_repeated else [found]
            need(all(number and number in known for number in numbers), "MALFORMED")
        elif field.message_type and field.is_repeated:
            for item in found:
                need_known_numbers(item)
        elif field.message_type and message.HasField(field.name):
            need_known_numbers(found)


def read_card(asked: Asked) -> dict[str, Any]:
    """Of somebody trusted; or, where no keys are given, of anybody who has the key."""
    envelope, context = signed(asked), asked["context"]
    agent, keys = None, [its.key_id for its in envelope.signatures[:1]] or ["nobody"]
    if context["keys"] is None:
        need_own(envelope, keys[0])
    else:
        agent, keys, _ = signers(envelope, context)
    its = parsed(agent_pb2.AgentCard, envelope.payload)
    need(its.key_id == "ed25519:" + its.public_key.hex(), "MALFORMED")
    need(len(its.public_key) == 32 and its.role in (1, 2, 3), "MALFORMED")
    need_names(its.agent)
    need(0 <= its.issued_at_s < math.inf, "MALFORMED")
    model = its.model
    sizes = (model.hidden_size, model.layers, model.parameters)
    need(not its.HasField("model") or min(sizes) > 0, "MALFORMED")
    need(its.key_id in keys and agent in (None, its.agent), "BAD_SIGNATURE")
    return {
        "agent": its.agent,
        "role": {1: "teacher", 2: "student", 3: "broker"}[its.role],
        "address": its.address,
        "key_id": its.key_id,
        "domains": list(its.domains),
        "layers": model.layers if its.HasField("model") else None,
        "issued_at_s": its.issued_at_s,
    }


def read_rotation(asked: Asked) -> dict[str, Any]:
    envelope, context = signed(asked), asked["context"]
    enrolled = {its["key_id"]: its for its in context["keys"]}
    keys = {its.key_id for its in envelope.signatures}
    need(len(keys) == 2, "BAD_SIGNATURE")
    for key_id in sorted(keys):
        need_own(envelope, key_id)
    its = parsed(agent_pb2.KeyRotation, envelope.payload)
    old, new = its.old_key_id, its.new_key_id
    need({old, new} == keys, "BAD_SIGNATURE")
    need(old not in context["revoked"], "REVOKED_KEY")
    need(old in enrolled, "UNKNOWN_KEY")
    need(enrolled[old]["agent"] == its.agent, "BAD_SIGNATURE")
    need(math.isfinite(its.issued_at_s), "MALFORMED")
    need(its.issued_at_s <= context["now_s"] + 300, "NOT_YET_VALID")
    known = new in enrolled or new in context["revoked"]
    need(not known and "until_s" not in enrolled[old], "INVALID_ARGUMENT")
    return {"agent": its.agent, "old": old, "new": new, "until_s": its.issued_at_s}


def read_sample(asked: Asked) -> dict[str, Any]:
    raw = base64.b64decode(asked["sample"])
    its = parsed(teacher_service_pb2.SampleConceptsResponse, raw)
    shape = list(its.shape)
    need(len(shape) == 3 and shape[1] == 2 and min(shape) > 0, "BAD_SHAPE")
    need(len(its.states) == 4 * math.prod(shape), "BAD_SHAPE")
    need(len(its.states) <= 8 << 20, "OVERSIZE")
    need(shape[0] * 2 <= max(4, its.of / 100), "OVERSIZE")
    need(its.depth > 0 and its.layer <= its.depth, "MALFORMED")
    found = np.frombuffer(its.states, "<f4").astype("f8")
    need(bool(np.isfinite(found).all()), "MALFORMED")
    told = {"shape": shape, "sum": total(found)}
    return {**told, "of": its.of, "layer": its.layer, "depth": its.depth}


READERS = {
    "packet": read_packet,
    "file": read_file,
    "receipt": read_receipt,
    "card": read_card,
    "rotation": read_rotation,
    "sample": read_sample,
}


def answer(asked: Asked) -> dict[str, Any]:
    """What this reader makes of it."""
    try:
        found = READERS[asked["kind"]](asked)
    except RefusedError as refusal:
        return {"name": asked["name"], "result": "rejected", "reason": str(refusal)}
    return {"name": asked["name"], "result": "accepted", **found}


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()
