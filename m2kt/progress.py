"""Where a transfer stands, and what happened on the way.

A transfer is a state machine; every change is an `Event` with a number that
grows by one, so that a watcher who comes back with its last number misses
nothing and sees nothing twice. Free of torch.

Owns: `TransferState`, the moves that are allowed, `Event`.
Does not own: keeping them (journal).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from m2kt.identity import TransferId


class TransferState(StrEnum):
    """States of a transfer; the last four are final."""

    OFFERED = "OFFERED"
    AUTHENTICATED = "AUTHENTICATED"
    SCREENED = "SCREENED"
    ALIGNING = "ALIGNING"
    VERIFYING = "VERIFYING"
    COMMITTED = "COMMITTED"
    REJECTED = "REJECTED"
    ROLLED_BACK = "ROLLED_BACK"
    FAILED = "FAILED"


_S = TransferState
_ENDS: Final = frozenset({_S.REJECTED, _S.FAILED})

MOVES: Final[dict[TransferState, frozenset[TransferState]]] = {
    _S.OFFERED: frozenset({_S.AUTHENTICATED}) | _ENDS,
    _S.AUTHENTICATED: frozenset({_S.SCREENED}) | _ENDS,
    _S.SCREENED: frozenset({_S.ALIGNING}) | _ENDS,
    _S.ALIGNING: frozenset({_S.VERIFYING}) | _ENDS,
    _S.VERIFYING: frozenset({_S.COMMITTED}) | _ENDS,
    _S.COMMITTED: frozenset({_S.ROLLED_BACK}),
    _S.REJECTED: frozenset(),
    _S.ROLLED_BACK: frozenset(),
    _S.FAILED: frozenset(),
}
"""From each state, the states that may follow. A crash restarts a transfer at AUTHENTICATED."""

FINAL: Final = frozenset({_S.COMMITTED, _S.REJECTED, _S.ROLLED_BACK, _S.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a transfer.

    Attributes:
        transfer: Which transfer.
        number: 1 for its first event, then one more each.
        at_s: Unix time, seconds, on the student's clock.
        state: The state after the event.
        message: One line for a person.
        figures: Measurements by name, such as `loss_reason` or `step`.
    """

    transfer: TransferId
    number: int
    at_s: float
    state: TransferState
    message: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """News from inside a step: no state change unless `state` is set."""

    message: str
    figures: Mapping[str, float] = field(default_factory=dict)
    state: TransferState | None = None


Report = Callable[[Progress], None]
"""How the steps of a transfer tell what they do. Must be quick and must not raise."""


def silent(_: Progress) -> None:
    """A `Report` that nobody reads."""
