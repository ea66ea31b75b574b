"""TLS certificates for tests: an authority and one leaf, P-256."""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DAY = datetime.timedelta(days=1)


def authority_with(folder: Path, name: str) -> tuple[Path, Path, Path]:
    """Files: key and certificate of a leaf for `name`, and the authority's certificate."""
    folder.mkdir(parents=True)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = certificate("authority", root_key, "authority", root_key, is_authority=True)
    leaf = certificate(name, key, "authority", root_key, is_authority=False)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    paths = folder / "key.pem", folder / "certificate.pem", folder / "authority.pem"
    pem = serialization.Encoding.PEM
    for path, content in zip(
        paths, (private, leaf.public_bytes(pem), root.public_bytes(pem)), strict=True
    ):
        path.write_bytes(content)
    return paths


def certificate(name, key, issuer, issuer_key, *, is_authority) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
