"""Errors on the network: one table from error to gRPC status, read in both directions.

A server says what went wrong as a `google.rpc.Status` with an `ErrorInfo` whose
reason is our `Reason`; a client turns it back into the same class. What is not
ours to tell (a bug, a path on this machine) leaves as INTERNAL with a reference
under which it stands in the log.

Owns: the table, `rpc_errors` (server side), `peer_errors` (client side).
Does not own: the error tree (m2kt.errors).
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Final, Never

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode, aio
from grpc_status import rpc_status

from m2kt import errors
from m2kt.errors import M2KTError
from m2kt.reasons import SENTENCES, Reason

logger = logging.getLogger(__name__)

DOMAIN: Final = "m2kt"
DETAILS_BYTES: Final = 2048
"""Longest message that leaves: statuses travel in HTTP/2 headers, which are small."""

STATUS: Final[Mapping[type[M2KTError], StatusCode]] = {
    errors.M2KTError: StatusCode.INTERNAL,
    errors.PacketError: StatusCode.INVALID_ARGUMENT,
    errors.OversizeError: StatusCode.RESOURCE_EXHAUSTED,
    errors.ShapeError: StatusCode.INVALID_ARGUMENT,
    errors.ChunkError: StatusCode.DATA_LOSS,
    errors.IncompleteError: StatusCode.DATA_LOSS,
    errors.TrustError: StatusCode.UNAUTHENTICATED,
    errors.UnknownKeyError: StatusCode.UNAUTHENTICATED,
    errors.RevokedKeyError: StatusCode.UNAUTHENTICATED,
    errors.WeakKeyError: StatusCode.UNAUTHENTICATED,
    errors.BadSignatureError: StatusCode.UNAUTHENTICATED,
    errors.StalePacketError: StatusCode.FAILED_PRECONDITION,
    errors.FuturePacketError: StatusCode.FAILED_PRECONDITION,
    errors.ReplayedPacketError: StatusCode.ALREADY_EXISTS,
    errors.AudienceError: StatusCode.PERMISSION_DENIED,
    errors.NonceError: StatusCode.PERMISSION_DENIED,
    errors.NotPermittedError: StatusCode.PERMISSION_DENIED,
    errors.CompatibilityError: StatusCode.FAILED_PRECONDITION,
    errors.AlignmentError: StatusCode.ABORTED,
    errors.StoreError: StatusCode.INTERNAL,
    errors.TamperedError: StatusCode.DATA_LOSS,
    errors.NotFoundError: StatusCode.NOT_FOUND,
    errors.RequestError: StatusCode.INVALID_ARGUMENT,
    errors.DomainError: StatusCode.NOT_FOUND,
    errors.BusyError: StatusCode.RESOURCE_EXHAUSTED,
    errors.PeerError: StatusCode.UNAVAILABLE,
    errors.PeerUnavailableError: StatusCode.UNAVAILABLE,
    errors.DeadlineError: StatusCode.DEADLINE_EXCEEDED,
    errors.ProtocolError: StatusCode.UNKNOWN,
}

# A reason that a base shares with one of its subclasses is read as the subclass.
ERROR_OF: Final[Mapping[Reason, type[M2KTError]]] = {error.reason: error for error in STATUS}

# What a status means that carries no reason of ours: gRPC itself, or a proxy, has spoken.
_BARE: Final[Mapping[StatusCode, type[M2KTError]]] = {
    StatusCode.UNAVAILABLE: errors.PeerUnavailableError,
    StatusCode.CANCELLED: errors.PeerUnavailableError,
    StatusCode.DEADLINE_EXCEEDED: errors.DeadlineError,
    StatusCode.RESOURCE_EXHAUSTED: errors.BusyError,
}


def status_of(error: M2KTError) -> StatusCode:
    """The gRPC status of `error`: that of its class, or of the nearest base in the table."""
    return next(STATUS[base] for base in type(error).__mro__ if base in STATUS)


def error_of(reason: Reason, message: str) -> M2KTError:
    """The error that `reason` stands for, with `message`."""
    return ERROR_OF.get(reason, errors.PeerError)(message)


def status_message(code: StatusCode, reason: Reason, message: str) -> status_pb2.Status:
    """A rich status: `code`, a message cut to what headers carry, and the reason."""
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason=reason.value, domain=DOMAIN))
    short = message.encode()[:DETAILS_BYTES].decode(errors="ignore")
    return status_pb2.Status(code=code.value[0], message=short, details=[detail])


def error_from_rpc(error: grpc.RpcError, peer: str) -> M2KTError:
    """Reads back what `rpc_errors` wrote on the other side."""
    if not isinstance(error, aio.AioRpcError):
        return errors.ProtocolError(f"expected an answer from {peer}, found {error!r}")
    rich = _rich_status(error)
    for detail in rich.details if rich is not None else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == DOMAIN and info.reason in set(Reason):
            return error_of(Reason(info.reason), error.details() or "")
    said = (error.details() or "").replace(";", ",")  # a semicolon of ours goes before a remedy
    text = f"expected an answer from {peer}, found {error.code().name}: {said}"
    if error.code() is StatusCode.UNAVAILABLE:
        text += "; check the address, and that the agent runs and both or neither speak TLS"
    if "larger than max" in text:  # gRPC's own words for a message over the limit
        return errors.OversizeError(text)
    return _BARE.get(error.code(), errors.ProtocolError)(text)


def _rich_status(error: aio.AioRpcError) -> status_pb2.Status | None:
    try:
        return rpc_status.from_call(error)
    except ValueError:  # the status details contradict the status: believe the status alone
        return None


@contextmanager
def peer_errors(peer: str) -> Iterator[None]:
    """Turns gRPC errors of a call to `peer` into ours.

    Raises:
        M2KTError: the class that the other side raised, or a `PeerError`.
    """
    try:
        yield
    except grpc.RpcError as error:
        raise error_from_rpc(error, peer) from error


@asynccontextmanager
async def rpc_errors(
    context: aio.ServicerContext[object, object], method: str
) -> AsyncIterator[None]:
    """Answers an exception of a handler with the status that the table gives it."""
    try:
        yield
    except (aio.AbortError, asyncio.CancelledError, GeneratorExit):
        raise
    except M2KTError as error:
        await _abort(context, method, error)
    except Exception as error:
        logger.exception("rpc failed method=%s error=%s", method, type(error).__name__)
        await _abort(context, method, errors.M2KTError(f"{type(error).__name__}"))


async def _abort(
    context: aio.ServicerContext[object, object], method: str, error: M2KTError
) -> Never:
    code, message = status_of(error), str(error)
    if code is StatusCode.INTERNAL:
        reference = secrets.token_hex(6)
        logger.error("rpc failed method=%s reference=%s error=%r", method, reference, error)
        message = (
            f"{SENTENCES[error.reason]} Reference {reference}: ask its operator to look it up in"
            " the log."
        )
    else:
        logger.info("rpc refused method=%s reason=%s detail=%s", method, error.reason, error)
    status = status_message(code, error.reason, message)
    await context.abort_with_status(rpc_status.to_status(status))
    raise AssertionError("abort raises")  # for the type checker: it cannot know
