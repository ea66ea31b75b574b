"""Threat: somebody registers an agent with a card that it signed once and has replaced since."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from m2kt.errors import FuturePacketError, StalePacketError
from m2kt.identity import AgentCard, AgentId
from m2kt.registry import RegistryChange
from m2kt.wire import cards
from m2kt_agents.broker_client import BrokerClient
from tests.simulator import DOMAIN, TEACHER, HostileTeacher, Town

BROKER = {"role": "broker"}


class Clock:
    ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@pytest.fixture
async def town(tmp_path: Path):
    async with Town(tmp_path) as town:
        yield town


def card_at(teacher: HostileTeacher, address: str, issued_at_s: float) -> AgentCard:
    return replace(teacher.card, address=address, issued_at_s=issued_at_s)


async def test_over_grpc_an_old_card_is_refused_while_a_newer_one_is_known_and_after(town: Town):
    clock, now_s = Clock(), time.time()
    broker = await town.start("broker", BROKER, clock=clock)
    teacher = HostileTeacher(AgentId("teacher"), town.signer("teacher"))
    old = card_at(teacher, "old.example:1", now_s - 60)
    new = card_at(teacher, "new.example:1", now_s - 30)
    async with BrokerClient(broker.address) as client:
        for card in (old, new):
            signed = cards.sign_card(card, teacher.signer)
            await client.register(signed, lease_s=10, timeout_s=5)
        captured = cards.sign_card(old, teacher.signer)
        with pytest.raises(StalePacketError, match="older"):
            await client.register(captured, lease_s=10, timeout_s=5)
        assert await client.find_teachers(DOMAIN, timeout_s=5) == (new,)
        clock.ahead_s = 20
        assert await client.find_teachers(DOMAIN, timeout_s=5) == ()
        with pytest.raises(StalePacketError):
            await client.register(captured, lease_s=10, timeout_s=5)
        assert await client.find_teachers(DOMAIN, timeout_s=5) == ()


async def test_over_grpc_a_card_from_the_future_is_refused(town: Town):
    broker = await town.start("broker", BROKER)
    teacher = HostileTeacher(AgentId("teacher"), town.signer("teacher"))
    card = card_at(teacher, "", time.time() + 3600)
    async with BrokerClient(broker.address) as client:
        with pytest.raises(FuturePacketError):
            await client.register(cards.sign_card(card, teacher.signer), lease_s=10, timeout_s=5)
        assert await client.find_teachers(DOMAIN, timeout_s=5) == ()


async def test_a_real_teacher_says_when_it_signed_and_signs_anew_when_it_comes_back(town: Town):
    clock = Clock()
    broker = await town.start("broker", BROKER, clock=clock)
    table = {**TEACHER, "broker": broker.address, "limits": {"lease_s": 1.0}}
    before_s = time.time()
    teacher = await town.start("teacher", table)
    await teacher.membership.registered.wait()
    async with BrokerClient(broker.address) as client:
        [first] = await client.find_teachers(DOMAIN, timeout_s=5)
        assert before_s <= first.issued_at_s <= time.time()
        clock.ahead_s = 20  # the broker forgets it
        assert await client.find_teachers(DOMAIN, timeout_s=5) == ()
        async for news in client.watch_registry(timeout_s=20):
            if news.change is RegistryChange.REGISTERED:
                break
        [again] = await client.find_teachers(DOMAIN, timeout_s=5)
    assert again.issued_at_s > first.issued_at_s
