"""What a student has seen of its teachers, in the database of its journal.

One row for each transfer and teacher, never changed: a transfer that is carried out again
after a crash counts once. Free of torch.

Owns: `TrackRecords`.
Does not own: what a transfer says about whom, and how it fades (reputation).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, final

from m2kt.database import Database
from m2kt.identity import AgentId, TransferId
from m2kt.reputation import Reputation, ReputationRules, TrackRecord

# Not of the journal's schema: an older version of this software still opens the file.
_TABLE: Final = """CREATE TABLE IF NOT EXISTS evidence (
    transfer TEXT NOT NULL, teacher TEXT NOT NULL, accepted REAL NOT NULL, rejected REAL NOT NULL,
    agreed REAL NOT NULL, disputed REAL NOT NULL, at_s REAL NOT NULL,
    PRIMARY KEY (transfer, teacher)
) STRICT, WITHOUT ROWID"""


@final
class TrackRecords:
    """Evidence about teachers. Every method raises StoreError if the file cannot be used."""

    def __init__(self, database: Database, rules: ReputationRules) -> None:
        """Makes the table if there is none.

        Args:
            database: The journal's.
            rules: How evidence counts.
        """
        self._database = database
        self._rules = rules
        database.rows(_TABLE)

    def credit(
        self, transfer: TransferId, evidence: Mapping[AgentId, TrackRecord], *, at_s: float
    ) -> bool:
        """Keeps what a transfer says about its teachers; whether it had not said so before."""
        new = 0
        with self._database.transaction():
            for teacher, its in sorted(evidence.items()):
                new += self._database.changed(
                    "INSERT INTO evidence VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    transfer,
                    teacher,
                    its.accepted,
                    its.rejected,
                    its.agreed,
                    its.disputed,
                    at_s,
                )
        return new > 0

    def all(self, *, now_s: float) -> tuple[Reputation, ...]:
        """Every teacher of whom something is known, by name."""
        track_records: dict[AgentId, TrackRecord] = {}
        totals: dict[AgentId, TrackRecord] = {}
        rows = self._database.rows(
            "SELECT teacher, accepted, rejected, agreed, disputed, at_s FROM evidence"
            " ORDER BY at_s, transfer"
        )
        for teacher, accepted, rejected, agreed, disputed, at_s in rows:
            its = TrackRecord(
                accepted=accepted, rejected=rejected, agreed=agreed, disputed=disputed, at_s=at_s
            )
            name = AgentId(teacher)
            track_records[name] = track_records.get(name, TrackRecord()).credited(its, self._rules)
            totals[name] = _added(totals.get(name, TrackRecord()), its)
        return tuple(
            Reputation(teacher=name, score=its.score(now_s, self._rules), total=totals[name])
            for name, its in sorted(track_records.items())
        )


def _added(total: TrackRecord, more: TrackRecord) -> TrackRecord:
    return replace(
        more,
        accepted=total.accepted + more.accepted,
        rejected=total.rejected + more.rejected,
        agreed=total.agreed + more.agreed,
        disputed=total.disputed + more.disputed,
        at_s=max(total.at_s, more.at_s),
    )
