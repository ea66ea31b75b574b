"""An agent's audit log: what it did that matters to others, chained by digests and signed.

    digest(n) = BLAKE3(digest(n - 1), entry n)        digest(0) = 32 zeros

Whoever changes, drops or inserts an entry breaks the chain at it; whoever writes the chain
anew needs the agent's key; and whoever has that, and cuts off the end, is found out by a
receipt that names a later digest. Lies in the database of the journal. Free of torch.

Owns: `AuditLog`, `verify_entries`.
Does not own: what is worth an entry (agents).
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, final

from m2kt.database import Database
from m2kt.digest import DIGEST_BYTES, Digest, digest_from_raw, digest_of, raw_digest
from m2kt.errors import M2KTError, TamperedError
from m2kt.identity import KeyId
from m2kt.signing import Signature, Signer, require_valid

_TABLE: Final = """CREATE TABLE IF NOT EXISTS audit (
    number INTEGER PRIMARY KEY, at_s REAL NOT NULL, deed TEXT NOT NULL, facts TEXT NOT NULL,
    digest TEXT NOT NULL, key_id TEXT NOT NULL, signature BLOB NOT NULL
) STRICT"""
_ALL: Final = "SELECT number, at_s, deed, facts, digest, key_id, signature FROM audit"
_PREFIX: Final = b"m2kt audit v1 "

NOTHING: Final = digest_from_raw(bytes(DIGEST_BYTES))
"""The digest before the first entry."""


class Deed(StrEnum):
    """What an entry tells of."""

    REGISTERED = "REGISTERED"
    PACKET_SENT = "PACKET_SENT"
    PACKET_KEPT = "PACKET_KEPT"
    PACKET_FETCHED = "PACKET_FETCHED"
    RECEIPT_SIGNED = "RECEIPT_SIGNED"
    RECEIPT_KEPT = "RECEIPT_KEPT"
    UNLEARNT = "UNLEARNT"
    REVERTED = "REVERTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One line of the log.

    Attributes:
        number: Counts from 1.
        at_s: Unix time, seconds, on the agent's clock.
        deed: What was done.
        facts: With what, and for whom; names and ids alone.
        digest: Of this entry and, through the one before, of all before.
        key_id: The agent's key of that time.
        signature: By that key, of the digest.
    """

    number: int
    at_s: float
    deed: str
    facts: Mapping[str, str]
    digest: Digest
    key_id: KeyId
    signature: bytes


@final
class AuditLog:
    """One agent's log. Safe to use from several threads."""

    def __init__(
        self, database: Database, signer: Signer, heard: Callable[[Deed], None] = lambda _: None
    ) -> None:
        """Makes the table if there is none.

        Args:
            database: Where the log is.
            signer: The agent's key.
            heard: Is told of every entry once it stands.

        Raises:
            StoreError: the database cannot be used.
        """
        self._database = database
        self._signer = signer
        self._heard = heard
        database.rows(_TABLE)

    def note(self, deed: Deed, facts: Mapping[str, str], *, at_s: float) -> None:
        """Appends an entry.

        Raises:
            StoreError: it cannot be written.
        """
        with self._database.transaction():
            count, head = self.head()
            key_id = self._signer.key_id
            digest = _chained(head, count + 1, at_s, deed.value, dict(facts), key_id)
            self._database.rows(
                "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)",
                count + 1,
                at_s,
                deed.value,
                _canonical(facts),
                digest,
                key_id,
                self._signer.sign(_PREFIX + raw_digest(digest)),
            )
        self._heard(deed)

    def head(self) -> tuple[int, Digest]:
        """How many entries there are, and the digest of the last."""
        rows = self._database.rows("SELECT number, digest FROM audit ORDER BY number DESC LIMIT 1")
        return rows[0] if rows else (0, NOTHING)

    def entries(self) -> tuple[AuditEntry, ...]:
        """All entries, oldest first, unchecked.

        Raises:
            TamperedError: one cannot be read.
        """
        rows = self._database.rows(_ALL + " ORDER BY number")
        return tuple(
            AuditEntry(
                number=number,
                at_s=at_s,
                deed=deed,
                facts=_facts(number, facts),
                digest=digest,
                key_id=key_id,
                signature=signature,
            )
            for number, at_s, deed, facts, digest, key_id, signature in rows
        )


def verify_entries(
    entries: Iterable[AuditEntry],
    keys: Collection[KeyId],
    witnessed: Mapping[int, Digest] | None = None,
) -> tuple[int, Digest]:
    """How many entries there are, and the digest of the last, if nobody has tampered with them.

    Args:
        entries: The log, oldest first.
        keys: That the agent has, or had.
        witnessed: Digests by number that others know from receipts.

    Raises:
        TamperedError: an entry was changed, dropped, inserted or cut off, or another key
            than these signed it.
    """
    witnessed = dict(witnessed or {})
    count, head = 0, NOTHING
    for entry in entries:
        count += 1
        facts = dict(entry.facts)
        chained = _chained(head, count, entry.at_s, entry.deed, facts, entry.key_id)
        if (entry.number, entry.digest) != (count, chained):
            raise TamperedError(
                f"expected entry {count} to have the digest {chained}, found entry {entry.number}"
                f" with {entry.digest}; it was changed, or one before it dropped or inserted"
            )
        _require_signed(entry, keys)
        head = entry.digest
        if witnessed.pop(count, head) != head:
            raise TamperedError(
                f"expected entry {count} as others were told of it, found {head}; the log was"
                " written anew since"
            )
    if witnessed:
        raise TamperedError(
            f"expected at least {max(witnessed)} entries, which others were told of, found {count};"
            " the end was cut off"
        )
    return count, head


def _require_signed(entry: AuditEntry, keys: Collection[KeyId]) -> None:
    if entry.key_id not in keys:
        raise TamperedError(
            f"expected entry {entry.number} to be signed by a key of this agent, found"
            f" {entry.key_id[:80]}; if it had that key once, name it"
        )
    try:
        signature = Signature(entry.key_id, entry.signature)
        require_valid(signature, _PREFIX + raw_digest(entry.digest))
    except M2KTError as error:
        raise TamperedError(
            f"expected entry {entry.number} with the signature of {entry.key_id}, found another:"
            " whoever wrote it does not have that key"
        ) from error


def _chained(before: Digest, *entry: object) -> Digest:
    """The digest of an entry: its number, time, deed, facts and key."""
    return digest_of(raw_digest(before), _canonical(entry).encode())


def _facts(number: int, raw: str) -> dict[str, str]:
    try:
        found: dict[str, str] = dict(json.loads(raw))
        _canonical(found).encode()  # texts that cannot be told, keys that cannot be sorted
    except (ValueError, TypeError, RecursionError) as error:
        raise TamperedError(
            f"expected the facts of entry {number}, found {error}; somebody changed them"
        ) from error
    return found


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
