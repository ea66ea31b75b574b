"""A client that knows nothing of M2KT but what a server tells of itself by reflection.

    python -I tests/stranger.py STUDENT TEACHER

Asks whether the server is healthy and what it serves, lets it learn from TEACHER, watches to
the end, and reads the receipt; everything it has found goes to stdout as one JSON document.
It is a program of its own so that none of our code, generated or not, can be at hand.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

sys.modules |= dict.fromkeys(("m2kt", "m2kt_agents", "tests"))  # importing them is an error

import grpc  # noqa: E402
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: E402
from google.protobuf.descriptor_pool import DescriptorPool  # noqa: E402
from google.protobuf.message_factory import GetMessageClass  # noqa: E402
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (  # noqa: E402
    ProtoReflectionDescriptorDatabase,
)

HEALTH = "grpc.health.v1.Health"
STUDENT = "m2kt.wire.v1.StudentService"


class Server:
    """A server, as it describes itself."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._database = ProtoReflectionDescriptorDatabase(self._channel)
        self._pool = DescriptorPool(self._database)

    def services(self) -> list[str]:
        return sorted(self._database.get_services())

    def type(self, name: str) -> Any:
        return GetMessageClass(self._pool.FindMessageTypeByName(name))

    def call(self, service: str, method: str, /, **fields: Any) -> Any:
        """The response, or an iterator over responses."""
        told = self._pool.FindServiceByName(service).FindMethodByName(method)
        request, response = self.type(told.input_type.full_name), told.output_type.full_name
        make = self._channel.unary_stream if told.server_streaming else self._channel.unary_unary
        stub = make(
            f"/{service}/{method}", request.SerializeToString, self.type(response).FromString
        )
        return stub(request(**fields), timeout=60)

    def health(self, service: str) -> str:
        """What grpc_health_probe prints of a service."""
        try:
            found = self.call(HEALTH, "Check", service=service)
        except grpc.RpcError as error:
            return error.code().name
        return name_of(found, "status")


def name_of(message: Any, field: str) -> str:
    """The name of a field's enum value."""
    values = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
    return values[getattr(message, field)].name


def verified(envelope: Any, public_key: bytes) -> bytes:
    """The payload, if the key signed it (envelope.proto says how: DSSE version 1)."""
    kind, payload = envelope.payload_type.encode(), envelope.payload
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    [signature] = envelope.signatures
    Ed25519PublicKey.from_public_bytes(public_key).verify(signature.signature, signed)
    return payload


def states(events: Iterator[Any]) -> list[list[Any]]:
    """Number and state of every event."""
    return [[item.event.number, name_of(item.event, "state")] for item in events]


def main(student: str, teacher: str) -> None:
    server = Server(student)
    services = server.services()
    health = {name: server.health(name) for name in ("", STUDENT, "no.such.Service")}
    before = server.call(STUDENT, "DescribeStudent")
    begun = server.call(
        STUDENT,
        "Learn",
        domain=before.student.domains[0],
        teachers=[teacher],
        idempotency_key="a stranger",
    )
    events = states(server.call(STUDENT, "WatchTransfer", transfer_id=begun.transfer_id))
    found = server.call(STUDENT, "GetTransfer", transfer_id=begun.transfer_id).transfer
    raw = verified(found.receipt, before.student.public_key)
    receipt = server.type("m2kt.wire.v1.Receipt").FromString(raw)
    after = server.call(STUDENT, "DescribeStudent")
    result = {
        "services": services,
        "health": health,
        "transfer": begun.transfer_id,
        "events": events,
        "state": name_of(found, "state"),
        "receipt": {
            "transfer": receipt.transfer_id,
            "student": receipt.student,
            "domain": receipt.domain,
            "packets": list(receipt.packet_ids),
            "teachers": list(receipt.teachers),
            "outcome": receipt.verdict.WhichOneof("outcome"),
            "gain": receipt.verdict.accepted.evidence.gain,
            "labels": receipt.meter.labels,
            "traces": receipt.meter.traces,
            "head_before": receipt.head_before,
            "head_after": receipt.head_after,
        },
        "heads": [before.head.digest, after.head.digest],
        "ours": [name for name in sys.modules if name.startswith("m2kt") and sys.modules[name]],
    }
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
