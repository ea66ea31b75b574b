"""The tables of a journal, and what makes an older journal one of today.

Owns: `TABLES`, `VERSION`, `UPGRADES`.
Does not own: what is written into them (journal), the file (database).
"""

from collections.abc import Mapping, Sequence
from typing import Final

VERSION: Final = 2

_COLLECTED: Final = """CREATE TABLE collected (
        transfer TEXT NOT NULL REFERENCES transfers (id), source TEXT NOT NULL,
        packet TEXT NOT NULL, PRIMARY KEY (transfer, source)
    ) STRICT"""

TABLES: Final = (
    """CREATE TABLE transfers (
        id TEXT PRIMARY KEY, domain TEXT NOT NULL, request BLOB NOT NULL, state TEXT NOT NULL,
        packets TEXT NOT NULL, outcome BLOB, idempotency_key TEXT UNIQUE,
        created_at_s REAL NOT NULL, updated_at_s REAL NOT NULL
    ) STRICT""",
    """CREATE TABLE events (
        transfer TEXT NOT NULL REFERENCES transfers (id), number INTEGER NOT NULL,
        at_s REAL NOT NULL, state TEXT NOT NULL, message TEXT NOT NULL, figures TEXT NOT NULL,
        PRIMARY KEY (transfer, number)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE seen (
        packet TEXT PRIMARY KEY, expires_at_s REAL NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE receipts (
        number INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, envelope BLOB NOT NULL,
        received_at_s REAL NOT NULL
    ) STRICT""",
    _COLLECTED,
)

UPGRADES: Final[Mapping[int, Sequence[str]]] = {1: (_COLLECTED,)}
"""From each version before this one, the statements that lead to the next."""
