"""Nothing can be changed in an audit log, dropped from it or added to it without being seen."""

import sqlite3
from pathlib import Path

import pytest

from m2kt.audit import NOTHING, AuditLog, Deed, verify_entries
from m2kt.database import Database
from m2kt.errors import TamperedError
from m2kt.reasons import Reason
from tests.packets import signer

OWN, OTHER = signer(1), signer(2)
KEYS = {OWN.key_id}


def opened(path: Path, key=OWN) -> AuditLog:
    return AuditLog(Database(path, schema=(), version=1), key)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    log = opened(tmp_path / "journal.sqlite")
    for number in range(5):
        log.note(
            Deed.PACKET_SENT, {"packet": f"b3:{number}", "student": "b\u00f6b"}, at_s=float(number)
        )
    return tmp_path / "journal.sqlite"


def verify(path: Path, witnessed=None, keys=KEYS):
    return verify_entries(opened(path).entries(), keys, witnessed)


def tampered(path: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(path) as connection:
        assert connection.execute(statement, values).rowcount > 0


def test_a_log_that_nobody_touched_is_verified_also_after_a_restart(path):
    count, head = verify(path)
    assert (count, head) == (5, opened(path).head()[1])
    assert verify(path, {3: opened(path).entries()[2].digest, 5: head}) == (5, head)


def test_a_log_without_entries_is_whole(tmp_path):
    assert verify(tmp_path / "journal.sqlite") == (0, NOTHING)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at_s", 99.0),
        ("deed", "PACKET_KEPT"),
        ("facts", '{"packet":"b3:9","student":"bob"}'),
        ("digest", NOTHING),
        ("key_id", OTHER.key_id),
        ("signature", bytes(64)),
        ("facts", "no JSON"),
    ],
    ids=["time", "deed", "facts", "digest", "key", "signature", "unreadable"],
)
@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_changed_entry_is_found(path, column, value, number):
    tampered(path, f"UPDATE audit SET {column} = ? WHERE number = ?", value, number)
    with pytest.raises(TamperedError, match=f"entry {number}") as found:
        verify(path)
    assert found.value.reason is Reason.TAMPERED


@pytest.mark.parametrize("number", [1, 3])
def test_a_dropped_entry_is_found_also_if_the_others_are_numbered_anew(path, number):
    tampered(path, "DELETE FROM audit WHERE number = ?", number)
    with pytest.raises(TamperedError):
        verify(path)
    tampered(path, "UPDATE audit SET number = number - 1 WHERE number > ?", number)
    with pytest.raises(TamperedError):
        verify(path)


def test_entries_cannot_change_places(path):
    tampered(path, "UPDATE audit SET number = -1 WHERE number = 2")
    tampered(path, "UPDATE audit SET number = 2 WHERE number = 3")
    tampered(path, "UPDATE audit SET number = 3 WHERE number = -1")
    with pytest.raises(TamperedError):
        verify(path)


def test_who_has_no_key_of_the_agent_cannot_write_the_log_anew(path, tmp_path):
    forged = opened(tmp_path / "forged.sqlite", OTHER)
    forged.note(Deed.PACKET_SENT, {"packet": "b3:other"}, at_s=1.0)
    with pytest.raises(TamperedError, match="a key of this agent"):
        verify_entries(forged.entries(), KEYS)
    assert verify_entries(forged.entries(), {OTHER.key_id})[0] == 1


def test_an_end_that_was_cut_off_is_found_by_who_was_told_of_it(path):
    head = verify(path)[1]
    tampered(path, "DELETE FROM audit WHERE number = 5")
    assert verify(path)[0] == 4
    with pytest.raises(TamperedError, match="the end was cut off"):
        verify(path, {5: head})


def test_a_log_that_its_owner_wrote_anew_is_found_by_who_was_told_of_the_old_one(path, tmp_path):
    told = opened(path).entries()[0].digest
    anew = opened(tmp_path / "anew.sqlite")
    anew.note(Deed.PACKET_SENT, {"packet": "b3:other"}, at_s=0.0)
    with pytest.raises(TamperedError, match="written anew"):
        verify_entries(anew.entries(), KEYS, {1: told})
