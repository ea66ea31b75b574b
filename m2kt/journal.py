"""What happens to transfers, in SQLite: survives the process, and remembers what was seen.

A change of state and its event are one transaction. Events of a transfer are numbered
from 1 without gaps. Free of torch.

A packet is kept in the store first, then admitted here together with its source, then
entered with the transfer that it is for: a crash in between costs no byte twice.

Owns: `Journal`, `Transfer`.
Does not own: the moves that are allowed (progress), layers and HEAD (store),
its tables (journal_schema), the file (database).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from m2kt.database import Database, readable
from m2kt.digest import digest_of
from m2kt.errors import NotFoundError, RequestError, StoreError
from m2kt.identity import PacketId, TransferId
from m2kt.journal_schema import TABLES, UPGRADES, VERSION
from m2kt.progress import FINAL, MOVES, Event, Progress, TransferState

_TRANSFERS: Final = (
    "SELECT id, domain, request, state, packets, outcome, created_at_s, updated_at_s FROM transfers"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A transfer as the journal knows it.

    Attributes:
        id: Its id.
        domain: Name of the domain.
        request: What was asked for, in the bytes of whoever entered it.
        state: Where it stands.
        packets: Ids of the packets that it is about, as far as they are known.
        outcome: The signed receipt's bytes, once there is one.
        created_at_s: Unix time, seconds.
        updated_at_s: Unix time, seconds, of its newest event.
    """

    id: TransferId
    domain: str
    request: bytes
    state: TransferState = TransferState.OFFERED
    packets: tuple[PacketId, ...] = ()
    outcome: bytes | None = None
    created_at_s: float
    updated_at_s: float


