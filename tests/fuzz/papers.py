"""Files that users write or an agent keeps, and short texts: what reads each, and examples.

Owns: `PAPERS`, `text`, `texts`.
"""

import base64
import json
import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from m2kt import domains
from m2kt.audit import AuditLog, Deed, verify_entries
from m2kt.database import Database
from m2kt.digest import digest_from_raw, digest_from_text, digest_of
from m2kt.disk import LocalDisk
from m2kt.domains import definition
from m2kt.errors import M2KTError
from m2kt.history import EMPTY, Skill
from m2kt.identity import PacketId, agent_id
from m2kt.journal import Journal
from m2kt.journal_schema import TABLES, VERSION
from m2kt.sealed_packets import SealedPackets
from m2kt.signing import Ed25519Signer
from m2kt.store import Store
from m2kt.trust import load_trust, public_key_of, save_trust
from m2kt_agents.addresses import is_loopback, read_address
from m2kt_agents.certificates import Authority, agent_in, belong_together, described
from m2kt_agents.orders import LearnOrder, order_from_json
from m2kt_agents.permissions import PermissionRules
from m2kt_agents.settings import read_settings, settings_from
from tests.packets import NOW_S, STUDENT, signer, trusting

SETTINGS: Final = b"""name = "student-1"
role = "student"
listen = "127.0.0.1:7003"
domains = ["arith.mod7"]
co_key_files = ["a.pem"]
[model]
name = "smollm2-135m"
resources = { box = 1 }
[limits]
streams = 2
[tls]
key = "k.pem"
certificate = "c.pem"
authority = "a.pem"
[permissions]
learn = ["student-*:arith.*", "@enrolled"]
"""
DOMAIN: Final = b"""name = "colours.mix"
symbols = ["r", "g", "b"]
longest = 3
[[operations]]
sign = "+"
gloss = "{left} mixed with {right}"
table = ["rbg", "brr", "grb"]
[[operations]]
sign = "!"
operands = []
table = ["g", "b", "r"]
"""


@dataclass(frozen=True)
class Paper:
    """A kind of file: what reads it, examples, and its name."""

    read: Callable[[Path], object]
    seeds: Callable[[], Iterable[bytes]]
    file: str


def settings(path: Path) -> None:
    read_settings(path, {}).rules_for("permissions", PermissionRules)


def environment(path: Path) -> None:
    """Lines NAME=VALUE over settings that are right."""
    lines = path.read_bytes().decode(errors="replace").split("\n")
    found = dict(line.partition("=")[::2] for line in lines)
    table = {"name": "a", "role": "student", "model": {"name": "smollm2-135m"}}
    settings_from(table, base=path.parent, environ=found)


def state(path: Path) -> None:
    """A state of a student's history, under its digest."""
    raw, root = path.read_bytes(), path.parent / "store"
    (root / "states").mkdir(parents=True, exist_ok=True)
    kept = root / "states" / (digest_of(raw).removeprefix("b3:") + ".json")
    kept.write_bytes(raw)
    (root / "HEAD").write_text(digest_of(raw))
    try:
        Store(root, writable=False).history()
    finally:
        kept.unlink()


def states() -> Iterable[bytes]:
    skill = Skill(EMPTY.digest, (PacketId(EMPTY.digest),), (signer().key_id,))
    learnt = replace(EMPTY, at_s=NOW_S, note="learnt", skills={"arith.mod7": skill})
    return [EMPTY.encoded(), learnt.encoded()]


def head(path: Path) -> None:
    Store(path.parent, writable=False)


def seal(path: Path) -> None:
    packets = SealedPackets(path.parent, LocalDisk(), lambda *_: None)
    packets.manifest(PacketId("b3:" + path.stem))


def seals() -> Iterable[bytes]:
    return [json.dumps({"manifest": EMPTY.digest, "content": EMPTY.digest}).encode()]


def journal(path: Path) -> None:
    for beside in ("-wal", "-shm"):
        path.with_name(path.name + beside).unlink(missing_ok=True)
    with Journal(path) as found:
        for transfer in found.transfers():
            found.events_after(transfer.id, 0)
            found.collected(transfer.id)
        found.receipts()


def journals() -> Iterable[bytes]:
    """One with a transfer and its events, in small pages."""
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA page_size = 512")
    for statement in (*TABLES, f"PRAGMA user_version = {VERSION}"):
        connection.execute(statement)
    row = "('t', 'd', x'7b7d', 'OFFERED', '[\"b3:0\"]', NULL, 'k', 1.0, 1.0)"
    connection.execute(f"INSERT INTO transfers VALUES {row}")
    connection.execute("INSERT INTO events VALUES ('t', 1, 1.0, 'OFFERED', 'm', '{\"a\": 1.0}')")
    connection.execute("INSERT INTO collected VALUES ('t', 'a:1', 'b3:0')")
    connection.commit()
    return [connection.serialize()]


