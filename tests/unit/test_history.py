"""Laws of a history: what un-learning and going back lead to."""

import json
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2kt.digest import digest_of
from m2kt.errors import NotFoundError, RequestError, StoreError
from m2kt.history import (
    EMPTY,
    Skill,
    StudentState,
    could_go_back_to,
    decoded,
    ever_unlearnt,
    forgotten,
    reverted,
    unlearnt,
)
from m2kt.identity import KeyId, PacketId, TransferId

PACKETS = [PacketId(f"b3:{index}" + "0" * 63) for index in range(4)]
KEYS = [KeyId(f"ed25519:{index}" + "0" * 63) for index in range(4)]
names = st.sampled_from(["arith.mod7", "sort", "copy"])
skills = st.builds(
    Skill,
    st.sampled_from([digest_of(b"a"), digest_of(b"b")]),
    st.lists(st.sampled_from(PACKETS), unique=True, max_size=3).map(tuple),
    st.lists(st.sampled_from(KEYS), unique=True, max_size=3).map(tuple),
)
skill_sets = st.dictionaries(names, skills, max_size=3)
targets = st.tuples(st.frozensets(st.sampled_from(PACKETS)), st.frozensets(st.sampled_from(KEYS)))


def grown(history, after):
    """The history, newest first, with one more state of the given skills."""
    state = StudentState(
        parent=history[0].digest, transfer=None, at_s=float(len(history)), note="", skills=after
    )
    return (state, *history)


@st.composite
def histories(draw):
    history = (EMPTY,)
    for _ in range(draw(st.integers(0, 5))):
        step = draw(st.sampled_from(["grow", "un-learn", "go back"]))
        if step == "grow":
            history = grown(history, draw(skill_sets))
        elif step == "un-learn":
            packets, keys = draw(targets)
            history = (unlearnt(history, packets=packets, keys=keys, at_s=1.0), *history)
        else:
            with suppress(RequestError):
                to = draw(st.sampled_from(history)).digest
                history = (reverted(history, to, at_s=2.0), *history)
    return history


def skill(packet: int, key: int = 0) -> Skill:
    return Skill(digest_of(bytes([packet])), (PACKETS[packet],), (KEYS[key],))


@given(skill_sets, st.floats(0, 1e12), st.text())
def test_a_state_survives_writing_and_reading(held, at_s, note):
    state = StudentState(parent=EMPTY.digest, transfer=None, at_s=at_s, note=note, skills=held)
    assert decoded(state.encoded()) == state
    assert decoded(state.encoded()).digest == state.digest


@given(histories(), targets)
def test_what_is_unlearnt_stays_away_whatever_is_unlearnt_later(history, target):
    packets, keys = target
    first = unlearnt(history, packets=packets, keys=keys, at_s=2.0)
    assert not any(held.touches({*packets, *keys}) for held in first.skills.values())
    for other in PACKETS:
        later = unlearnt((first, *history), packets={other}, at_s=3.0)
        assert not any(held.touches({*packets, *keys, other}) for held in later.skills.values())


@given(histories(), targets)
def test_unlearning_invents_nothing_and_spares_the_innocent(history, target):
    packets, keys = target
    state, head = unlearnt(history, packets=packets, keys=keys, at_s=2.0), history[0]
    assert state.parent == head.digest
    assert state.skills.keys() <= head.skills.keys()
    for name, held in head.skills.items():
        if not held.touches({*packets, *keys}):
            assert state.skills[name] == held
    ever = [held for past in history for held in past.skills.values()]
    assert all(held in ever for held in state.skills.values())


def test_the_newest_earlier_skill_takes_the_place_of_the_unlearnt_one():
    history = (EMPTY,)
    for packet in (0, 1, 2):
        history = grown(history, {"sort": skill(packet)})
    assert unlearnt(history, packets={PACKETS[2]}, at_s=9.0).skills == {"sort": skill(1)}
    assert unlearnt(history, packets=set(PACKETS), at_s=9.0).skills == {}


CONTENTS = {packet: digest_of(packet.encode()) for packet in PACKETS}


def of(*packets: int) -> Skill:
    return Skill(digest_of(bytes(packets)), tuple(PACKETS[packet] for packet in packets), ())


def test_an_older_skill_with_all_that_remains_is_better_than_a_newer_one_with_less():
    history = (EMPTY,)
    for held in (of(0, 1), of(0), of(0, 1, 2)):
        history = grown(history, {"sort": held})
    assert unlearnt(history, packets={PACKETS[2]}, at_s=9.0).skills == {"sort": of(0, 1)}
    assert unlearnt(history, packets={PACKETS[1]}, at_s=9.0).skills == {"sort": of(0)}
    assert unlearnt(history, packets={PACKETS[0]}, at_s=9.0).skills == {}


def test_an_older_skill_with_the_same_contents_under_other_ids_has_all_that_remains():
    history = (EMPTY,)
    for held in (of(0), of(3), of(1, 2)):
        history = grown(history, {"sort": held})
    same = CONTENTS | {PACKETS[1]: CONTENTS[PACKETS[0]]}
    state = unlearnt(history, packets={PACKETS[2]}, contents=same, at_s=9.0)
    assert state.skills == {"sort": of(0)}
    state = unlearnt(history, packets={PACKETS[2]}, contents=CONTENTS, at_s=9.0)
    assert state.skills == {"sort": of(3)}, "the newest, if none has all"


