"""Mutual TLS: credentials of both sides from files, taken up anew when these change.

Owns: where TLS has to be (`secured`), `server_credentials`, `ssl_context`,
`channel_credentials`, `caller_of`.
Does not own: making certificates (certificates), what a caller may do (permissions).
"""

import logging
import ssl
from pathlib import Path
from typing import Any

import grpc
from grpc import aio

from m2kt.disk import disk_errors
from m2kt.errors import RequestError, StoreError
from m2kt.identity import AgentId

from .addresses import is_loopback
from .certificates import agent_in, belong_together
from .settings import TlsFiles

logger = logging.getLogger(__name__)

Contents = tuple[bytes, bytes, bytes]
"""Key, certificate and authority, PEM."""


def secured(tls: TlsFiles | None, target: str) -> TlsFiles | None:
    """The files for TLS at `target`; None where plain HTTP/2 is spoken.

    Raises:
        RequestError: others can reach `target`, and nobody said that this may be plain.
    """
    if tls is not None:
        return None if tls.plaintext else tls
    if is_loopback(target):
        return None
    raise RequestError(
        f"expected [tls] for {target[:80]}, which is not on this machine alone, found none; make"
        " certificates (m2kt certs issue), or write plaintext = true under [tls] for a network"
        " that nobody else is on"
    )


def server_credentials(tls: TlsFiles) -> grpc.ServerCredentials:
    """Asks every caller for a certificate; new files hold from the next connection on.

    Raises:
        StoreError: a file cannot be read.
    """
    current = _Watched(tls)

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        contents = current.changed()
        return None if contents is None else _configuration(contents)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(current.contents),
        renewed,  # type: ignore[arg-type]  # None means unchanged, says gRPC; its stubs do not
        require_client_authentication=True,
    )


def channel_credentials(tls: TlsFiles) -> grpc.ChannelCredentials:
    """What a client shows, and whose servers it believes.

    Raises:
        StoreError: a file cannot be read.
    """
    key, certificate, authority = _read(tls)
    return grpc.ssl_channel_credentials(authority, key, certificate)


def ssl_context(tls: TlsFiles) -> ssl.SSLContext:
    """The same for a server of HTTP: every caller is asked for a certificate.

    Raises:
        StoreError: a file cannot be read, or they do not belong together.
    """
    _, _, authority = _read(tls)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(cadata=authority.decode("ascii"))
        context.load_cert_chain(tls.certificate, tls.key, password="")
    except (ValueError, OSError) as error:  # SSLError is an OSError
        raise StoreError(
            f"expected a key, a certificate and an authority in PEM, found {error}; issue them"
            " again (m2kt certs issue)"
        ) from error
    return context


def caller_of(context: aio.ServicerContext[Any, Any]) -> AgentId | None:
    """Which agent calls, by its certificate; None on a connection without TLS.

    Empty if the certificate is valid but no agent's.
    """
    facts = context.auth_context()
    if facts.get("transport_security_type") != [b"ssl"]:
        return None
    uris = [uri.decode(errors="replace") for uri in facts.get("peer_uri", ())]
    return AgentId(agent_in(uris) or "")


class _Watched:
    """The contents of the files, and whether they are others than they were."""

    def __init__(self, tls: TlsFiles) -> None:
        self._tls = tls
        self._stamps = _stamps(tls)
        self.contents = _read(tls)

    def changed(self) -> Contents | None:
        """What the files hold now, if that is something new.

        gRPC asks at every handshake. Files that cannot be read, or do not belong together
        because only some were replaced yet, leave what was there before.
        """
        stamps = _stamps(self._tls)
        if stamps == self._stamps:
            return None
        try:
            contents = _read(self._tls)
        except StoreError as error:
            logger.warning("TLS files not read, the old ones stay error=%s", error)
            return None
        self._stamps, before = stamps, self.contents
        if contents == before:
            return None
        self.contents = contents
        logger.info("TLS files taken up certificate=%s", self._tls.certificate)
        return contents


def _configuration(contents: Contents) -> grpc.ServerCertificateConfiguration:
    key, certificate, authority = contents
    return grpc.ssl_server_certificate_configuration([(key, certificate)], authority)


def _read(tls: TlsFiles) -> Contents:
    with disk_errors("read the files of [tls]"):
        key, certificate, authority = (
            path.read_bytes() for path in (tls.key, tls.certificate, tls.authority)
        )
    if not belong_together(key, certificate):
        raise StoreError(
            f"expected {tls.key} to be the key of {tls.certificate}, found that it is not; issue"
            " both again (m2kt certs issue)"
        )
    return key, certificate, authority


def _stamps(tls: TlsFiles) -> tuple[tuple[int, int] | None, ...]:
    return tuple(_stamp(path) for path in (tls.key, tls.certificate, tls.authority))


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
