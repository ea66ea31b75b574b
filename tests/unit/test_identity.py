"""m2kt.identity: names, model cards, agent cards."""

import pytest
from hypothesis import given
from packets import names, signer

from m2kt.errors import PacketError
from m2kt.identity import AgentCard, AgentId, KeyId, ModelCard, Role, agent_id


def card(**changes) -> AgentCard:
    fields = {
        "agent": AgentId("teacher-a"),
        "role": Role.TEACHER,
        "address": "127.0.0.1:1",
        "key_id": signer().key_id,
        "public_key": signer().public_key,
        "domains": (),
        "model": None,
        "software": "m2kt",
    }
    return AgentCard(**{**fields, **changes})


@given(names)
def test_a_name_of_the_pattern_is_a_name(name):
    assert agent_id(name) == name


@pytest.mark.parametrize("text", ["", "A", "-a", "a-", "a b", "a\n", "../a", "a" * 65, "ä"])
def test_other_texts_are_no_names(text):
    with pytest.raises(PacketError, match="rename the agent"):
        agent_id(text)


def test_a_name_of_64_characters_is_the_longest():
    assert agent_id("a" * 64)


def test_a_card_of_a_well_named_agent_stands():
    assert card().role is Role.TEACHER


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"agent": AgentId("No")}, "agent id"),
        ({"key_id": KeyId("rsa:00")}, "key id"),
        ({"public_key": bytes(31)}, "found 31"),
        ({"issued_at_s": -1.0}, "time of issue"),
        ({"issued_at_s": float("nan")}, "time of issue"),
        ({"issued_at_s": float("inf")}, "time of issue"),
    ],
)
def test_a_card_with_a_malformed_field_is_refused(changes, message):
    with pytest.raises(PacketError, match=message):
        card(**changes)


@pytest.mark.parametrize("field", ["hidden_size", "layers", "parameters"])
def test_a_model_has_positive_sizes(field):
    sizes = {"hidden_size": 8, "layers": 2, "parameters": 100, field: 0}
    with pytest.raises(PacketError, match=f"{field}=0"):
        ModelCard(family="gpt2", weights_digest="", **sizes)
