"""m2kt.wire.description: what a packet says in words, and how much it may say."""

from dataclasses import replace

import pytest
from hypothesis import given
from packets import equal, packets, tiny_packet

from m2kt.errors import OversizeError, PacketError
from m2kt.tested_heads import TestedHead
from m2kt.wire.description import description_from, description_of, require_modest
from m2kt.wire.manifest import WireLimits


@given(packets())
def test_words_survive_their_message(packet):
    again = description_from(
        description_of(packet), means=packet.means, exemplars=packet.exemplars, maps=packet.maps
    )
    assert equal(again, packet)


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("concepts", "7 concepts, found 8"),
        ("traces", "5 traces, found 6"),
        ("symbols", "6 symbols, found 7"),
        ("steps", "at most 1 operands of a step, found 2"),
        ("all_steps", "at most 5 steps, found 6"),
        ("string_bytes", "bytes of a text"),
    ],
)
def test_every_count_and_text_has_a_limit(limit, message):
    described = description_of(tiny_packet())
    tight = {
        "concepts": 7,
        "traces": 5,
        "symbols": 6,
        "steps": 1,
        "all_steps": 5,
        "string_bytes": 66,
    }[limit]
    require_modest(described, WireLimits())
    with pytest.raises(OversizeError, match=message):
        require_modest(described, replace(WireLimits(), **{limit: tight}))


def test_tested_heads_have_a_limit_too():
    packet = tiny_packet(concepts=2)
    heads = tuple(TestedHead(0, number, 0.1, 0.5, 0.0) for number in range(3))
    described = description_of(replace(packet, heads=heads))
    require_modest(described, replace(WireLimits(), concepts=3))
    with pytest.raises(OversizeError, match="at most 2 tested heads, found 3"):
        require_modest(described, replace(WireLimits(), concepts=2))


def test_every_text_is_measured_in_bytes_not_characters():
    packet = tiny_packet()
    described = description_of(packet)
    described.provenance.genre = "ä" * 51
    require_modest(described, WireLimits(string_bytes=102))
    with pytest.raises(OversizeError, match="found 102"):
        require_modest(described, WireLimits(string_bytes=101))


def test_a_trace_without_steps_is_refused():
    packet = tiny_packet(traces=1)
    described = description_of(packet)
    del described.traces[0].steps[:]
    with pytest.raises(PacketError, match="with steps"):
        description_from(
            described, means=packet.means, exemplars=packet.exemplars, maps=packet.maps
        )
