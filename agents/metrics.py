"""What an agent counts while it runs, for Prometheus: calls, transfers, deeds, bytes.

Nothing here says who asked or what was learnt: labels are methods, statuses, states and reason
codes, all of which are few. They are served over HTTP where the settings say (`metrics_listen`),
to everybody on this machine or, over mutual TLS, to whoever has a certificate of the authority;
where the settings say `plaintext`, to everybody.

Owns: `Metrics`, `serve_metrics`.
Does not own: when what happens (server, ledger, transfers, m2kt.audit).
"""

import logging
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Thread
from typing import Any, Final, final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from grpc import StatusCode
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    make_wsgi_app,
)
from prometheus_client.exposition import ThreadingWSGIServer

from m2kt import __version__
from m2kt.audit import Deed
from m2kt.errors import M2KTError, RequestError
from m2kt.identity import AgentId, Role
from m2kt.progress import TransferState
from m2kt.reasons import Reason

from .addresses import is_loopback
from .errors import status_of
from .settings import TlsFiles
from .tls import secured, ssl_context

logger = logging.getLogger(__name__)

AT_ONCE: Final = 8
"""Requests that are answered at one time."""
PATIENCE_S: Final = 10.0
"""Seconds that whoever reads the figures may leave the connection idle."""
CALL_S: Final = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0, 3600.0)
TRANSFER_S: Final = (1.0, 5.0, 20.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)


@final
class Metrics:
    """The figures of one agent, and those of its process. Safe to use from several threads."""

    def __init__(self) -> None:
        self.registry = its = CollectorRegistry()
        ProcessCollector(registry=its)
        PlatformCollector(registry=its)
        self._agent = Info("m2kt_agent", "Who this is.", registry=its)
        self._calls = Counter("m2kt_calls", "Calls that ended.", ["method", "code"], registry=its)
        self._seconds = Histogram(
            "m2kt_call_seconds", "How long they took.", ["method"], buckets=CALL_S, registry=its
        )
        self._open = Gauge("m2kt_calls_open", "Calls under way.", ["method"], registry=its)
        self._refused = Counter(
            "m2kt_refusals", "Calls and lessons refused, by reason.", ["reason"], registry=its
        )
        self._sent = Counter(
            "m2kt_chunk_bytes_sent", "Bytes of packets streamed to those who asked.", registry=its
        )
        self._deeds = Counter("m2kt_deeds", "Entries of the audit log.", ["deed"], registry=its)
        self._transfers = Histogram(
            "m2kt_transfer_seconds",
            "From the order to a final state.",
            ["state"],
            buckets=TRANSFER_S,
            registry=its,
        )

    def introduce(self, name: AgentId, role: Role) -> None:
        """Says whose figures these are."""
        self._agent.info({"name": name, "role": role.value, "version": __version__})

    @contextmanager
    def call(self, method: str) -> Iterator[None]:
        """Counts a call of ours: how long it takes, and the status that what it raises means."""
        began_s, code = time.perf_counter(), StatusCode.OK
        self._open.labels(method).inc()
        try:
            yield
        except M2KTError as error:
            code = status_of(error)
            self.refused(error.reason)
            raise
        except Exception:
            code = StatusCode.INTERNAL
            raise
        except BaseException:  # who called has hung up
            code = StatusCode.CANCELLED
            raise
        finally:
            self._open.labels(method).dec()
            self._calls.labels(method, code.name).inc()
            self._seconds.labels(method).observe(time.perf_counter() - began_s)

    def sent(self, length: int) -> None:
        """Bytes of a packet were handed to gRPC."""
        self._sent.inc(length)

    def refused(self, *reasons: Reason) -> None:
        """Something was refused, for these reasons."""
        for reason in reasons:
            self._refused.labels(reason.value).inc()

    def done(self, deed: Deed) -> None:
        """An entry stands in the audit log."""
        self._deeds.labels(deed.value).inc()

    def ended(self, state: TransferState, seconds: float) -> None:
        """A transfer has come to a final state."""
        self._transfers.labels(state.value).observe(seconds)


@final
class MetricsServer:
    """Answers `GET /metrics`, each request in a thread. `address` is what it is bound to."""

    def __init__(self, server: WSGIServer, host: str) -> None:
        self._server = server
        self._thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
        self._thread.start()
        self.address = f"{host}:{server.server_port}"

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve_metrics(metrics: Metrics, listen: str, *, tls: TlsFiles | None) -> MetricsServer:
    """Serves the figures at `listen`, `host:port`; port 0 takes a free one.

    Over mutual TLS where others can reach it, unless `tls` says `plaintext`.

    Raises:
        RequestError: the address cannot be bound, or others can reach it and there is no TLS.
        StoreError: the files of `tls` are not as they should be.
    """
    files = None if is_loopback(listen) else secured(tls, listen)
    context = None if files is None else ssl_context(files)
    host, _, port = listen.rpartition(":")
    try:
        server = make_server(
            host.strip("[]"),
            int(port),
            make_wsgi_app(metrics.registry),
            server_class=_Server6 if ":" in host else _Server,
            handler_class=_Silent,
        )
    except (OSError, OverflowError, ValueError) as error:
        raise RequestError(
            f"expected a free address for metrics_listen, found {listen[:80]!r}: {error}; choose"
            " another, or port 0 for any free one"
        ) from error
    if context is not None:
        server.socket = context.wrap_socket(  # the handshake is the request's thread's business
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    return MetricsServer(server, host)


class _Server(ThreadingWSGIServer):
    """Requests of a few at a time; who comes beside them finds the connection closed."""

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments)
        self._room = BoundedSemaphore(AT_ONCE)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Answers in a thread, if there is room."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Answers, and makes room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """One line: strangers who knock are no fault of ours."""
        logger.info("figures not sent to=%s error=%r", client_address, sys.exception())


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Silent(WSGIRequestHandler):
    timeout = PATIENCE_S

    def log_message(self, *_: object) -> None:
        """Says nothing: a scrape every few seconds is no news."""