def audit(path: Path) -> None:
    """The facts of an entry that somebody changed."""
    database = Database(Path(":memory:"), schema=(), version=1)
    try:
        log = AuditLog(database, signer())
        log.note(Deed.REGISTERED, {"agent": "a"}, at_s=NOW_S)
        facts = path.read_bytes().decode(errors="replace")
        database.rows("UPDATE audit SET facts = ?", facts)
        verify_entries(log.entries(), {signer().key_id})
    finally:
        database.close()


def order(path: Path) -> None:
    order_from_json(path.read_bytes().decode(errors="replace"))


def orders() -> Iterable[bytes]:
    return [LearnOrder(key="k", domain="arith.mod7", teachers=("a:1",)).to_json().encode()]


def armoured(path: Path, kind: str) -> bytes:
    """The DER in a file, as PEM, and the file too."""
    body = base64.encodebytes(path.read_bytes()).decode()
    pem = f"-----BEGIN {kind}-----\n{body}-----END {kind}-----\n".encode()
    path.write_bytes(pem)
    return pem


def certificate(path: Path) -> None:
    pem = armoured(path, "CERTIFICATE")
    belong_together(issued()[0], pem)
    described(path)


def key(path: Path) -> None:
    pem = armoured(path, "PRIVATE KEY")
    path.chmod(0o600)
    belong_together(pem, issued()[1])
    Ed25519Signer.load(path)


@cache
def issued() -> tuple[bytes, bytes]:
    """A private key and its certificate, PEM."""
    with tempfile.TemporaryDirectory() as folder:
        files = Authority(Path(folder)).issue(STUDENT, hosts=["localhost", "127.0.0.1"])
        return files.key.read_bytes(), files.certificate.read_bytes()


def certificates() -> Iterable[bytes]:
    found = x509.load_pem_x509_certificate(issued()[1])
    return [found.public_bytes(Encoding.DER)]


def keys() -> Iterable[bytes]:
    kinds = (Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    of_tls = serialization.load_pem_private_key(issued()[0], None)
    of_packets = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    return [its.private_bytes(*kinds) for its in (of_tls, of_packets)]


def trust_files() -> Iterable[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trust.json"
        rotated = trusting().rotate(signer().key_id, signer(2).key_id, NOW_S)
        save_trust(path, rotated.enrol(signer(3).key_id, STUDENT, "lab", root=True))
        return [path.read_bytes()]


PAPERS: Final = {
    "trust": Paper(load_trust, trust_files, "trust.json"),
    "settings": Paper(settings, lambda: [SETTINGS], "agent.toml"),
    "environment": Paper(
        environment,
        lambda: [b"M2KT_LISTEN=0.0.0.0:1\nM2KT_MODEL__THREADS=2\nM2KT_LIMITS__STREAMS=3"],
        "environment",
    ),
    "domain": Paper(definition.read, lambda: [DOMAIN], "domain.toml"),
    "state": Paper(state, states, "state.json"),
    "head": Paper(head, lambda: [EMPTY.digest.encode()], "HEAD"),
    "seal": Paper(seal, seals, "0" * 64 + ".json"),
    "journal": Paper(journal, journals, "journal.sqlite"),
    "audit": Paper(audit, lambda: [b'{"agent":"a"}', b'[["agent","a"]]'], "facts.json"),
    "order": Paper(order, orders, "order.json"),
    "certificate": Paper(certificate, certificates, "certificate.pem"),
    "key": Paper(key, keys, "key.pem"),
}

READERS: Final[tuple[Callable[[str], object], ...]] = (
    read_address,
    is_loopback,
    agent_id,
    digest_from_text,
    public_key_of,
    domains.get,
    lambda said: agent_in([said]),
    lambda said: PermissionRules(learn=(said,)),
    *(domains.get(name).parse for name in domains.names()),
)


def text(raw: bytes) -> None:
    """A short text, by whatever reads one; and what reads raw bytes as short."""
    said = raw.decode(errors="replace")
    for read in READERS:
        with suppress(M2KTError):
            read(said)
    digest_from_raw(raw)


def texts() -> Iterable[bytes]:
    names = ("student-1@127.0.0.1:7003", "[::1]:7003", "unix:/tmp/a", "arith.mod7", "teacher-*:a.*")
    named = ("spiffe://m2kt.internal/agent/student-1", signer().key_id, EMPTY.digest)
    traces = []
    for name in domains.names():
        domain, rng = domains.get(name), random.Random(1)
        traces.append(domain.solve(domain.question(rng, domain.levels[-1]).text).text)
    return [its.encode() for its in (*names, *named, *traces)] + [bytes(32)]
