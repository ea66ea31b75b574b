"""A running gRPC server: what all three roles have in common.

Health (grpc.health.v1), reflection, one guard around every call of ours (a deadline
is required and capped, errors become statuses), messages of at most 8 MiB, drain.

Owns: `serve`, `RunningServer`, `Service`.
Does not own: what is served (teacher, student, broker).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from m2kt.errors import DeadlineError, M2KTError, RequestError

from .errors import rpc_errors
from .methods import handlers
from .metrics import Metrics
from .parts import Chunk
from .settings import Limits, TlsFiles
from .throttle import Throttle
from .tls import caller_of, secured, server_credentials

Request = TypeVar("Request")
Response = TypeVar("Response")

if TYPE_CHECKING:  # generic in its stubs alone
    from grpc import RpcMethodHandler as Handler

    Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler[Request, Response] | None]]

logger = logging.getLogger(__name__)

OPEN_TO_ALL: Final = ("/grpc.health.", "/grpc.reflection.")
"""Methods that may be called without a deadline: probes and tools of others do."""

Context = aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Service:
    """What a server serves: a service of the protocol, and the object that has its methods."""

    descriptor: ServiceDescriptor
    servicer: object


@final
class RunningServer:
    """A server that answers. `address` is what it is bound to, `host:port`."""

    def __init__(
        self, server: aio.Server, checker: health.aio.HealthServicer, address: str
    ) -> None:
        self._server = server
        self._checker = checker
        self.address = address

    async def drain(self, grace_s: float) -> None:
        """Health turns NOT_SERVING, new calls are refused, calls in flight get `grace_s`."""
        logger.info("server drains address=%s grace_s=%.1f", self.address, grace_s)
        await self._checker.enter_graceful_shutdown()
        await self._server.stop(grace_s)

    async def ended(self) -> None:
        """Returns when the server has stopped."""
        await self._server.wait_for_termination()


async def serve(
    services: Sequence[Service],
    listen: str,
    *,
    limits: Limits,
    tls: TlsFiles | None = None,
    metrics: Metrics | None = None,
) -> RunningServer:
    """Starts a server and returns once it answers.

    Args:
        services: What to serve.
        listen: `host:port`; port 0 takes a free one.
        limits: Message size, concurrency, longest deadline.
        tls: Mutual TLS; without it the server speaks plain HTTP/2 within this machine.
        metrics: What counts its calls; by default nobody reads the figures.

    Raises:
        RequestError: the address cannot be bound, or others can reach it and there is no TLS.
        StoreError: a file of `tls` cannot be read.
    """
    server = aio.server(
        interceptors=(Guard(limits, metrics or Metrics()),),
        options=server_options(limits),
        maximum_concurrent_rpcs=limits.concurrent_rpcs,
    )
    checker = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    names = [service.descriptor.full_name for service in services]
    made = [handlers(service.descriptor, service.servicer) for service in services]
    server.add_generic_rpc_handlers(made)
    reflection.enable_server_reflection(
        [*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server
    )
    address = _bound(server, listen, tls)
    await server.start()
    for name in (*names, ""):
        await checker.set(name, health_pb2.HealthCheckResponse.SERVING)
    logger.info("server answers address=%s services=%s", address, ",".join(names))
    return RunningServer(server, checker, address)


def server_options(limits: Limits) -> list[tuple[str, Any]]:
    """Options of the HTTP/2 transport."""
    return [
        ("grpc.so_reuseport", 0),  # on, two servers share a port and nobody notices
        ("grpc.max_receive_message_length", limits.message_bytes),
        ("grpc.max_send_message_length", limits.message_bytes),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def _bound(server: aio.Server, listen: str, tls: TlsFiles | None) -> str:
    try:
        files = secured(tls, listen)
        if files is None:
            port = server.add_insecure_port(listen)
        else:
            port = server.add_secure_port(listen, server_credentials(files))
    except RuntimeError as error:
        raise RequestError(
            f"expected a free address, found {listen!r} taken or malformed:"
            f" {str(error).partition(';')[0]}; choose another `listen`, or port 0 for any free one"
        ) from error
    return f"{listen.rpartition(':')[0]}:{port}"


@final
class Guard(aio.ServerInterceptor):
    """Around every call: a deadline there must be, no caller crowds, errors become statuses."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._metrics = metrics
        self._longest_s = limits.deadline_s
        self._throttle = Throttle(limits)

    async def intercept_service(
        self,
        continuation: "Continuation[Request, Response]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler[Request, Response] | None":
        """Wraps the handler of one call."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(OPEN_TO_ALL):
            return handler
        wrap = self._stream if handler.response_streaming else self._unary
        behaviour, make = _parts(handler)
        guarded: Handler[Any, Any] = make(
            wrap(behaviour, method),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )
        return guarded

    def _unary(self, behaviour: Any, method: str) -> Any:  # noqa: ANN401
        async def guarded(request: Any, context: Context) -> Any:  # noqa: ANN401
            async with rpc_errors(context, method):
                with self._admitted(context, method):
                    async with asyncio.timeout(self._longest_s):
                        return await behaviour(request, context)

        return guarded

    def _stream(self, behaviour: Any, method: str) -> Any:  # noqa: ANN401
        async def guarded(request: Any, context: Context) -> Any:  # noqa: ANN401
            async with rpc_errors(context, method):
                with self._admitted(context, method):
                    async with (
                        asyncio.timeout(self._longest_s),
                        aclosing(behaviour(request, context)) as items,
                    ):
                        async for item in items:
                            yield item
                            if isinstance(item, Chunk):
                                self._metrics.sent(len(item.data))

        return guarded

    @contextmanager
    def _admitted(self, context: Context, method: str) -> Iterator[None]:
        """A call that is counted, has a deadline, and has its place among those of its caller."""
        with self._metrics.call(method):
            self._require_deadline(context)
            try:
                with self._throttle.held(_caller(context)):
                    yield
            except TimeoutError as error:
                raise self._too_long() from error

    def _require_deadline(self, context: Context) -> None:
        if context.time_remaining() is None:
            raise RequestError(
                "expected a call with a deadline, found none; set a timeout of at most"
                f" {self._longest_s:.0f} s (grpcurl: -max-time)"
            )

    def _too_long(self) -> M2KTError:
        return DeadlineError(
            f"expected the call to end within {self._longest_s:.0f} s, found it running; call again"
        )


def _caller(context: Context) -> str:
    """Whom a call counts for: a name on a certificate, or without TLS an address."""
    name = caller_of(context)
    return f"agent:{name}" if name else context.peer().rpartition(":")[0]


def _parts(handler: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """The behaviour of a handler, and the function that makes a handler of its kind."""
    kinds = {
        (False, False): (handler.unary_unary, grpc.unary_unary_rpc_method_handler),
        (False, True): (handler.unary_stream, grpc.unary_stream_rpc_method_handler),
        (True, False): (handler.stream_unary, grpc.stream_unary_rpc_method_handler),
        (True, True): (handler.stream_stream, grpc.stream_stream_rpc_method_handler),
    }
    return kinds[handler.request_streaming, handler.response_streaming]
