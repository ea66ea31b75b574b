"""What a person is shown of a packet: attention heads that were tested."""

import json
from dataclasses import asdict, replace

import pytest

from m2kt.tested_heads import TestedHead
from m2kt_agents.console import plain
from m2kt_agents.inspection import opened, show
from tests.packets import tiny_packet
from tests.sealing import sealed

HEADS = (TestedHead(3, 1, 0.412, 0.005, 1.0), TestedHead(2, 0, 0.031, 0.25, 0.0))


def found(heads=HEADS):
    packet = sealed(replace(tiny_packet(), heads=heads))
    return opened(packet.envelope, packet.encoded.payload)


def test_tested_heads_are_told_as_data():
    told = json.loads(json.dumps(plain(found())))
    assert told["heads"] == [asdict(head) for head in HEADS]


def test_a_person_sees_which_heads_passed(capsys: pytest.CaptureFixture[str]):
    show(found(), concepts=1, traces=1)
    out = capsys.readouterr().out
    assert "1 of 2 passed" in out
    assert "0.412" in out
    assert "0.25" in out


def test_of_a_packet_whose_heads_nobody_tested_no_heads_are_shown(
    capsys: pytest.CaptureFixture[str],
):
    show(found(()), concepts=1, traces=1)
    assert "heads tested" not in capsys.readouterr().out
