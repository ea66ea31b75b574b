"""m2kt.trust: whose keys are trusted, in memory and on disk; keys that nobody should trust."""

import json
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packets import STUDENT, TEACHER, signer, trusting

from m2kt.errors import (
    PacketError,
    RequestError,
    RevokedKeyError,
    StoreError,
    UnknownKeyError,
    WeakKeyError,
)
from m2kt.signing import Ed25519Signer
from m2kt.trust import (
    TrustStore,
    key_id_of,
    load_trust,
    public_key_of,
    require_strong,
    save_trust,
)


@given(st.binary(min_size=32, max_size=32))
def test_a_key_survives_its_name(raw):
    assert public_key_of(key_id_of(raw)) == raw


@pytest.mark.parametrize("text", ["", "ed25519:00", "rsa:" + "0" * 64, "ed25519:" + "A" * 64])
def test_a_text_that_names_no_key_is_refused(text):
    with pytest.raises(UnknownKeyError, match="expected a key id"):
        public_key_of(text)


@given(st.binary(min_size=32, max_size=32))
def test_every_honest_key_is_strong(seed):
    require_strong(Ed25519Signer(seed).public_key)


def test_about_half_of_all_bytes_are_no_point_of_the_curve():
    weak = 0
    for seed in range(100):
        try:
            require_strong(signer(seed + 1).sign(b"")[:31] + b"\x00")
        except WeakKeyError:
            weak += 1
    assert 20 < weak < 80


@pytest.mark.parametrize("length", [0, 31, 33])
def test_bytes_of_another_length_are_no_key(length):
    with pytest.raises(WeakKeyError):
        require_strong(b"\x05" * length)


def test_enrolment_gives_a_new_version_and_leaves_the_old_store_alone():
    empty = TrustStore()
    store = empty.enrol(signer().key_id, TEACHER, "school")
    assert (empty.version, store.version) == (0, 1)
    assert not empty.knows(signer().key_id)
    assert store.agent_of(signer().key_id) == TEACHER
    assert store.organisation_of(TEACHER) == "school"


def test_an_agent_without_organisation_is_its_own():
    assert trusting().organisation_of(TEACHER) == TEACHER


def test_two_agents_never_share_a_key():
    with pytest.raises(RequestError, match="never share a key"):
        trusting().enrol(signer().key_id, STUDENT)


def test_enrolling_again_may_change_the_organisation():
    assert trusting().enrol(signer().key_id, TEACHER, "new").organisation_of(TEACHER) == "new"


def test_a_root_is_an_agent_with_a_key_that_was_enrolled_as_one():
    store = trusting().enrol(signer(2).key_id, TEACHER, root=True)
    store = store.enrol(signer(3).key_id, STUDENT)
    assert (store.is_root(TEACHER), store.is_root(STUDENT)) == (True, False)
    assert not store.revoke(signer(2).key_id, "lost").is_root(TEACHER)
    assert not store.enrol(signer(2).key_id, TEACHER).is_root(TEACHER)


def test_a_revoked_key_stays_known_and_does_not_come_back():
    store = trusting().revoke(signer().key_id, "lost laptop")
    assert store.knows(signer().key_id)
    with pytest.raises(RevokedKeyError, match="lost laptop"):
        store.agent_of(signer().key_id)
    with pytest.raises(RevokedKeyError):
        store.enrol(signer().key_id, TEACHER)


def test_an_unknown_key_belongs_to_nobody():
    with pytest.raises(UnknownKeyError, match="m2kt keys trust"):
        TrustStore().agent_of(signer().key_id)


@pytest.mark.parametrize("field", [{"threshold": 0}, {"version": -1}])
def test_a_store_with_impossible_numbers_is_refused(field):
    with pytest.raises(RequestError):
        TrustStore(**field)


def test_a_store_survives_its_file(tmp_path):
    store = trusting(signer(1), signer(2)).revoke(signer(2).key_id, "old")
    store = store.enrol(signer(3).key_id, STUDENT, "school", root=True)
    save_trust(tmp_path / "deep" / "trust.json", store)
    assert load_trust(tmp_path / "deep" / "trust.json") == store


@pytest.mark.parametrize(
    ("said", "root"), [({}, False), ({"root": True}, True), ({"root": 1}, False)]
)
def test_a_file_that_does_not_say_so_makes_nobody_a_root(tmp_path, said, root):
    path, key = tmp_path / "trust.json", {"agent": TEACHER, "organisation": ""} | said
    enrolled = {signer().key_id: key}
    path.write_text(json.dumps({"version": 1, "threshold": 1, "enrolled": enrolled, "revoked": {}}))
    assert load_trust(path).is_root(TEACHER) is root


def test_no_file_is_an_empty_store(tmp_path):
    assert load_trust(tmp_path / "none.json") == TrustStore()


def test_a_store_is_not_overwritten_by_an_older_one(tmp_path):
    path, mine = tmp_path / "trust.json", trusting()
    save_trust(path, mine.enrol(signer(2).key_id, STUDENT))
    with pytest.raises(StoreError, match="load it again"):
        save_trust(path, mine)
    assert load_trust(path).knows(signer(2).key_id)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 1, "threshold": 1, "enrolled": 3, "revoked": {}}', "\xff"]
)
def test_a_file_that_is_no_store_is_refused(tmp_path, text):
    path = tmp_path / "trust.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(StoreError, match="expected a trust store"):
        load_trust(path)


@pytest.mark.parametrize(
    ("name", "agent", "error"),
    [
        (key_id_of(b"\x01" + bytes(31)), "teacher-a", WeakKeyError),
        ("ed25519:0", "teacher-a", UnknownKeyError),
        (signer().key_id, "No Name", PacketError),
    ],
)
def test_what_somebody_wrote_into_the_file_is_checked(tmp_path, name, agent, error):
    path = tmp_path / "trust.json"
    key = {"agent": agent, "organisation": ""}
    content = {"version": 1, "threshold": 1, "enrolled": {name: key}, "revoked": {}}
    path.write_text(json.dumps(content))
    with pytest.raises(error):
        load_trust(path)


def test_a_private_key_survives_its_file_and_only_its_owner_can_read_it(tmp_path):
    path = tmp_path / "keys" / "agent.pem"
    signer(5).save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Ed25519Signer.load(path).key_id == signer(5).key_id
