"""One SQLite file, opened so that what was returned from is on disk.

Write-ahead log and `synchronous=FULL`; every change is a transaction; several threads may
use it, one at a time; its errors are ours. Free of torch.

Owns: `Database`, `readable`.
Does not own: the tables and what they mean (journal).
"""

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

from m2kt.errors import StoreError


@contextmanager
def readable() -> Iterator[None]:
    """What is read inside was written by us: whatever cannot be read was damaged or changed.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        yield
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreError(
            f"expected what this software has written, found {str(error)[:200]}; restore the file"
            " from a backup"
        ) from error


@final
class Database:
    """An open SQLite file. Every method raises StoreError if the file cannot be used."""

    def __init__(
        self,
        path: Path,
        *,
        schema: Sequence[str],
        version: int,
        upgrades: Mapping[int, Sequence[str]] | None = None,
    ) -> None:
        """Opens the file, and makes it if there is none.

        Args:
            path: The file; its folder must be there, on a local file system.
            schema: The statements that make its tables.
            version: Number of that schema, at least 1.
            upgrades: From a lower number, the statements that lead to the next one.

        Raises:
            StoreError: the file is no database, or no upgrade leads from its schema to this.
        """
        self._path = path
        self._guard = threading.RLock()
        with self._errors():
            self._connection = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=10.0
            )
        try:
            self._prepare(schema, version, upgrades or {})
        except BaseException:
            self.close()
            raise

    def _prepare(
        self, schema: Sequence[str], version: int, upgrades: Mapping[int, Sequence[str]]
    ) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self.rows(f"PRAGMA {pragma}")
        with self.transaction():
            [(found,)] = self.rows("PRAGMA user_version")
            if found == version:
                return
            way = range(found, version)
            if found != 0 and not (way and all(number in upgrades for number in way)):
                raise StoreError(
                    f"expected {self._path} to be of version {version}, found {found}; use the"
                    " software that made it, or move it away to begin anew"
                )
            steps = [upgrades[number] for number in way] if found else [schema]
            for statement in (statement for step in steps for statement in step):
                self.rows(statement)
            self.rows(f"PRAGMA user_version = {version}")

    def close(self) -> None:
        """Closes the file."""
        with self._guard:
            self._connection.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError, MemoryError) as error:  # damage claims any size
            raise StoreError(
                f"expected to use the database {self._path}, found {error}; free space, mend"
                " permissions, or restore the file from a backup"
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that happens inside happens, or none of it; no other thread comes between."""
        with self._guard:
            self.rows("BEGIN IMMEDIATE")
            try:
                yield
                self.rows("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self.rows("ROLLBACK")
                raise

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Executes a statement and fetches what it gives."""
        with self._guard, self._errors():
            return self._connection.execute(statement, values).fetchall()

    def changed(self, statement: str, *values: object) -> int:
        """Executes a statement and says how many rows it changed."""
        with self._guard, self._errors():
            return self._connection.execute(statement, values).rowcount
