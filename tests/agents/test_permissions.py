"""Who is let in: by rule, by certificate, and for every method there is."""

import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc import aio

from m2kt.errors import NotPermittedError, RequestError
from m2kt.identity import BROADCAST, AgentId, Role
from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt.registry import PacketHeader
from m2kt.signing import Ed25519Signer
from m2kt.trust import TrustStore
from m2kt.wire import cards
from m2kt.wire.admission import packet_id_of
from m2kt.wire.v1 import broker_service_pb2, student_service_pb2, teacher_service_pb2
from m2kt_agents.broker_client import BrokerClient
from m2kt_agents.channel import open_channel
from m2kt_agents.errors import peer_errors
from m2kt_agents.methods import dialled
from m2kt_agents.permissions import PermissionRules, Permissions, Permit
from m2kt_agents.registrations import header_to_wire
from tests.simulator import DOMAIN, STUDENT, TEACHER, HostileTeacher, Town, ended

ALICE, BOB, EVE = AgentId("alice"), AgentId("bob"), AgentId("eve")
STORE = TrustStore().enrol(Ed25519Signer(bytes(32)).key_id, BOB)
SERVICES = {
    "teacher": teacher_service_pb2.DESCRIPTOR.services_by_name["TeacherService"],
    "student": student_service_pb2.DESCRIPTOR.services_by_name["StudentService"],
    "broker": broker_service_pb2.DESCRIPTOR.services_by_name["BrokerService"],
}
METHODS = [(role, method) for role, its in SERVICES.items() for method in its.methods]


def alices(rules: PermissionRules, role: Role = Role.STUDENT) -> Permissions:
    return Permissions(rules, ALICE, role, lambda: STORE)


def allowed(
    permissions: Permissions, deed: Permit, caller: AgentId | None, domain: str = ""
) -> bool:
    try:
        permissions.require(deed, caller, domain)
    except NotPermittedError:
        return False
    return True


def test_who_is_kept_out_is_told_which_rule_would_let_it_in():
    with pytest.raises(NotPermittedError, match=r"\(\[permissions\] learn\)"):
        alices(PermissionRules()).require(Permit.LEARN, EVE, "arith.mod7")


@pytest.mark.parametrize("role", [Role.TEACHER, Role.STUDENT])
def test_by_default_who_is_enrolled_may_do_all_but_command(role):
    permissions = alices(PermissionRules(), role)
    for deed in Permit:
        assert allowed(permissions, deed, ALICE)
        assert allowed(permissions, deed, BOB) is (deed is not Permit.COMMAND)
        assert not allowed(permissions, deed, EVE)
        assert not allowed(permissions, deed, AgentId(""))


def test_a_broker_serves_whoever_is_certified_and_shows_receipts_to_the_enrolled():
    permissions = alices(PermissionRules(), Role.BROKER)
    for deed in set(Permit) - {Permit.RECEIPTS, Permit.COMMAND}:
        assert allowed(permissions, deed, EVE)
    assert not allowed(permissions, Permit.RECEIPTS, EVE)
    assert allowed(permissions, Permit.RECEIPTS, BOB)


def test_rules_name_agents_and_domains_by_pattern():
    rules = PermissionRules(learn=("eve:arith.*", "b*"), teach=())
    permissions = alices(rules)
    assert allowed(permissions, Permit.LEARN, EVE, "arith.mod7")
    assert not allowed(permissions, Permit.LEARN, EVE, "group.s3")
    assert not allowed(permissions, Permit.LEARN, EVE)
    assert allowed(permissions, Permit.LEARN, BOB, "group.s3")
    assert not allowed(permissions, Permit.LEARN, ALICE)
    assert not allowed(permissions, Permit.TEACH, BOB)


def test_who_is_revoked_is_out_at_once():
    trust = [STORE]
    permissions = Permissions(PermissionRules(), ALICE, Role.TEACHER, lambda: trust[0])
    assert allowed(permissions, Permit.LEARN, BOB)
    trust[0] = STORE.revoke(next(iter(STORE.enrolled)), "left")
    assert not allowed(permissions, Permit.LEARN, BOB)


def test_without_tls_all_are_let_in():
    permissions = alices(PermissionRules(command=()))
    permissions.require(Permit.COMMAND, None)
    permissions.require_own(None, BOB)


