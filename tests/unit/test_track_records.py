"""What is known of teachers survives the process, counts once, and leaves the journal alone."""

from pathlib import Path

import pytest

from m2kt.identity import AgentId, TransferId
from m2kt.journal import Journal
from m2kt.journal_schema import VERSION
from m2kt.reputation import DAY_S, ReputationRules, TrackRecord
from m2kt.track_records import TrackRecords

A, B = AgentId("a"), AgentId("b")
RULES = ReputationRules(half_life_days=10.0)
GOOD, BAD = TrackRecord(accepted=1.0), TrackRecord(rejected=1.0)


def told(journal: Journal, now_s: float = 0.0):
    return {its.teacher: its for its in TrackRecords(journal.database, RULES).all(now_s=now_s)}


def test_what_was_credited_is_there_after_reopening(tmp_path: Path):
    with Journal(tmp_path / "j") as journal:
        track_records = TrackRecords(journal.database, RULES)
        assert track_records.credit(TransferId("1"), {A: GOOD, B: BAD}, at_s=1.0)
        assert track_records.credit(
            TransferId("2"), {A: TrackRecord(agreed=3.0, disputed=1.0)}, at_s=2.0
        )
    with Journal(tmp_path / "j") as journal:
        found = told(journal)
    assert list(found) == [A, B]
    assert found[A].total == TrackRecord(accepted=1.0, agreed=3.0, disputed=1.0, at_s=2.0)
    assert found[B].total == TrackRecord(rejected=1.0, at_s=1.0)
    assert found[B].score < 0.5 < found[A].score


def test_a_transfer_that_is_carried_out_again_counts_once(tmp_path: Path):
    with Journal(tmp_path / "j") as journal:
        track_records = TrackRecords(journal.database, RULES)
        track_records.credit(TransferId("1"), {A: GOOD}, at_s=1.0)
        assert not track_records.credit(TransferId("1"), {A: BAD}, at_s=9.0)
        assert told(journal)[A].total == TrackRecord(accepted=1.0, at_s=1.0)


def test_nothing_to_say_leaves_no_trace(tmp_path: Path):
    with Journal(tmp_path / "j") as journal:
        assert not TrackRecords(journal.database, RULES).credit(TransferId("1"), {}, at_s=1.0)
        assert told(journal) == {}


def test_a_score_fades_and_the_totals_do_not(tmp_path: Path):
    with Journal(tmp_path / "j") as journal:
        track_records = TrackRecords(journal.database, RULES)
        for number in range(8):
            track_records.credit(TransferId(str(number)), {A: GOOD}, at_s=0.0)
        now, later = told(journal)[A], told(journal, now_s=10 * DAY_S)[A]
    assert now.score == pytest.approx(9 / 10)
    assert later.score == pytest.approx(5 / 6)
    assert now.total == later.total == TrackRecord(accepted=8.0)


def test_a_journal_that_was_made_before_there_were_standings_is_used_and_stays_its_version(
    tmp_path: Path,
):
    Journal(tmp_path / "j").close()
    with Journal(tmp_path / "j") as journal:
        TrackRecords(journal.database, RULES).credit(TransferId("1"), {A: GOOD}, at_s=1.0)
        assert journal.database.rows("PRAGMA user_version") == [(VERSION,)]
    with Journal(tmp_path / "j") as journal:
        assert journal.transfers() == ()
