"""m2kt.signing: DSSE envelopes and Ed25519 keys."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from packets import STUDENT, TEACHER, signer, trusting

from m2kt.errors import (
    BadSignatureError,
    OversizeError,
    RevokedKeyError,
    StoreError,
    UnknownKeyError,
    WeakKeyError,
)
from m2kt.identity import KeyId
from m2kt.signing import (
    MAX_ENVELOPE_PAYLOAD_BYTES,
    Ed25519Signer,
    Signature,
    Signer,
    pae,
    sign_envelope,
    verify_envelope,
    verify_own,
)
from m2kt.trust import key_id_of

KIND = "application/vnd.m2kt.test"


def test_the_encoding_is_that_of_dsse():
    # The example of the DSSE protocol's own page.
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pae("http://example.com/HelloWorld", b"hello world") == expected


@given(st.text(max_size=9), st.binary(max_size=9), st.text(max_size=9), st.binary(max_size=9))
def test_different_contents_have_different_encodings(kind, payload, other_kind, other_payload):
    same = (kind, payload) == (other_kind, other_payload)
    try:
        assert (pae(kind, payload) == pae(other_kind, other_payload)) is same
    except UnicodeEncodeError:  # lone surrogates: no message can hold them
        assert any("\ud800" <= c <= "\udfff" for c in kind + other_kind)


def test_a_seed_gives_the_key_and_signature_of_rfc_8032():
    # RFC 8032, section 7.1, test 1.
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    key = Ed25519Signer(seed)
    public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert key.key_id == "ed25519:" + public
    assert (
        key.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065")
    )
    assert isinstance(key, Signer)


@given(st.binary(max_size=100))
def test_what_a_trusted_key_signed_is_verified(payload):
    verified = verify_envelope(sign_envelope(KIND, payload, signer()), trusting(), KIND)
    assert (verified.payload, verified.agent, verified.signers) == (
        payload,
        TEACHER,
        (signer().key_id,),
    )


def test_new_keys_differ():
    assert Ed25519Signer.generate().key_id != Ed25519Signer.generate().key_id


def test_a_payload_that_was_changed_is_refused():
    envelope = replace(sign_envelope(KIND, b"learn", signer()), payload=b"lears")
    with pytest.raises(BadSignatureError, match="does not belong"):
        verify_envelope(envelope, trusting(), KIND)


def test_an_envelope_without_signatures_is_by_nobody():
    with pytest.raises(UnknownKeyError, match="found nobody"):
        verify_envelope(sign_envelope(KIND, b""), trusting(), KIND)


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_signature_of_another_length_is_refused(length):
    signature = Signature(signer().key_id, bytes(length))
    envelope = replace(sign_envelope(KIND, b""), signatures=(signature,))
    with pytest.raises(BadSignatureError):
        verify_envelope(envelope, trusting(), KIND)


def test_a_threshold_counts_keys_not_signatures():
    store = replace(trusting(signer(1), signer(2)), threshold=2)
    twice = sign_envelope(KIND, b"", signer(1), signer(1))
    with pytest.raises(BadSignatureError, match="expected 2 valid signatures"):
        verify_envelope(twice, store, KIND)
    both = verify_envelope(sign_envelope(KIND, b"", signer(1), signer(2)), store, KIND)
    assert set(both.signers) == {signer(1).key_id, signer(2).key_id}


def test_signatures_of_two_agents_do_not_add_up():
    store = trusting(signer(1)).enrol(signer(2).key_id, STUDENT)
    with pytest.raises(BadSignatureError, match="found 2 of 2 agents"):
        verify_envelope(sign_envelope(KIND, b"", signer(1), signer(2)), store, KIND)


def test_a_signature_by_a_stranger_does_no_harm_beside_a_good_one():
    envelope = sign_envelope(KIND, b"", signer(9), signer(1))
    assert verify_envelope(envelope, trusting(), KIND).signers == (signer(1).key_id,)


def test_one_bad_signature_condemns_the_envelope():
    store = trusting(signer(1), signer(2))
    good = sign_envelope(KIND, b"", signer(1))
    bad = Signature(signer(2).key_id, bytes(64))
    with pytest.raises(BadSignatureError):
        verify_envelope(replace(good, signatures=(*good.signatures, bad)), store, KIND)


def test_one_revoked_key_condemns_the_envelope():
    store = trusting(signer(1), signer(2)).revoke(signer(2).key_id, "lost")
    with pytest.raises(RevokedKeyError):
        verify_envelope(sign_envelope(KIND, b"", signer(1), signer(2)), store, KIND)


@pytest.mark.parametrize(
    "envelope",
    [
        sign_envelope(KIND, bytes(MAX_ENVELOPE_PAYLOAD_BYTES + 1), signer()),
        sign_envelope(KIND, b"", *[signer()] * 9),
    ],
)
def test_an_envelope_has_limits(envelope):
    with pytest.raises(OversizeError):
        verify_envelope(envelope, trusting(), KIND)


def test_a_key_proves_that_it_is_held_without_being_trusted():
    envelope = sign_envelope(KIND, b"me", signer(7))
    assert verify_own(envelope, KIND, signer(7).key_id) == b"me"
    with pytest.raises(BadSignatureError, match="found none"):
        verify_own(envelope, KIND, signer(8).key_id)
    with pytest.raises(BadSignatureError):
        verify_own(replace(envelope, payload=b"you"), KIND, signer(7).key_id)
    with pytest.raises(WeakKeyError):
        verify_own(envelope, KIND, key_id_of(bytes(32)))


def test_a_signature_under_something_that_is_no_key_is_refused():
    signature = Signature(KeyId("nobody"), bytes(64))
    envelope = replace(sign_envelope(KIND, b""), signatures=(signature,))
    with pytest.raises(UnknownKeyError, match="expected a key id"):
        verify_envelope(envelope, trusting(), KIND)


def test_a_key_file_is_never_overwritten(tmp_path):
    signer(1).save(tmp_path / "a.pem")
    with pytest.raises(StoreError, match="another name"):
        signer(2).save(tmp_path / "a.pem")
    assert Ed25519Signer.load(tmp_path / "a.pem").key_id == signer(1).key_id


def test_a_key_file_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "a.pem"
    signer().save(path)
    path.chmod(0o640)
    with pytest.raises(StoreError, match="chmod 600"):
        Ed25519Signer.load(path)


def test_a_file_that_is_no_ed25519_key_is_refused(tmp_path):
    path = tmp_path / "a.pem"
    with pytest.raises(StoreError, match="expected a private key"):
        Ed25519Signer.load(path)
    path.write_bytes(b"no key")
    path.chmod(0o600)
    with pytest.raises(StoreError, match="expected a private key"):
        Ed25519Signer.load(path)
    other = generate_private_key(SECP256R1())
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(StoreError, match="Ed25519"):
        Ed25519Signer.load(path)
