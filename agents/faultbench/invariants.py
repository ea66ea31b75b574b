"""What has to hold of a student's folder, whatever has happened to it.

Owns: `violations`. Does not own: what happens (soak).
"""

from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from m2kt.audit import AuditLog, verify_entries
from m2kt.digest import Digest
from m2kt.errors import M2KTError
from m2kt.history import EMPTY, StudentState
from m2kt.identity import TransferId
from m2kt.journal import Journal, Transfer
from m2kt.progress import FINAL, TransferState
from m2kt.reasons import Reason
from m2kt.signing import Ed25519Signer
from m2kt.store import Store
from m2kt.verdict import Rejected
from m2kt.wire import cards

KINDS: Final = ("mixed", "lost", "applied twice", "worse", "unfinished", "untold", "left behind")
"""What a violation begins with."""


def violations(folder: Path, good: Collection[Digest]) -> list[str]:
    """What does not hold, in words; nothing if all is well.

    Args:
        folder: Of a student who has ended all of its transfers and does not run.
        good: Digests of the contents that are worth learning.
    """
    try:
        with (
            Store(folder / "store", writable=False) as store,
            Journal(folder / "journal.sqlite") as journal,
        ):
            signer = Ed25519Signer.load(folder / "key.pem")
            verify_entries(AuditLog(journal.database, signer).entries(), {signer.key_id})
            return [*_of_store(store, good), *_of_transfers(store, journal), *_of_files(folder)]
    except M2KTError as error:
        return [f"mixed: {error}"]


def _of_store(store: Store, good: Collection[Digest]) -> Iterator[str]:
    """Every state can be read, with all that it rests on, and rests on what is good."""
    states = store.history()
    for state in states:
        for skill in state.skills.values():
            store.get_cal(skill.cal)
            for packet in skill.lineage:
                store.packets.get(packet)
                if store.packets.manifest(packet)[1] not in good:
                    yield f"worse: state {state.digest} rests on packet {packet}"
    for transfer, count in Counter(state.transfer for state in states).items():
        if transfer and count > 1:
            yield f"applied twice: transfer {transfer} made {count} states"


def _of_transfers(store: Store, journal: Journal) -> Iterator[str]:
    """Every transfer has ended, and HEAD's history says the same as its receipt."""
    states = {its.transfer: its for its in store.history() if its.digest != EMPTY.digest}
    for transfer in journal.transfers():
        yield from _of_one(transfer, states.pop(transfer.id, None))
        for packet in transfer.packets:
            if not store.packets.payload_bytes(packet):
                yield f"lost: packet {packet} of transfer {transfer.id}"
        numbers = [event.number for event in journal.events_after(transfer.id, 0)]
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"untold: events {numbers} of transfer {transfer.id}"
    for unknown in states:
        yield f"applied twice: a state of transfer {unknown}, which the journal does not have"


def _of_one(transfer: Transfer, state: StudentState | None) -> Iterator[str]:
    name: TransferId = transfer.id
    if transfer.state not in FINAL:
        yield f"unfinished: transfer {name} is {transfer.state}"
    if (transfer.state is TransferState.COMMITTED) != (state is not None):
        yield f"lost: transfer {name} is {transfer.state}, and HEAD's history says otherwise"
    if transfer.outcome is None:
        yield f"untold: transfer {name} has no receipt"
        return
    receipt = cards.receipt_from_bytes(cards.envelope_from_bytes(transfer.outcome).payload)
    if state is not None and receipt.head_after != state.digest:
        yield f"untold: the receipt of {name} says {receipt.head_after}, HEAD was {state.digest}"
    if isinstance(receipt.verdict, Rejected) and Reason.INTERNAL in receipt.verdict.reasons:
        yield f"untold: transfer {name} ended by {receipt.verdict.details}"


def _of_files(folder: Path) -> Iterator[str]:
    for part in (folder / "spool").iterdir():
        yield f"left behind: {part.name}"
