"""What an agent's parts share: who it is, what it keeps, where its model works, its clock.

Owns: `StudentResources`, `TeacherResources`.
Does not own: making them (launching).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from m2kt.audit import AuditLog
from m2kt.journal import Journal
from m2kt.track_records import TrackRecords

from .credentials import Credentials
from .hosting import Host
from .metrics import Metrics
from .neighbours import Neighbours
from .permissions import Permissions
from .settings import Limits, TlsFiles
from .spool import Spool

if TYPE_CHECKING:  # the store needs torch, a broker does not
    from m2kt.store import Store

Clock = Callable[[], float]
"""Unix time, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentResources:
    """What a student's parts share.

    Attributes:
        credentials: Who it is, and whom it trusts.
        permissions: Who may ask it for what.
        store: Its history.
        journal: Its transfers.
        audit: What it did that matters to others.
        track_records: How its teachers' packets have held up.
        host: Where its model works.
        spool: For bytes that are on their way.
        limits: What it agrees to.
        tls: For calls to others.
        neighbours: Agents of the same node, if it is on Ray.
        metrics: What it counts.
        clock: Unix time, seconds.
    """

    credentials: Credentials
    permissions: Permissions
    store: "Store"
    journal: Journal
    audit: AuditLog
    track_records: TrackRecords
    host: Host
    spool: Spool
    limits: Limits
    tls: TlsFiles | None
    neighbours: Neighbours | None = None
    metrics: Metrics
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherResources:
    """What a teacher's parts share.

    Attributes:
        credentials: Who it is, and whom it trusts.
        permissions: Who may ask it for what.
        journal: Receipts that it was handed.
        audit: What it did that matters to others.
        host: Where its model works.
        sequence_file: Counts the manifests that it signed.
        limits: What it agrees to.
        tls: For calls to others.
        neighbours: Agents of the same node, if it is on Ray.
        clock: Unix time, seconds.
    """

    credentials: Credentials
    permissions: Permissions
    journal: Journal
    audit: AuditLog
    host: Host
    sequence_file: Path
    limits: Limits
    tls: TlsFiles | None
    neighbours: Neighbours | None = None
    clock: Clock
