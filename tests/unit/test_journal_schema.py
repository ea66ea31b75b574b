"""The tables of a journal: one that an earlier release made is one of today after it was opened."""

from pathlib import Path

from m2kt.database import Database
from m2kt.identity import PacketId, TransferId
from m2kt.journal import Journal
from m2kt.journal_schema import TABLES, UPGRADES, VERSION
from m2kt.progress import TransferState


def tables(database: Database) -> dict[str, str]:
    return dict(database.rows("SELECT name, sql FROM sqlite_schema WHERE type = 'table'"))


def test_every_upgrade_leads_to_the_tables_of_today(tmp_path: Path):
    old = Database(tmp_path / "old", schema=TABLES[:4], version=1)
    old.close()
    old = Database(tmp_path / "old", schema=TABLES, version=VERSION, upgrades=UPGRADES)
    new = Database(tmp_path / "new", schema=TABLES, version=VERSION)
    assert tables(old) == tables(new)


def test_a_journal_of_the_first_release_keeps_its_transfers_and_notes_sources(tmp_path: Path):
    old = Database(tmp_path / "j", schema=TABLES[:4], version=1)
    row = "INSERT INTO transfers VALUES ('t', 'd', x'00', 'OFFERED', '[]', NULL, NULL, 1.0, 1.0)"
    old.rows(row)
    old.close()
    packet, transfer = PacketId("b3:" + "0" * 64), TransferId("t")
    with Journal(tmp_path / "j") as journal:
        assert journal.transfer(transfer).state is TransferState.OFFERED
        assert journal.collect(transfer, "a:1", packet, expires_at_s=9.0)
        assert journal.collected(transfer) == {"a:1": packet}
