"""The state machine of a transfer."""

from dataclasses import FrozenInstanceError

import pytest

from m2kt.identity import TransferId
from m2kt.progress import FINAL, MOVES, Event, Progress, TransferState, silent

S = TransferState


def reachable(start: TransferState) -> set[TransferState]:
    found, todo = set(), [start]
    while todo:
        for state in MOVES[todo.pop()] - found:
            found.add(state)
            todo.append(state)
    return found


def test_every_state_has_its_moves():
    assert set(MOVES) == set(S)


def test_every_state_is_reached_from_the_first_and_none_twice():
    assert reachable(S.OFFERED) == set(S) - {S.OFFERED}
    for state in S:
        assert state not in reachable(state)


def test_every_transfer_can_end_and_an_end_leads_to_nothing_but_unlearning():
    for state in set(S) - FINAL:
        assert {S.REJECTED, S.FAILED} <= MOVES[state]
    assert {state: MOVES[state] for state in FINAL} == {
        S.COMMITTED: frozenset({S.ROLLED_BACK}),
        S.REJECTED: frozenset(),
        S.ROLLED_BACK: frozenset(),
        S.FAILED: frozenset(),
    }


def test_nothing_is_committed_that_was_not_authenticated_screened_and_verified():
    for skipped in (S.AUTHENTICATED, S.SCREENED, S.ALIGNING, S.VERIFYING):
        without = {
            state: MOVES[state] - {skipped} if state is not skipped else frozenset() for state in S
        }
        found, todo = set(), [S.OFFERED]
        while todo:
            for state in without[todo.pop()] - found:
                found.add(state)
                todo.append(state)
        assert S.COMMITTED not in found


def test_an_event_is_a_value():
    event = Event(transfer=TransferId("t"), number=1, at_s=1.0, state=S.OFFERED, message="offered")
    assert event.figures == {}
    with pytest.raises(FrozenInstanceError):
        event.number = 2
    assert silent(Progress("nobody hears")) is None
