"""Our own reader of the wire format, as the conformance kit asks for one.

    python -m tests.wire.reader_ours

Owns: the way from a question to our functions and from what they return to an answer.
Does not own: the conversation (conformance).
"""

import base64
import json
import math
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from m2kt.errors import M2KTError
from m2kt.identity import AgentId, KeyId
from m2kt.packet import AuthenticPayload
from m2kt.signing import verify_envelope
from m2kt.trust import EnrolledKey, TrustStore
from m2kt.verdict import Rejected
from m2kt.wire import cards
from m2kt.wire.admission import Expectations, admit
from m2kt.wire.chunks import Assembly, authenticate_whole
from m2kt.wire.files import read_packet_file
from m2kt.wire.manifest import MANIFEST_TYPE, WireLimits
from m2kt.wire.packets import parse_packet
from m2kt.wire.rotations import accept_rotation
from m2kt.wire.samples import sample_from_wire
from m2kt.wire.v1 import teacher_service_pb2

Asked = Mapping[str, Any]


def trusted(context: Asked) -> TrustStore:
    enrolled = {
        KeyId(its["key_id"]): EnrolledKey(agent=AgentId(its["agent"]), until_s=its.get("until_s"))
        for its in context["keys"] or ()
    }
    revoked = {KeyId(name): "stolen" for name in context["revoked"]}
    return TrustStore(threshold=context["threshold"], enrolled=enrolled, revoked=revoked)


def expected(context: Asked) -> Expectations:
    nonce = context["nonce"]
    return Expectations(
        audience=AgentId(context["agent"]),
        now_s=context["now_s"],
        nonce=None if nonce is None else bytes.fromhex(nonce),
        domain=context["domain"],
        limits=WireLimits(**context["limits"]),
    )


def part(asked: Asked, name: str) -> bytes:
    return base64.b64decode(asked[name])


def read_packet(asked: Asked) -> dict[str, Any]:
    """As it comes over the network: the manifest, then chunk after chunk."""
    context, payload = asked["context"], part(asked, "payload")
    envelope = cards.envelope_from_bytes(part(asked, "envelope"))
    verified = verify_envelope(envelope, trusted(context), MANIFEST_TYPE)
    admitted = admit(verified, expected(context), set(context["seen"]).__contains__)
    assembly, size = Assembly(admitted), admitted.manifest.chunk_bytes
    order = context["chunks"]
    for index in range(-(-len(payload) // size)) if order is None else order:
        assembly.add(index, payload[index * size : (index + 1) * size])
    return content(assembly.finish(), expected(context).limits)


def read_file(asked: Asked) -> dict[str, Any]:
    context = asked["context"]
    limits, seen = expected(context).limits, set(context["seen"])
    with tempfile.NamedTemporaryFile(suffix=".m2kt") as file:
        file.write(part(asked, "file"))
        file.flush()
        envelope, payload = read_packet_file(Path(file.name), payload_bytes=limits.payload_bytes)
    whole = authenticate_whole(
        envelope, payload, trusted(context), expected(context), seen.__contains__
    )
    return content(whole, limits)


def content(payload: AuthenticPayload, limits: WireLimits) -> dict[str, Any]:
    found = parse_packet(payload, limits)
    packet = found.packet
    tensors = {
        "means": packet.means,
        "exemplars": packet.exemplars,
        "maps.indices": packet.maps.indices,
        "maps.weights": packet.maps.weights,
    }
    return {
        "packet_id": found.packet_id,
        "content_digest": found.content_digest,
        "teacher": found.teacher,
        "domain": packet.provenance.domain,
        "concepts": [its.id for its in packet.concepts],
        "traces": len(packet.traces),
        "answer": packet.traces[0].answer if packet.traces else "",
        "tensors": {
            name: {"shape": list(its.shape), "sum": total(its)} for name, its in tensors.items()
        },
    }


def total(tensor: Tensor) -> float | None:
    """The sum, in float64; None if that is no finite number."""
    found = float(tensor.double().sum())
    return found if math.isfinite(found) else None


def read_receipt(asked: Asked) -> dict[str, Any]:
    envelope = cards.envelope_from_bytes(part(asked, "envelope"))
    its = cards.verify_receipt(envelope, trusted(asked["context"]))
    refused = isinstance(its.verdict, Rejected)
    return {
        "transfer": its.transfer,
        "student": its.student,
        "domain": its.domain,
        "packets": its.packets,
        "verdict": "rejected" if refused else "accepted",
        "reasons": its.verdict.reasons if isinstance(its.verdict, Rejected) else (),
        "gain": its.verdict.evidence.gain if its.verdict.evidence else None,
        "head_after": its.head_after,
        "issued_at_s": its.issued_at_s,
        "unlearnt": its.unlearnt,
        "audit_entries": its.audit_entries,
    }


def read_card(asked: Asked) -> dict[str, Any]:
    """Of somebody trusted; or, where no keys are given, of anybody who has the key."""
    context = asked["context"]
    envelope = cards.envelope_from_bytes(part(asked, "envelope"))
    known = context["keys"] is not None
    its = cards.verify_card(envelope, trusted(context)) if known else cards.read_card(envelope)
    return {
        "agent": its.agent,
        "role": its.role,
        "address": its.address,
        "key_id": its.key_id,
        "domains": its.domains,
        "layers": its.model.layers if its.model else None,
        "issued_at_s": its.issued_at_s,
    }


def read_rotation(asked: Asked) -> dict[str, Any]:
    """Who has which key then: read off the trust store that comes of it."""
    context = asked["context"]
    envelope, before = cards.envelope_from_bytes(part(asked, "envelope")), trusted(context)
    after = accept_rotation(envelope, before, now_s=context["now_s"])
    [new] = set(after.enrolled) - set(before.enrolled)
    [old] = [name for name, its in after.enrolled.items() if its != before.enrolled.get(name, its)]
    until_s = after.enrolled[old].until_s
    return {"agent": after.agent_of(new), "old": old, "new": new, "until_s": until_s}


def read_sample(asked: Asked) -> dict[str, Any]:
    message = cards.read(teacher_service_pb2.SampleConceptsResponse, part(asked, "sample"))
    its = sample_from_wire(message)
    shape = list(its.states.shape)
    told = {"shape": shape, "sum": total(its.states)}
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
    """What our reader makes of it."""
    try:
        found = READERS[asked["kind"]](asked)
    except M2KTError as error:
        return {"name": asked["name"], "result": "rejected", "reason": error.reason}
    return {"name": asked["name"], "result": "accepted", **found}


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()
