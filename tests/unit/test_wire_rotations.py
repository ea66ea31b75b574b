"""A key is replaced by a statement that both keys signed, and by nothing else."""

import pytest

from m2kt.errors import (
    BadSignatureError,
    FuturePacketError,
    PacketError,
    RequestError,
    RevokedKeyError,
    UnknownKeyError,
)
from m2kt.identity import AgentId
from m2kt.signing import sign_envelope
from m2kt.trust import TrustStore, load_trust, save_trust
from m2kt.wire.rotations import ROTATION_TYPE, accept_rotation, sign_rotation
from tests.packets import signer

ALICE, OLD, NEW, OTHER = AgentId("alice"), signer(1), signer(2), signer(3)
TRUST = TrustStore().enrol(OLD.key_id, ALICE, "school", root=True)
NOW_S = 1000.0


def rotation(old=OLD, new=NEW, agent=ALICE, at_s=NOW_S):
    return sign_rotation(agent, old, new, at_s=at_s)


def test_the_new_key_is_trusted_for_all_that_the_old_one_was(tmp_path):
    trust = accept_rotation(rotation(), TRUST, now_s=NOW_S)
    assert trust.version == TRUST.version + 1
    assert trust.agent_of(NEW.key_id) == ALICE
    new = trust.enrolled[NEW.key_id]
    assert (new.organisation, new.root, new.until_s) == ("school", True, None)
    assert trust.enrolled[OLD.key_id].until_s == NOW_S
    save_trust(tmp_path / "trust.json", trust)
    assert load_trust(tmp_path / "trust.json") == trust


def test_keys_are_replaced_one_after_another():
    once = accept_rotation(rotation(), TRUST, now_s=NOW_S)
    twice = accept_rotation(rotation(NEW, OTHER, at_s=2000.0), once, now_s=2000.0)
    ends = [twice.enrolled[key.key_id].until_s for key in (OLD, NEW, OTHER)]
    assert ends == [NOW_S, 2000.0, None]
    assert twice.believed_until_s([OLD.key_id, NEW.key_id]) == NOW_S


@pytest.mark.parametrize(
    ("envelope", "error"),
    [
        (sign_envelope(ROTATION_TYPE, rotation().payload, OLD), BadSignatureError),
        (sign_envelope(ROTATION_TYPE, rotation().payload, NEW), BadSignatureError),
        (sign_envelope(ROTATION_TYPE, rotation().payload, OLD, OTHER), BadSignatureError),
        (sign_envelope(ROTATION_TYPE, rotation().payload, OLD, NEW, OTHER), BadSignatureError),
        (sign_envelope("application/other", rotation().payload, OLD, NEW), BadSignatureError),
        (rotation(agent=AgentId("eve")), BadSignatureError),
        (rotation(old=OTHER), UnknownKeyError),
        (sign_envelope(ROTATION_TYPE, b"\xff", OLD, NEW), PacketError),
        (rotation(at_s=NOW_S + 3600.0), FuturePacketError),
    ],
)
def test_what_is_no_rotation_by_both_keys_of_one_agent_is_refused(envelope, error):
    with pytest.raises(error):
        accept_rotation(envelope, TRUST, now_s=NOW_S)


def test_a_key_that_was_replaced_or_revoked_names_no_successor():
    once = accept_rotation(rotation(), TRUST, now_s=NOW_S)
    for again in (rotation(), rotation(new=OTHER)):
        with pytest.raises(RequestError, match="newest key"):
            accept_rotation(again, once, now_s=NOW_S)
    with pytest.raises(RevokedKeyError):
        accept_rotation(rotation(), TRUST.revoke(OLD.key_id, "stolen"), now_s=NOW_S)


def test_a_key_of_another_agent_cannot_be_taken():
    both = TRUST.enrol(NEW.key_id, AgentId("bob"))
    with pytest.raises(RequestError):
        accept_rotation(rotation(), both, now_s=NOW_S)
