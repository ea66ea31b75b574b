"""Mutual TLS: who gets in, whom a client takes for whom, and certificates that change."""

import os
from dataclasses import replace

import pytest

from m2kt.errors import PeerUnavailableError, RequestError, StoreError
from m2kt.identity import AgentId
from m2kt_agents.certificates import Authority
from m2kt_agents.channel import open_channel
from m2kt_agents.client import PeerClient
from m2kt_agents.server import serve
from m2kt_agents.settings import Limits, TlsFiles
from m2kt_agents.tls import caller_of
from tests.packets import signer
from tests.simulator import HostileTeacher

TEACHER, STUDENT = AgentId("teacher"), AgentId("student")


class Doorkeeper(HostileTeacher):
    """Notes who calls."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.callers: list[AgentId | None] = []

    async def DescribeTeacher(self, request, context):  # noqa: N802 - the name in the proto
        self.callers.append(caller_of(context))
        return await super().DescribeTeacher(request, context)


@pytest.fixture
def authority(tmp_path) -> Authority:
    return Authority(tmp_path / "ours")


def issued(authority: Authority, agent: AgentId) -> TlsFiles:
    return authority.issue(agent, hosts=["127.0.0.1"])


@pytest.fixture
async def door(authority):
    """A teacher behind mutual TLS: itself, and its address."""
    teacher = Doorkeeper(TEACHER, signer())
    tls = issued(authority, TEACHER)
    server = await serve([teacher.service], "127.0.0.1:0", limits=Limits(), tls=tls)
    yield teacher, server.address
    await server.drain(0)


async def asked(address: str, tls: TlsFiles | None) -> None:
    async with PeerClient(address, tls=tls) as peer:
        await peer.describe_teacher(timeout_s=2)


async def test_whom_the_authority_named_gets_in_and_is_known_by_name(door, authority):
    teacher, address = door
    await asked(address, issued(authority, STUDENT))
    assert teacher.callers == [STUDENT]


async def test_nobody_else_gets_in(door, authority, tmp_path):
    teacher, address = door
    ours = issued(authority, STUDENT)
    theirs = issued(Authority(tmp_path / "theirs"), STUDENT)
    for wrong in (None, theirs, replace(theirs, authority=ours.authority)):
        with pytest.raises(PeerUnavailableError):
            await asked(address, wrong)
    assert teacher.callers == []


async def test_a_client_takes_no_other_agent_for_the_one_it_asks_for(door, authority):
    teacher, address = door
    tls = issued(authority, STUDENT)
    await asked(f"teacher@{address}", tls)
    with pytest.raises(PeerUnavailableError):
        await asked(f"another@{address}", tls)
    with pytest.raises(PeerUnavailableError):
        await asked(address, replace(tls, peer_name="somewhere.example"))
    assert teacher.callers == [STUDENT]


async def test_a_client_without_a_name_asks_for_a_certificate_of_the_place(authority):
    teacher, elsewhere = Doorkeeper(TEACHER, signer()), authority.issue(TEACHER, hosts=["10.0.0.5"])
    server = await serve([teacher.service], "127.0.0.1:0", limits=Limits(), tls=elsewhere)
    tls = issued(authority, STUDENT)
    try:
        with pytest.raises(PeerUnavailableError):
            await asked(server.address, tls)
        await asked(f"teacher@{server.address}", tls)
    finally:
        await server.drain(0)


async def test_without_tls_nobody_is_known():
    teacher = Doorkeeper(TEACHER, signer())
    server = await serve([teacher.service], "127.0.0.1:0", limits=Limits())
    await asked(server.address, None)
    await server.drain(0)
    assert teacher.callers == [None]


async def test_a_new_certificate_holds_from_the_next_connection_on(authority, tmp_path):
    teacher, tls = Doorkeeper(TEACHER, signer()), issued(authority, TEACHER)
    server = await serve([teacher.service], "127.0.0.1:0", limits=Limits(), tls=tls)
    student, at = issued(authority, STUDENT), f"teacher@{server.address}"
    async with PeerClient(at, tls=student, own_connection=True) as old:
        await old.describe_teacher(timeout_s=2)
        renamed = authority.issue(AgentId("renamed"), hosts=["127.0.0.1"])
        tls.key.write_bytes(renamed.key.read_bytes())  # half of it: the old pair stays
        async with PeerClient(at, tls=student, own_connection=True) as between:
            await between.describe_teacher(timeout_s=2)
        tls.certificate.write_bytes(renamed.certificate.read_bytes())
        os.utime(tls.certificate, ns=(1, 1))
        async with PeerClient(f"renamed@{server.address}", tls=student, own_connection=True) as new:
            await new.describe_teacher(timeout_s=2)
        await old.describe_teacher(timeout_s=2)
    await server.drain(0)


async def test_what_others_can_reach_is_not_served_or_dialled_without_tls():
    with pytest.raises(RequestError, match="m2kt certs issue"):
        await serve([HostileTeacher(TEACHER, signer()).service], "0.0.0.0:0", limits=Limits())
    with pytest.raises(RequestError, match="plaintext = true"):
        open_channel("10.0.0.5:7001", tls=None, own_connection=False)
    plain = TlsFiles(plaintext=True)
    await open_channel("10.0.0.5:7001", tls=plain, own_connection=False).close()
    server = await serve(
        [HostileTeacher(TEACHER, signer()).service], "0.0.0.0:0", limits=Limits(), tls=plain
    )
    await asked(server.address.replace("0.0.0.0", "127.0.0.1"), None)
    await server.drain(0)


@pytest.mark.parametrize("missing", ["key", "certificate", "authority"])
async def test_files_that_are_missing_or_not_a_pair_are_refused_at_the_start(authority, missing):
    tls = issued(authority, TEACHER)
    other = issued(authority, STUDENT)
    service = HostileTeacher(TEACHER, signer()).service
    gone = replace(tls, **{missing: tls.key.with_name("gone.pem")})
    for wrong in (gone, replace(tls, key=other.key)):
        with pytest.raises(StoreError):
            await serve([service], "127.0.0.1:0", limits=Limits(), tls=wrong)
        with pytest.raises(StoreError):
            open_channel("127.0.0.1:1", tls=wrong, own_connection=False)


@pytest.mark.parametrize("fields", [{}, {"key": "k"}, {"plaintext": True, "key": "k"}])
def test_half_a_table_of_tls_is_refused(fields, tmp_path):
    paths = {name: tmp_path if name == "key" else value for name, value in fields.items()}
    with pytest.raises(RequestError, match=r"\[tls\]"):
        TlsFiles(**paths)