def test_all_that_was_ever_unlearnt_is_named():
    history = grown((EMPTY,), {"sort": of(0)})
    history = (unlearnt(history, packets={PACKETS[0]}, at_s=8.0), *history)
    history = (unlearnt(history, keys={KEYS[1]}, at_s=9.0), *history)
    assert ever_unlearnt(history) == {PACKETS[0], KEYS[1]}


def test_what_was_learnt_again_after_it_was_unlearnt_may_be_gone_back_to():
    history = grown((EMPTY,), {"sort": skill(0, key=0)})
    history = (unlearnt(history, keys={KEYS[0]}, at_s=2.0), *history)
    history = grown(grown(history, {"sort": skill(1, key=0)}), {"sort": skill(2, key=1)})
    assert unlearnt(history, keys={KEYS[1]}, at_s=9.0).skills == {"sort": skill(1, key=0)}


def test_going_back_is_a_new_state_with_old_skills():
    old = grown((EMPTY,), {"sort": skill(0)})
    new = grown(old, {"sort": skill(1)})
    state = reverted(new, old[0].digest, at_s=9.0)
    assert (state.parent, state.skills) == (new[0].digest, old[0].skills)
    assert decoded(state.encoded()) == state


def test_nobody_goes_back_to_what_was_unlearnt():
    old = grown((EMPTY,), {"sort": skill(0)})
    clean = (unlearnt(old, packets={PACKETS[0]}, at_s=2.0), *old)
    with pytest.raises(RequestError, match="un-learnt since"):
        reverted(clean, old[0].digest, at_s=9.0)
    with pytest.raises(NotFoundError):
        reverted(clean, digest_of(b"elsewhere"), at_s=9.0)


def test_unlearning_brings_back_nothing_that_somebody_went_back_from():
    first = grown((EMPTY,), {"sort": skill(0, key=0)})
    left = grown(first, {"sort": skill(1, key=1)})
    assert unlearnt(left, keys={KEYS[0]}, at_s=8.0).skills == {"sort": skill(1, key=1)}
    back = (reverted(left, first[0].digest, at_s=9.0), *left)
    assert unlearnt(back, keys={KEYS[0]}, at_s=10.0).skills == {}
    again = grown(back, {"sort": skill(2, key=1)})
    assert unlearnt(again, packets={PACKETS[2]}, at_s=11.0).skills == first[0].skills
    there = (reverted(back, left[0].digest, at_s=12.0), *back)
    assert unlearnt(there, keys={KEYS[0]}, at_s=13.0).skills == left[0].skills


@given(histories(), targets)
def test_nothing_that_could_be_gone_back_to_holds_what_was_unlearnt(history, names):
    packets, keys = names
    after = (unlearnt(history, packets=packets, keys=keys, at_s=9.0), *history)
    assert not could_go_back_to(after, packets | keys)
    for state in history:
        held = any(its.touches(packets | keys) for its in state.skills.values())
        if held:
            with pytest.raises(RequestError):
                reverted(after, state.digest, at_s=10.0)


def test_what_only_a_state_that_was_left_holds_could_be_gone_back_to():
    first = grown((EMPTY,), {"sort": skill(0)})
    left = grown(first, {"sort": skill(1)})
    back = (reverted(left, first[0].digest, at_s=8.0), *left)
    assert could_go_back_to(back, {PACKETS[1]})
    assert not could_go_back_to(back, {PACKETS[2]})
    assert not could_go_back_to(
        (unlearnt(back, packets={PACKETS[1]}, at_s=9.0), *back), {PACKETS[1]}
    )


def test_software_that_cannot_go_back_refuses_a_state_that_did():
    history = grown((EMPTY,), {"sort": skill(0)})
    plain = json.loads(reverted(history, EMPTY.digest, at_s=9.0).encoded())
    assert plain["format"] == 2
    for wrong in ({**plain, "format": 1}, {**plain, "back_to": None}):
        with pytest.raises(StoreError, match="format"):
            decoded(json.dumps(wrong).encode())


def test_a_state_cannot_hold_what_it_unlearns():
    with pytest.raises(StoreError, match="un-learnt"):
        replace(EMPTY, skills={"sort": skill(0)}, unlearnt=(PACKETS[0],))


def taught(history, transfer, **skills):
    """The history, newest first, after a transfer that brought these skills."""
    before = history[0]
    state = StudentState(
        parent=before.digest,
        transfer=TransferId(transfer),
        at_s=float(len(history)),
        note="",
        skills={**before.skills, **skills},
    )
    return (state, *history)


def test_a_transfer_is_forgotten_when_what_it_brought_is_unlearnt_and_no_other():
    history = taught((EMPTY,), "sorting", sort=skill(0))
    history = taught(history, "copying", copy=skill(1, 1))
    assert forgotten(history) == frozenset()
    without = unlearnt(history, packets=frozenset({PACKETS[0]}), at_s=9.0)
    assert forgotten((without, *history)) == {"sorting"}


def test_what_is_learnt_again_after_it_was_unlearnt_is_not_forgotten():
    history = taught((EMPTY,), "first", sort=skill(0))
    history = (unlearnt(history, keys=frozenset({KEYS[0]}), at_s=9.0), *history)
    history = taught(history, "again", sort=skill(1))
    assert forgotten(history) == {"first"}
    history = (unlearnt(history, keys=frozenset({KEYS[0]}), at_s=10.0), *history)
    assert forgotten(history) == {"first", "again"}


def test_what_only_goes_back_forgets_nothing():
    history = taught((EMPTY,), "first", sort=skill(0))
    history = taught(history, "second", sort=skill(1))
    back = reverted(history, history[1].digest, at_s=9.0)
    assert forgotten((back, *history)) == frozenset()
