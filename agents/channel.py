"""A channel to one peer: options, mutual TLS, and which calls are tried again.

Owns: how a channel is made.
Does not own: what is said on it (client).
"""

import json
from typing import Any, Final

from grpc import aio

from .addresses import read_address
from .certificates import server_name
from .settings import Limits, TlsFiles
from .tls import channel_credentials, secured

_TEACHER: Final = "m2kt.wire.v1.TeacherService"
_STUDENT: Final = "m2kt.wire.v1.StudentService"
_BROKER: Final = "m2kt.wire.v1.BrokerService"

RETRIED: Final[tuple[tuple[str, str], ...]] = (
    (_TEACHER, "DescribeTeacher"),
    (_TEACHER, "SampleConcepts"),
    (_TEACHER, "RecordReceipt"),
    (_STUDENT, "DescribeStudent"),
    (_STUDENT, "Foretell"),
    (_STUDENT, "Learn"),
    (_STUDENT, "GetTransfer"),
    (_STUDENT, "Answer"),
    (_STUDENT, "Examine"),
    (_STUDENT, "Unlearn"),
    (_STUDENT, "Revert"),
    (_STUDENT, "ListHistory"),
    (_BROKER, "Register"),
    (_BROKER, "RenewLease"),
    (_BROKER, "FindTeachers"),
    (_BROKER, "ListPackets"),
    (_BROKER, "RecordReceipt"),
    (_BROKER, "ListReceipts"),
)
"""Unary methods whose comment in the proto files says Idempotent; a test compares the two."""

_RETRY: Final = {
    "maxAttempts": 4,
    "initialBackoff": "0.1s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


def service_config() -> str:
    """GRPC's service config: the retry policy of the methods in `RETRIED`."""
    names = [{"service": service, "method": method} for service, method in RETRIED]
    return json.dumps({"methodConfig": [{"name": names, "retryPolicy": _RETRY}]})


def open_channel(address: str, *, tls: TlsFiles | None, own_connection: bool) -> aio.Channel:
    """A channel to `address`; it connects with the first call.

    Args:
        address: `host:port`; or `name@host:port`, and then no other agent's certificate will do.
        tls: Mutual TLS; None for plain HTTP/2 within this machine.
        own_connection: True for a TCP connection that shares nothing: heartbeats do not
            queue behind packets.

    Raises:
        RequestError: it is no address, or another machine's and there is no TLS.
        StoreError: a file of `tls` cannot be read.
    """
    limits, at = Limits(), read_address(address)
    options: list[tuple[str, Any]] = [
        ("grpc.service_config", service_config()),
        ("grpc.max_receive_message_length", limits.message_bytes),
        ("grpc.max_send_message_length", limits.message_bytes),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.use_local_subchannel_pool", int(own_connection)),
    ]
    files = secured(tls, at.target)
    if files is None:
        return aio.insecure_channel(at.target, options=options)
    if name := server_name(at.agent) if at.agent else files.peer_name:
        options.append(("grpc.ssl_target_name_override", name))
    return aio.secure_channel(at.target, channel_credentials(files), options=options)
