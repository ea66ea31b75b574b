"""The broker's memory: leases end, news are told once, and packets find their readers."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from m2kt.digest import digest_of
from m2kt.errors import (
    BusyError,
    FuturePacketError,
    NotFoundError,
    OversizeError,
    RequestError,
    StalePacketError,
)
from m2kt.identity import BROADCAST, AgentCard, AgentId, KeyId, PacketId, Role
from m2kt.registry import (
    KeptPacket,
    PacketHeader,
    Registry,
    RegistryChange,
    RegistryLimits,
)

LIMITS = RegistryLimits(
    agents=3,
    packets=4,
    packets_per_teacher=2,
    packet_bytes=100,
    total_bytes=250,
    lease_s=60.0,
    keep_s=1000.0,
)
STUDENT, TEACHER = AgentId("student-s"), AgentId("teacher-a")


def empty(limits: RegistryLimits = LIMITS) -> Registry:
    numbers = itertools.count()
    return Registry(limits, lambda: f"lease-{next(numbers)}")


def card(name: str, *, role: Role = Role.TEACHER, key: str = "0", domains=("sort",)) -> AgentCard:
    return AgentCard(
        agent=AgentId(name),
        role=role,
        address="127.0.0.1:1",
        key_id=KeyId("ed25519:" + key * 64),
        public_key=bytes(32),
        domains=tuple(domains),
        model=None,
        software="test",
    )


def packet(name: str, **header) -> KeptPacket:
    plain = PacketHeader(
        packet_id=PacketId(digest_of(name.encode())),
        teacher=TEACHER,
        audience=BROADCAST,
        domain="sort",
        expires_at_s=500.0,
        payload_bytes=10,
    )
    return KeptPacket(replace(plain, **header), name.encode(), f"spool/{name}")


def there(registry: Registry, now_s: float, domain: str = "sort", role: Role = Role.TEACHER):
    return [lease.card.agent for lease in registry.find(domain, role, now_s=now_s)]


def test_an_agent_is_known_until_its_lease_ends_and_no_longer():
    registry = empty()
    lease = registry.register(card("a"), b"sealed", lease_s=10.0, now_s=0.0)
    assert registry.find("sort", Role.TEACHER, now_s=9.9) == (lease,)
    assert registry.renew(lease.id, now_s=9.9).expires_at_s == pytest.approx(19.9)
    assert there(registry, 19.8) == ["a"]
    assert there(registry, 20.0) == []
    with pytest.raises(NotFoundError, match="register again"):
        registry.renew(lease.id, now_s=20.0)


def test_no_lease_is_longer_than_the_broker_grants():
    registry = empty()
    lease = registry.register(card("a"), b"", lease_s=1e9, now_s=0.0)
    assert (lease.granted_s, lease.expires_at_s) == (60.0, 60.0)
    for wish in (0.0, -1.0, float("nan")):
        with pytest.raises(RequestError, match="more than 0"):
            registry.register(card("b"), b"", lease_s=wish, now_s=0.0)


def test_agents_are_found_by_role_and_domain_in_the_order_of_names():
    registry = empty()
    registry.register(card("b", domains=("sort", "copy")), b"", lease_s=9.0, now_s=0.0)
    registry.register(card("a"), b"", lease_s=9.0, now_s=0.0)
    registry.register(card("c", role=Role.STUDENT), b"", lease_s=9.0, now_s=0.0)
    assert there(registry, 1.0) == ["a", "b"]
    assert there(registry, 1.0, "copy") == ["b"]
    assert there(registry, 1.0, role=Role.STUDENT) == ["c"]
    assert there(registry, 1.0, "else") == []


def test_a_name_belongs_to_its_key_while_the_lease_holds():
    registry = empty()
    first = registry.register(card("a"), b"", lease_s=10.0, now_s=0.0)
    with pytest.raises(RequestError, match="another name"):
        registry.register(card("a", key="1"), b"", lease_s=10.0, now_s=5.0)
    moved = replace(card("a"), address="127.0.0.1:2")
    assert registry.register(moved, b"", lease_s=10.0, now_s=5.0).id == first.id
    assert registry.find("sort", Role.TEACHER, now_s=6.0)[0].card == moved
    other = registry.register(card("a", key="1"), b"", lease_s=10.0, now_s=15.0)
    assert other.id != first.id


def signed_at(issued_at_s: float, key: str = "0") -> AgentCard:
    return replace(card("a", key=key), address=f"127.0.0.1:{issued_at_s}", issued_at_s=issued_at_s)


def test_no_card_takes_the_place_of_a_newer_one():
    registry = empty()
    registry.register(signed_at(5.0), b"5", lease_s=10.0, now_s=6.0)
    registry.register(signed_at(7.0), b"7", lease_s=10.0, now_s=7.0)
    registry.register(signed_at(7.0), b"7", lease_s=10.0, now_s=8.0)
    with pytest.raises(StalePacketError, match=r"signed at 7\.000"):
        registry.register(signed_at(5.0), b"5", lease_s=10.0, now_s=8.0)
    with pytest.raises(StalePacketError):
        registry.register(card("a"), b"never", lease_s=10.0, now_s=8.0)
    [lease] = registry.find("sort", Role.TEACHER, now_s=8.0)
    assert lease.sealed_card == b"7"
    assert registry.revision == 2


def test_an_old_card_is_refused_after_its_agent_has_gone_too():
    registry = empty()
    registry.register(signed_at(5.0), b"5", lease_s=10.0, now_s=6.0)
    assert there(registry, 100.0) == []
    with pytest.raises(StalePacketError):
        registry.register(signed_at(4.0), b"4", lease_s=10.0, now_s=100.0)
    assert there(registry, 100.0) == []
    registry.register(signed_at(1.0, key="1"), b"other", lease_s=10.0, now_s=101.0)
    assert there(registry, 102.0) == ["a"], "another key has a time of its own"


def test_a_card_that_differs_in_its_time_alone_is_no_news():
    registry = empty()
    registry.register(replace(card("a"), issued_at_s=5.0), b"5", lease_s=10.0, now_s=6.0)
    registry.register(replace(card("a"), issued_at_s=7.0), b"7", lease_s=10.0, now_s=7.0)
    assert registry.revision == 1
    assert registry.find("sort", Role.TEACHER, now_s=8.0)[0].sealed_card == b"7"


def test_a_card_from_the_future_is_refused_so_that_it_cannot_lock_its_agent_out():
    registry = empty()
    with pytest.raises(FuturePacketError, match="clocks"):
        registry.register(signed_at(1000.0), b"", lease_s=10.0, now_s=100.0)
    registry.register(signed_at(400.0), b"", lease_s=10.0, now_s=100.0)


def test_there_is_room_again_when_somebody_has_gone():
    registry = empty()
    for name in "abc":
        registry.register(card(name), b"", lease_s=10.0, now_s=0.0)
    with pytest.raises(BusyError):
        registry.register(card("d"), b"", lease_s=10.0, now_s=9.0)
    registry.register(card("a"), b"", lease_s=10.0, now_s=9.0)
    registry.register(card("d"), b"", lease_s=10.0, now_s=10.0)


def test_news_are_of_changes_alone_and_numbered_one_by_one():
    registry = empty()
    lease = registry.register(card("a"), b"1", lease_s=10.0, now_s=0.0)
    registry.register(card("a"), b"1", lease_s=10.0, now_s=1.0)
    registry.renew(lease.id, now_s=2.0)
    assert registry.revision == 1
    registry.register(replace(card("a"), software="new"), b"2", lease_s=10.0, now_s=3.0)
    [news] = registry.news_after(0, now_s=3.0)
    assert (news.revision, news.change, news.sealed_card) == (2, RegistryChange.REGISTERED, b"2")
    [news] = registry.news_after(2, now_s=13.0)
    assert (news.revision, news.change, news.sealed_card) == (3, RegistryChange.EXPIRED, b"")
    assert registry.news_after(3, now_s=99.0) == ()


def test_of_those_who_went_only_so_many_are_remembered():
    registry = empty()
    for number in range(20):
        registry.register(card(f"a{number}"), b"", lease_s=1.0, now_s=float(number * 2))
        assert len(registry.news_after(0, now_s=number * 2 + 0.5)) == min(number + 1, 13)
        assert len(registry._newest) == min(number + 1, 13), "what is remembered is bounded"
    gone = [news.agent for news in registry.news_after(0, now_s=100.0)]
    assert gone == [f"a{number}" for number in range(8, 20)]


def test_a_packet_is_listed_for_its_reader_newest_first():
    registry = empty()
    for name, audience in (("1", BROADCAST), ("2", STUDENT), ("3", AgentId("other"))):
        teacher = AgentId(f"teacher-{name}")
        registry.publish(packet(name, audience=audience, teacher=teacher), now_s=0.0)
    mine = registry.packets_for(STUDENT, "sort", now_s=1.0)
    assert mine == (packet("2", audience=STUDENT, teacher=AgentId("teacher-2")).header, mine[1])
    assert mine[1].audience == BROADCAST
    assert registry.packets_for(STUDENT, "copy", now_s=1.0) == ()
    assert len(registry.packets_for(AgentId("other"), "sort", now_s=1.0)) == 2


def test_a_packet_is_kept_as_it_was_first_left_until_it_expires():
    registry = empty()
    kept = packet("1", expires_at_s=50.0)
    registry.publish(kept, now_s=0.0)
    registry.publish(replace(kept, envelope=b"other", payload_ref="other"), now_s=1.0)
    assert registry.fetch(kept.header.packet_id, now_s=49.0) == kept
    assert registry.forget_expired(now_s=49.0) == ()
    with pytest.raises(NotFoundError):
        registry.fetch(kept.header.packet_id, now_s=50.0)
    assert registry.packets_for(STUDENT, "sort", now_s=50.0) == ()
    assert registry.forget_expired(now_s=50.0) == (kept,)
    assert registry.forget_expired(now_s=50.0) == ()


def test_nothing_is_kept_for_ever():
    registry = empty()
    registry.publish(packet("1", expires_at_s=1e12), now_s=0.0)
    assert [kept.header.expires_at_s for kept in registry.forget_expired(now_s=1001.0)] == [1000.0]


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ({"payload_bytes": 101}, OversizeError),
        ({"payload_bytes": -1}, RequestError),
        ({"expires_at_s": 5.0}, RequestError),
    ],
)
def test_a_packet_that_no_broker_should_keep_is_refused_before_its_bytes_come(header, error):
    registry = empty()
    with pytest.raises(error):
        registry.require_room(packet("1", **header).header, now_s=5.0)
    with pytest.raises(error):
        registry.publish(packet("1", **header), now_s=5.0)
    assert registry.packets_for(STUDENT, "sort", now_s=5.0) == ()


def test_limits_hold_for_a_teacher_for_all_and_for_bytes():
    registry = empty()
    for name in "12":
        registry.publish(packet(name), now_s=0.0)
    with pytest.raises(BusyError, match="teacher-a"):
        registry.publish(packet("3"), now_s=0.0)
    registry.publish(packet("1"), now_s=0.0)
    other = AgentId("teacher-b")
    for name in "45":
        registry.publish(packet(name, teacher=other, payload_bytes=90), now_s=0.0)
    third = AgentId("teacher-c")
    with pytest.raises(BusyError, match="4 packets"):
        registry.publish(packet("6", teacher=third), now_s=0.0)
    registry.publish(packet("6", teacher=third, expires_at_s=900.0), now_s=500.0)
    heavy = empty(replace(LIMITS, packets=99, packets_per_teacher=99))
    for name in "12":
        heavy.publish(packet(name, payload_bytes=100), now_s=0.0)
    heavy.publish(packet("3", payload_bytes=50), now_s=0.0)
    with pytest.raises(BusyError, match="251 bytes"):
        heavy.publish(packet("4", payload_bytes=1), now_s=0.0)


class Watched(RuleBasedStateMachine):
    """A watcher that knows only the news always knows exactly who is there."""

    def __init__(self) -> None:
        super().__init__()
        self.registry, self.now_s = empty(), 0.0
        self.seen: dict[str, bytes] = {}
        self.revision = 0

    @rule(name=st.sampled_from("abcde"), lease_s=st.floats(1, 100), version=st.sampled_from("12"))
    def an_agent_registers(self, name, lease_s, version):
        its = replace(card(name), software=version)
        try:
            self.registry.register(its, version.encode(), lease_s=lease_s, now_s=self.now_s)
        except BusyError:
            assert len(there(self.registry, self.now_s)) == LIMITS.agents

    @rule(seconds=st.floats(0, 70))
    def time_goes_by(self, seconds):
        self.now_s += seconds

    @rule()
    def the_watcher_looks(self):
        for news in self.registry.news_after(self.revision, now_s=self.now_s):
            assert news.revision > self.revision
            self.revision = news.revision
            if news.change is RegistryChange.REGISTERED:
                self.seen[news.agent] = news.sealed_card
            else:
                self.seen.pop(news.agent, None)
        found = self.registry.find("sort", Role.TEACHER, now_s=self.now_s)
        assert self.seen == {lease.card.agent: lease.sealed_card for lease in found}

    @invariant()
    def limits_hold(self):
        assert len(there(self.registry, self.now_s)) <= LIMITS.agents


Watched.TestCase.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
TestWatched = Watched.TestCase