@final
class Journal:
    """One agent's journal. Safe to use from several threads.

    Every method raises StoreError if the file cannot be read or written.
    """

    def __init__(self, path: Path, *, skew_s: float = 300.0) -> None:
        """Opens the journal, and makes it if there is none.

        Args:
            path: The database file; its folder must be there.
            skew_s: How far the clocks of others may be off, in seconds.

        Raises:
            StoreError: the file is no journal, or a newer version of this software made it.
        """
        self._skew_s = skew_s
        self._database = Database(path, schema=TABLES, version=VERSION, upgrades=UPGRADES)

    @property
    def database(self) -> Database:
        """The file, for those who keep tables of their own in it (track_records)."""
        return self._database

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- transfers and their events ---

    def begin(self, transfer: Transfer, *, idempotency_key: str | None = None) -> Transfer:
        """Enters a transfer with its first event, or finds the earlier one of the same key.

        Args:
            transfer: New, and OFFERED.
            idempotency_key: Names the request, however often it is made.

        Raises:
            RequestError: the key was used for another request.
            StoreError: there is a transfer of that id, or it is not OFFERED.
        """
        if transfer.state is not TransferState.OFFERED or transfer.outcome is not None:
            raise StoreError(
                f"expected a transfer to begin as OFFERED and without outcome, found"
                f" {transfer.state}; record what happens to it afterwards"
            )
        with self._database.transaction():
            where = " WHERE idempotency_key = ?"
            rows = self._database.rows(_TRANSFERS + where, idempotency_key)
            if rows:
                return _same_request(_transfer(rows[0]), transfer)
            self._database.rows(
                "INSERT INTO transfers VALUES (?, ?, ?, ?, ?, NULL, ?, ?, ?)",
                transfer.id,
                transfer.domain,
                transfer.request,
                transfer.state,
                json.dumps(transfer.packets),
                idempotency_key,
                transfer.created_at_s,
                transfer.updated_at_s,
            )
            self._append(transfer.id, transfer.state, Progress("offered"), transfer.created_at_s)
        return transfer

    def record(
        self,
        transfer: TransferId,
        progress: Progress,
        *,
        at_s: float,
        packets: Sequence[PacketId] = (),
        outcome: bytes | None = None,
    ) -> Event:
        """Appends an event, and with it changes the transfer's state, packets or outcome.

        Args:
            transfer: Which transfer.
            progress: The news. Without a state, or with the present one, nothing moves.
            at_s: Unix time, seconds.
            packets: What the transfer is about from now on, if given.
            outcome: The signed receipt's bytes, if there is one now.

        Raises:
            NotFoundError: there is no such transfer.
            StoreError: the move is not allowed, or the transfer has ended.
        """
        with self._database.transaction():
            now = self.transfer(transfer)
            state = progress.state or now.state
            if state not in MOVES[now.state] and (state != now.state or state in FINAL):
                raise StoreError(
                    f"expected one of {sorted(MOVES[now.state])} to follow {now.state} in"
                    f" transfer {transfer}, found {state}; start another transfer"
                )
            event = self._append(transfer, state, progress, at_s)
            about = json.dumps(list(packets)) if packets else None
            self._database.rows(
                "UPDATE transfers SET packets = coalesce(?, packets),"
                " outcome = coalesce(?, outcome) WHERE id = ?",
                about,
                outcome,
                transfer,
            )
        return event

    def reopen(self, transfer: TransferId, *, at_s: float) -> Event:
        """After a restart: an unfinished transfer goes back to AUTHENTICATED.

        One that had not got so far stays OFFERED: its packets are collected as far as they
        had not come. Before calling this, ask the store whether HEAD came from this transfer:
        a crash between the two is then a COMMITTED that was not yet written down; `record` it.

        Raises:
            NotFoundError: there is no such transfer.
            StoreError: the transfer has ended.
        """
        with self._database.transaction():
            now = self.transfer(transfer)
            if now.state in FINAL:
                raise StoreError(
                    f"expected an unfinished transfer, found {transfer} {now.state}; leave it"
                )
            if now.state is TransferState.OFFERED:
                news = Progress("interrupted before its packets had come; collects the rest")
                return self._append(transfer, TransferState.OFFERED, news, at_s)
            news = Progress(f"interrupted while {now.state}; begins again with its packets")
            return self._append(transfer, TransferState.AUTHENTICATED, news, at_s)

    def _append(
        self, transfer: TransferId, state: TransferState, progress: Progress, at_s: float
    ) -> Event:
        [(last,)] = self._database.rows(
            "SELECT coalesce(max(number), 0) FROM events WHERE transfer = ?", transfer
        )
        event = Event(
            transfer=transfer,
            number=last + 1,
            at_s=at_s,
            state=state,
            message=progress.message,
            figures=dict(progress.figures),
        )
        self._database.rows(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)",
            transfer,
            event.number,
            at_s,
            state,
            event.message,
            json.dumps(event.figures),
        )
        self._database.rows(
            "UPDATE transfers SET state = ?, updated_at_s = ? WHERE id = ?", state, at_s, transfer
        )
        return event

    def transfer(self, transfer: TransferId) -> Transfer:
        """The transfer of that id.

        Raises:
            NotFoundError: there is none.
        """
        rows = self._database.rows(_TRANSFERS + " WHERE id = ?", transfer)
        if not rows:
            raise NotFoundError(f"expected a transfer of this student, found no {transfer[:80]!r}")
        return _transfer(rows[0])

    def transfers(self) -> tuple[Transfer, ...]:
        """All transfers, oldest first."""
        rows = self._database.rows(_TRANSFERS + " ORDER BY rowid")
        return tuple(_transfer(row) for row in rows)

    def unfinished(self) -> tuple[Transfer, ...]:
        """Transfers that have not ended, oldest first."""
        return tuple(one for one in self.transfers() if one.state not in FINAL)

    def events_after(self, transfer: TransferId, number: int) -> tuple[Event, ...]:
        """Events of a transfer with greater numbers, in order.

        Raises:
            NotFoundError: there is no such transfer.
        """
        self.transfer(transfer)
        rows = self._database.rows(
            "SELECT number, at_s, state, message, figures FROM events"
            " WHERE transfer = ? AND number > ? ORDER BY number",
            transfer,
            number,
        )
        return tuple(_event(transfer, row) for row in rows)

    # --- what was seen before ---

    def admit(self, packet_id: PacketId, expires_at_s: float) -> bool:
        """Whether this packet is new; from now on it is not, also after a restart.

        Args:
            packet_id: The packet.
            expires_at_s: Unix time, seconds, from which its signature is refused anyway.
        """
        statement = "INSERT INTO seen VALUES (?, ?) ON CONFLICT DO NOTHING"
        return self._database.changed(statement, packet_id, expires_at_s) == 1

    def seen(self, packet_id: PacketId) -> bool:
        """Whether this packet was admitted, and is not forgotten."""
        return bool(self._database.rows("SELECT 1 FROM seen WHERE packet = ?", packet_id))

    def collect(
        self, transfer: TransferId, source: str, packet_id: PacketId, *, expires_at_s: float
    ) -> bool:
        """Admits a packet and, if it is new, notes for which transfer it came, and from where."""
        with self._database.transaction():
            if not self.admit(packet_id, expires_at_s):
                return False
            statement = "INSERT OR REPLACE INTO collected VALUES (?, ?, ?)"
            self._database.rows(statement, transfer, source, packet_id)
        return True

    def collected(self, transfer: TransferId) -> dict[str, PacketId]:
        """For each source of a transfer from which a packet has come, the packet."""
        statement = "SELECT source, packet FROM collected WHERE transfer = ? ORDER BY rowid"
        return dict(self._database.rows(statement, transfer))

    def forget_expired(self, *, now_s: float) -> int:
        """Forgets packets that are refused as expired on any clock; returns how many."""
        statement = "DELETE FROM seen WHERE expires_at_s < ?"
        return self._database.changed(statement, now_s - self._skew_s)

    # --- receipts from others: for teachers and brokers ---

    def record_receipt(self, envelope: bytes, *, at_s: float) -> bool:
        """Keeps a receipt's signed bytes; whether they are new."""
        statement = (
            "INSERT INTO receipts (digest, envelope, received_at_s) VALUES (?, ?, ?)"
            " ON CONFLICT DO NOTHING"
        )
        return self._database.changed(statement, digest_of(envelope), envelope, at_s) == 1

    def receipts(self) -> tuple[bytes, ...]:
        """The signed bytes of all receipts, oldest first."""
        rows = self._database.rows("SELECT envelope FROM receipts ORDER BY number")
        return tuple(envelope for (envelope,) in rows)


def _same_request(earlier: Transfer, now: Transfer) -> Transfer:
    if (earlier.domain, earlier.request) != (now.domain, now.request):
        raise RequestError(
            f"expected the request of transfer {earlier.id}, found another with its idempotency"
            " key; take a new key for a new request"
        )
    return earlier


@readable()
def _transfer(row: Sequence[Any]) -> Transfer:
    transfer, domain, request, state, packets, outcome, created_at_s, updated_at_s = row
    return Transfer(
        id=transfer,
        domain=domain,
        request=request,
        state=TransferState(state),
        packets=tuple(json.loads(packets)),
        outcome=outcome,
        created_at_s=created_at_s,
        updated_at_s=updated_at_s,
    )


@readable()
def _event(transfer: TransferId, row: Sequence[Any]) -> Event:
    number, at_s, state, message, figures = row
    return Event(
        transfer=transfer,
        number=number,
        at_s=at_s,
        state=TransferState(state),
        message=message,
        figures=json.loads(figures),
    )
