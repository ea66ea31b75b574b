"""What a journal or audit log was told to keep is there after a power cut, and nothing by half.

SQLite's files are taken as they lie on the disk after a commit; what was written later was not
synced and is torn. That a commit is synced at all is asked of the kernel.
"""

import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from m2kt.audit import AuditLog, Deed, verify_entries
from m2kt.digest import digest_of
from m2kt.errors import StoreError
from m2kt.identity import PacketId, TransferId
from m2kt.journal import Journal, Transfer
from m2kt.progress import Progress, TransferState
from tests.packets import signer

T = TransferId("t")
PACKETS = [PacketId(digest_of(bytes([n]))) for n in range(4)]
PAGE_BYTES = 4096
CACHESTAT = 451
"""Number of the system call, the same on every architecture; since Linux 6.5."""


def make_changes(journal: Journal) -> Iterator[str]:
    """Changes of several tables, one after the other; says what each was once it is done."""
    audit = AuditLog(journal.database, signer())
    yield "the audit log is made"
    its = Transfer(id=T, domain="arith.mod7", request=b"", created_at_s=1.0, updated_at_s=1.0)
    journal.begin(its, idempotency_key="key")
    yield "a transfer begins"
    for n, packet in enumerate(PACKETS):
        journal.collect(T, f"source {n}", packet, expires_at_s=9.0)
        yield "a packet is collected"
        audit.note(Deed.PACKET_KEPT, {"packet": packet}, at_s=2.0)
        yield "an entry is noted"
    progress = Progress("authentic", {}, TransferState.AUTHENTICATED)
    journal.record(T, progress, at_s=3.0, packets=PACKETS, outcome=b"receipt" * 999)
    yield "a transfer moves"


def told(journal: Journal) -> tuple[object, ...]:
    """All that the journal and its audit log tell; the log's chain is whole."""
    audit = AuditLog(journal.database, signer())
    count, _ = verify_entries(audit.entries(), {signer().key_id})
    transfers = journal.transfers()
    events = [journal.events_after(its.id, 0) for its in transfers]
    seen = [journal.seen(packet) for packet in PACKETS]
    return count, transfers, events, journal.collected(T), seen


def files_of(path: Path) -> tuple[bytes, bytes, bytes]:
    """The database, its log, and the log's index."""
    parts = (path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm"))
    return tuple(part.read_bytes() if part.exists() else b"" for part in parts)


@contextmanager
def restored(main: bytes, log: bytes, index: bytes) -> Iterator[Journal]:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "journal"
        for suffix, content in (("", main), ("-wal", log), ("-shm", index)):
            path.with_name(path.name + suffix).write_bytes(content)
        with Journal(path) as journal:
            yield journal


@pytest.fixture(scope="module")
def moments(tmp_path_factory) -> list[tuple[tuple[bytes, bytes, bytes], tuple[object, ...]]]:
    """The files after each change, and what is told then."""
    path = tmp_path_factory.mktemp("journal") / "journal"
    with Journal(path) as journal:
        return [(files_of(path), told(journal)) for _ in make_changes(journal)]


def test_every_change_is_a_commit_of_its_own(moments):
    lengths = [len(log) for (_, log, _), _ in moments]
    assert lengths == sorted(set(lengths)), "the log grows: it holds everything that was told"


@settings(max_examples=60, phases=[Phase.generate])
@given(st.data())
def test_all_that_was_committed_is_there_and_what_came_later_is_there_whole_or_not(moments, data):
    at = data.draw(st.integers(0, len(moments) - 2))
    (main, log, _), old = moments[at]
    (_, later, index), new = moments[at + 1]
    news = later[len(log) :]
    kept = data.draw(st.integers(0, len(news)))
    rest = len(news) - kept
    tail = data.draw(st.sampled_from([b"", bytes(rest), b"\xff" * rest, log[-rest:][:rest]]))
    stale = data.draw(st.sampled_from([b"", index, bytes(len(index))]))
    with restored(main, log + news[:kept] + tail, stale) as journal:
        assert told(journal) in ((old, new) if kept else (old,))
        if kept == len(news):
            assert told(journal) == new
        journal.admit(PacketId(digest_of(b"more")), 9.0)
        assert journal.seen(PacketId(digest_of(b"more"))), "it goes on"


@settings(max_examples=40, phases=[Phase.generate])
@given(st.data())
def test_a_power_cut_while_the_log_is_carried_over_loses_nothing(moments, data):
    (main, log, index), new = moments[-1]
    with restored(main, log, index) as journal:
        path = Path(journal.database.rows("PRAGMA database_list")[0][2])
        journal.database.rows("PRAGMA wal_checkpoint(FULL)")
        whole = files_of(path)[0]
    torn = bytearray(whole)
    for start in range(0, len(whole), PAGE_BYTES):
        if not data.draw(st.booleans()):  # this page had not come to the disk
            torn[start : start + PAGE_BYTES] = main[start : start + PAGE_BYTES].ljust(PAGE_BYTES)
    with restored(bytes(torn), log, b"") as journal:
        assert told(journal) == new


def test_what_finds_no_room_changes_nothing_and_is_told_again_once_there_is(tmp_path):
    with Journal(tmp_path / "journal") as journal:
        database = journal.database
        list(make_changes(journal))
        before = told(journal)
        database.rows("PRAGMA max_page_count = 1")  # as many as there are
        audit = AuditLog(database, signer())
        facts = {"packet": "b3:" * 9999}
        with pytest.raises(StoreError, match=r"expected to use .*full; free space"):
            audit.note(Deed.PACKET_KEPT, facts, at_s=4.0)
        assert told(journal) == before
        database.rows("PRAGMA max_page_count = 100000")
        audit.note(Deed.PACKET_KEPT, facts, at_s=4.0)
        assert told(journal)[0] == before[0] + 1


def unsynced_pages(path: Path) -> int:
    """Pages of a file that the kernel has not written to the disk."""
    span, counts = (ctypes.c_uint64 * 2)(0, 0), (ctypes.c_uint64 * 5)()
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("rb") as file:
        if libc.syscall(CACHESTAT, file.fileno(), span, counts, 0) != 0:
            pytest.skip(f"this kernel has no cachestat: {os.strerror(ctypes.get_errno())}")
    return int(counts[1] + counts[2])


def test_a_commit_returns_once_it_is_on_the_disk(tmp_path):
    """With `synchronous = OFF` the same commit is not, so the kernel's word is worth something."""
    path = tmp_path / "journal"
    log = path.with_name("journal-wal")
    with Journal(path) as journal:
        for change in make_changes(journal):
            assert unsynced_pages(log) == 0, change
        journal.database.rows("PRAGMA synchronous = OFF")
        journal.admit(PacketId(digest_of(b"more")), 9.0)
        if unsynced_pages(log) == 0:
            pytest.skip(f"the file system of {tmp_path} does not say what is synced")


def test_a_database_whose_making_was_cut_off_is_made_again(tmp_path):
    with Journal(tmp_path / "journal") as journal:
        main, log, _ = files_of(tmp_path / "journal")
        empty = told(journal)
    first_page = main[:PAGE_BYTES]
    for made, logged in ((b"", b""), (first_page, b""), *((first_page, log[:n]) for n in (1, 999))):
        with restored(made, logged, b"") as journal:
            assert told(journal) == empty
    shutil.rmtree(tmp_path)
