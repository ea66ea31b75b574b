"""An authority of one's own, and what stands on the certificates that it signs."""

import datetime
import stat

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from m2kt.errors import RequestError, StoreError
from m2kt.identity import AgentId
from m2kt_agents.certificates import Authority, agent_in, belong_together, described, server_name

ALICE = AgentId("alice")


def test_a_certificate_says_who_its_owner_is_and_where_it_answers(tmp_path):
    files = Authority(tmp_path).issue(ALICE, hosts=["alice.example", "::1"], days=2)
    found = described(files.certificate)
    assert (found.agent, found.identity) == ("alice", "spiffe://m2kt.internal/agent/alice")
    assert found.hosts == (server_name(ALICE), "alice.example", "::1")
    left = found.expires_at - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(days=1.9) < left <= datetime.timedelta(days=2)
    assert belong_together(files.key.read_bytes(), files.certificate.read_bytes())


def test_an_authority_is_made_once_and_signs_what_it_issues(tmp_path):
    first = Authority(tmp_path)
    again = Authority(tmp_path)
    assert (first.is_new, again.is_new) == (True, False)
    root = x509.load_pem_x509_certificate(again.certificate_file.read_bytes())
    leaf = x509.load_pem_x509_certificate(again.issue(ALICE).certificate.read_bytes())
    leaf.verify_directly_issued_by(root)
    other = Authority(tmp_path / "other")
    with pytest.raises(InvalidSignature):
        x509.load_pem_x509_certificate(
            other.issue(ALICE).certificate.read_bytes()
        ).verify_directly_issued_by(root)


def test_keys_are_readable_by_their_owner_alone_and_new_with_every_issue(tmp_path):
    authority = Authority(tmp_path)
    files = authority.issue(ALICE)
    before = files.key.read_bytes()
    for key in (files.key, tmp_path / "authority-key.pem"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    authority.issue(ALICE)
    assert files.key.read_bytes() != before
    assert not belong_together(before, files.certificate.read_bytes())


def test_a_broken_authority_is_not_replaced(tmp_path):
    Authority(tmp_path)
    (tmp_path / "authority.pem").write_text("no certificate")
    with pytest.raises(StoreError, match="restore"):
        Authority(tmp_path)
    other = Authority(tmp_path / "other")
    (tmp_path / "authority.pem").write_bytes(other.certificate_file.read_bytes())
    with pytest.raises(StoreError, match="belong together"):
        Authority(tmp_path)


def test_a_certificate_for_no_time_is_refused(tmp_path):
    with pytest.raises(RequestError, match="days"):
        Authority(tmp_path).issue(ALICE, days=0)


def test_what_is_no_certificate_cannot_be_described(tmp_path):
    with pytest.raises(StoreError, match="m2kt certs issue"):
        described(tmp_path / "none")


@pytest.mark.parametrize(
    ("uris", "agent"),
    [
        (["spiffe://m2kt.internal/agent/alice"], "alice"),
        (["https://x/agent/bob", "spiffe://example.org/agent/alice"], "alice"),
        (["spiffe://a/agent/alice", "spiffe://a/agent/bob"], None),
        (["spiffe://a/workload/alice"], None),
        (["spiffe://a"], None),
        ([], None),
    ],
)
def test_an_agent_is_read_off_its_spiffe_id_alone(uris, agent):
    assert agent_in(uris) == agent


def test_keys_that_cannot_be_read_belong_to_nothing():
    assert not belong_together(b"", b"")
