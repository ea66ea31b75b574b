"""A database file: all or nothing, and never one that is not ours."""

import sqlite3
from pathlib import Path

import pytest

from m2kt.database import Database
from m2kt.errors import StoreError

SCHEMA = ("CREATE TABLE notes (text TEXT NOT NULL) STRICT",)


def opened(path: Path, version: int = 1) -> Database:
    return Database(path, schema=SCHEMA, version=version)


def test_what_was_written_is_there_after_reopening(tmp_path: Path):
    database = opened(tmp_path / "file")
    assert database.changed("INSERT INTO notes VALUES (?)", "kept") == 1
    database.close()
    assert opened(tmp_path / "file").rows("SELECT text FROM notes") == [("kept",)]


def test_a_transaction_that_raises_changes_nothing(tmp_path: Path):
    database = opened(tmp_path / "file")

    def interrupted() -> None:
        with database.transaction():
            database.changed("INSERT INTO notes VALUES (?)", "lost")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert database.rows("SELECT text FROM notes") == []


def test_every_commit_reaches_the_disk(tmp_path: Path):
    database = opened(tmp_path / "file")
    assert database.rows("PRAGMA journal_mode") == [("wal",)]
    assert database.rows("PRAGMA synchronous") == [(2,)]


def test_a_file_of_another_version_is_left_alone(tmp_path: Path):
    opened(tmp_path / "file", version=2).close()
    with pytest.raises(StoreError, match=r"expected .* of version 1, found 2"):
        opened(tmp_path / "file", version=1)
    assert opened(tmp_path / "file", version=2).rows("SELECT * FROM notes") == []


UPGRADES = {
    1: ("ALTER TABLE notes ADD COLUMN author TEXT",),
    2: ("UPDATE notes SET author = 'nobody'",),
}


def test_a_file_of_an_earlier_version_is_brought_up_to_date_and_keeps_what_it_has(tmp_path: Path):
    opened(tmp_path / "file").changed("INSERT INTO notes VALUES (?)", "kept")
    for _ in range(2):
        database = Database(tmp_path / "file", schema=(), version=3, upgrades=UPGRADES)
        assert database.rows("SELECT text, author FROM notes") == [("kept", "nobody")]
        assert database.rows("PRAGMA user_version") == [(3,)]


def test_a_file_from_which_no_upgrade_leads_here_is_left_alone(tmp_path: Path):
    opened(tmp_path / "file").close()
    with pytest.raises(StoreError, match=r"of version 3, found 1"):
        Database(tmp_path / "file", schema=(), version=3, upgrades={2: UPGRADES[2]})
    assert opened(tmp_path / "file").rows("SELECT * FROM notes") == []


def test_a_file_that_is_no_database_is_named(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"anything else" * 1000)
    with pytest.raises(StoreError, match=r"file, found .*restore"):
        opened(tmp_path / "file")
    with pytest.raises(StoreError, match="missing"):
        opened(tmp_path / "missing" / "file")


def test_errors_of_sqlite_become_ours(tmp_path: Path):
    database = opened(tmp_path / "file")
    with pytest.raises(StoreError) as caught:
        database.changed("INSERT INTO notes VALUES (NULL)")
    assert isinstance(caught.value.__cause__, sqlite3.IntegrityError)