def test_nobody_speaks_for_another():
    permissions = alices(PermissionRules())
    permissions.require_own(BOB, BOB)
    with pytest.raises(NotPermittedError, match="speak for itself"):
        permissions.require_own(EVE, BOB)


@pytest.mark.parametrize("rule", ["", "@all", "Alice", "alice:", ":arith.*", "a b"])
def test_a_rule_that_is_none_is_refused(rule):
    with pytest.raises(RequestError, match=r"\[permissions\] learn"):
        PermissionRules(learn=(rule,))


@pytest.fixture
async def town(tmp_path):
    """A student, a teacher and a broker with certificates; nobody is enrolled anywhere."""
    async with Town(tmp_path) as town:
        addresses = {}
        for role, table in {"teacher": TEACHER, "student": STUDENT, "broker": {}}.items():
            tls = town.certify(role)
            files = {"key": tls.key, "certificate": tls.certificate, "authority": tls.authority}
            names = {name: str(path) for name, path in files.items()}
            closed = {"permissions": {"meet": [], "learn": [], "publish": []}}
            full = {**table, "role": role, "tls": names, **(closed if role == "broker" else {})}
            addresses[role] = (await town.start(role, full)).address
        yield town, addresses


def asked_for(town: Town, method: MethodDescriptor) -> Message:
    """A request that would be answered."""
    request = GetMessageClass(method.input_type)()
    stranger = HostileTeacher(AgentId("stranger"), town.signer("stranger"))
    if method.name == "OfferPacket":
        request.hello.domain = DOMAIN
    if method.name == "PublishPacket":
        envelope = stranger.sealed(BROADCAST, b"")
        header = PacketHeader(
            packet_id=packet_id_of(envelope.payload),
            teacher=stranger.agent,
            audience=BROADCAST,
            domain=DOMAIN,
            expires_at_s=2e9,
            payload_bytes=1,
        )
        request.header.CopyFrom(header_to_wire(header))
    if method.name == "Register":
        card = cards.sign_card(stranger.card, stranger.signer)
        request.card.CopyFrom(cards.envelope_to_wire(card))
    return request


async def said(channel: aio.Channel, method: MethodDescriptor, request: Message) -> None:
    """Waits for the first word of the other side."""

    async def requests():
        yield request

    call = dialled(channel, method)(requests() if method.client_streaming else request, timeout=5)
    with peer_errors("it"):
        await (anext(aiter(call)) if method.server_streaming else call)


@pytest.mark.parametrize(("role", "method"), METHODS, ids=lambda its: getattr(its, "name", its))
async def test_no_method_answers_a_stranger(town, role, method):
    town, addresses = town
    tls = town.certify("stranger")
    async with open_channel(addresses[role], tls=tls, own_connection=True) as channel:
        with pytest.raises(NotPermittedError):
            await said(channel, method, asked_for(town, method))


async def test_over_tls_a_whole_transfer_goes_through_and_is_told_to_its_owner_alone(town):
    town, addresses = town
    town.trust("student", "teacher")
    town.trust("teacher", "student")
    owner = town.peer(f"student@{addresses['student']}", town.certify("student"))
    transfer = await owner.learn(DOMAIN, teachers=[f"teacher@{addresses['teacher']}"], timeout_s=5)
    view, _ = await ended(owner, transfer)
    assert view.state is TransferState.COMMITTED
    teacher = town.peer(addresses["student"], town.certify("teacher"))
    with pytest.raises(NotPermittedError) as refused:
        await teacher.unlearn(key=town.signer("teacher").key_id, timeout_s=5)
    assert refused.value.reason is Reason.NOT_PERMITTED


async def test_at_a_broker_nobody_fetches_or_publishes_for_another(tmp_path):
    async with Town(tmp_path) as town:
        tls = town.certify("broker")
        files = {n: str(getattr(tls, n)) for n in ("key", "certificate", "authority")}
        broker = await town.start("broker", {"role": "broker", "tls": files})
        async with BrokerClient(broker.address, tls=town.certify("eve")) as eve:
            with pytest.raises(NotPermittedError, match="speak for itself"):
                await eve.list_packets(DOMAIN, AgentId("student"), timeout_s=5)
            assert await eve.list_packets(DOMAIN, EVE, timeout_s=5) == ()
