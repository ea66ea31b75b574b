"""Certificates for mutual TLS: a development authority, and a leaf for each agent.

A leaf is P-256 (gRPC's TLS takes no Ed25519) and says who its owner is in two ways:

    URI:spiffe://<trust domain>/agent/<name>     read by servers: who is calling
    DNS:<name>.agents.m2kt.internal              asked for by clients: whom they reached

and for which hosts it answers, for clients that know an address alone. Source: the
SPIFFE X.509-SVID standard, sections 2 and 4.

Owns: `Authority`, `described`, the names on a certificate.
Does not own: packet keys (m2kt.signing), TLS itself (tls), what a caller may do (permissions).
"""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from m2kt.disk import LocalDisk, make_folder, put_private, put_whole
from m2kt.errors import RequestError, StoreError
from m2kt.identity import AgentId

from .settings import TlsFiles

TRUST_DOMAIN: Final = "m2kt.internal"
SUFFIX: Final = ".agents.m2kt.internal"
AUTHORITY_DAYS: Final = 3650
LEAF_DAYS: Final = 90
_EARLIER: Final = datetime.timedelta(minutes=5)
"""How much earlier than now a certificate begins: clocks differ."""
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    InternalError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What reading a certificate or key raises that is none, or of a kind that nobody uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateView:
    """What a certificate says.

    Attributes:
        agent: Whose it is; empty if it is no agent's.
        identity: The SPIFFE id on it, if there is one.
        hosts: Names and numbers for which it answers.
        issuer: Who signed it.
        expires_at: From when it is no longer valid.
    """

    agent: str
    identity: str
    hosts: tuple[str, ...]
    issuer: str
    expires_at: datetime.datetime


def server_name(agent: AgentId) -> str:
    """The name by which a client asks for `agent`, wherever it runs."""
    return f"{agent}{SUFFIX}"


def identity_of(agent: AgentId, trust_domain: str = TRUST_DOMAIN) -> str:
    """The SPIFFE id of `agent`."""
    return f"spiffe://{trust_domain}/agent/{agent}"


@final
class Authority:
    """Signs certificates. Its key stays where it was made; agents get its certificate alone."""

    def __init__(self, folder: Path, *, trust_domain: str = TRUST_DOMAIN) -> None:
        """Reads the authority in `folder`, or makes one.

        Raises:
            StoreError: the files cannot be read or written, or are none of an authority's.
        """
        self._folder = folder
        self._trust_domain = trust_domain
        self.certificate_file = folder / "authority.pem"
        key_file = folder / "authority-key.pem"
        self.is_new = not key_file.exists()
        if self.is_new:
            self._key = ec.generate_private_key(ec.SECP256R1())
            self._certificate = self._own()
            _write_private(key_file, self._key)
            _write(self.certificate_file, self._certificate)
        else:
            self._key, self._certificate = _read_pair(key_file, self.certificate_file)

    def issue(
        self,
        agent: AgentId,
        *,
        hosts: Sequence[str] = (),
        days: float = LEAF_DAYS,
        into: Path | None = None,
    ) -> TlsFiles:
        """Makes a key and a certificate for `agent`, and puts the authority's beside them.

        Issued again, both are replaced; a server that runs takes them up by itself.

        Args:
            agent: Its name.
            hosts: Names and numbers by which others dial it.
            days: For how long.
            into: Folder for them; by default the authority's own.

        Raises:
            RequestError: it would be valid for no time.
            StoreError: the files cannot be written.
        """
        if not days > 0:
            raise RequestError(f"expected a certificate for more than 0 days, found {days}")
        key = ec.generate_private_key(ec.SECP256R1())
        folder = into or self._folder
        files = TlsFiles(
            key=folder / f"{agent}-key.pem",
            certificate=folder / f"{agent}.pem",
            authority=folder / self.certificate_file.name,
        )
        _write(files.authority, self._certificate)
        _write_private(files.key, key)
        _write(files.certificate, self._leaf(agent, key.public_key(), hosts, days))
        return files

    def _leaf(
        self, agent: AgentId, key: ec.EllipticCurvePublicKey, hosts: Sequence[str], days: float
    ) -> x509.Certificate:
        names = [
            x509.UniformResourceIdentifier(identity_of(agent, self._trust_domain)),
            x509.DNSName(server_name(agent)),
            *map(_name_of_host, hosts),
        ]
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return (
            self._builder(agent, key, days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _own(self) -> x509.Certificate:
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        return (
            self._builder("m2kt authority", self._key.public_key(), AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _builder(
        self, subject: str, key: ec.EllipticCurvePublicKey, days: float
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_common_name(subject))
            .issuer_name(_common_name("m2kt authority"))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _EARLIER)
            .not_valid_after(now + datetime.timedelta(days=days))
        )


def described(file: Path) -> CertificateView:
    """What the first certificate in a PEM file says; whether it is valid is not asked.

    Raises:
        StoreError: there is none.
    """
    try:
        return _view(x509.load_pem_x509_certificate(file.read_bytes()))
    except (OSError, *_UNREADABLE) as error:
        raise StoreError(
            f"expected a certificate in {file}, found {error}; make one (m2kt certs issue)"
        ) from error


def _view(certificate: x509.Certificate) -> CertificateView:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    numbers = names.get_values_for_type(x509.IPAddress)
    return CertificateView(
        agent=agent_in(uris) or "",
        identity=", ".join(uris),
        hosts=(*names.get_values_for_type(x509.DNSName), *map(str, numbers)),
        issuer=certificate.issuer.rfc4514_string(),
        expires_at=certificate.not_valid_after_utc,
    )


def belong_together(key: bytes, certificate: bytes) -> bool:
    """Whether the private key is that of the first certificate, both PEM."""
    try:
        private = serialization.load_pem_private_key(key, password=None)
        return private.public_key() == x509.load_pem_x509_certificate(certificate).public_key()
    except _UNREADABLE:
        return False


def agent_in(uris: Sequence[str]) -> str | None:
    """The name of the agent whose SPIFFE id is among `uris`; None if there is none, or several.

    Any trust domain will do: which authorities count is decided before, by whose root it is.
    """
    found = {
        path.removeprefix("agent/")
        for uri in uris
        if uri.startswith("spiffe://")
        for path in [uri.removeprefix("spiffe://").partition("/")[2]]
        if path.startswith("agent/")
    }
    return found.pop() if len(found) == 1 else None


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _name_of_host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, certificate: x509.Certificate) -> None:
    make_folder(LocalDisk(), path.parent)
    put_whole(LocalDisk(), path, [certificate.public_bytes(serialization.Encoding.PEM)])


def _write_private(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Puts a key in its place; nobody but its owner can read it at any moment."""
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    make_folder(LocalDisk(), path.parent)
    put_private(LocalDisk(), path, pem)


def _read_pair(
    key_file: Path, certificate_file: Path
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    try:
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        of_key = certificate.public_key()
    except (OSError, *_UNREADABLE) as error:
        raise StoreError(
            f"expected an authority in {key_file.parent}, found {error}; restore its files, or"
            " choose another folder"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != of_key:
        raise StoreError(
            f"expected {key_file} and {certificate_file} to belong together, found that they do"
            " not; restore both"
        )
    return key, certificate
