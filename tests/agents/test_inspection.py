"""What a person is shown of a packet: attention heads that were tested, facts of a concept."""

import json
from dataclasses import asdict, replace

import pytest
from rich.console import Console

from m2kt.domain import ConceptSpec
from m2kt.tested_heads import TestedHead
from m2kt_agents import console
from m2kt_agents.console import plain
from m2kt_agents.inspection import MEMBERS, opened, show
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


def with_found(members):
    """A packet whose first concept was found by its teacher, and is made of `members`."""
    packet = tiny_packet()
    first = ConceptSpec("arith.mod7/found0", "found", "1+2=", tuple(members))
    packet = sealed(replace(packet, concepts=(first, *packet.concepts[1:])))
    return opened(packet.envelope, packet.encoded.payload)


def test_the_facts_that_a_found_concept_is_made_of_are_told_as_data():
    members = ["arith.mod7/1+2", "arith.mod7/3+0"]
    concepts = json.loads(json.dumps(plain(with_found(members))))["concepts"]
    assert [its["members"] for its in concepts] == [members, *[[]] * 7]


def test_a_person_sees_a_few_facts_of_a_found_concept(capsys, monkeypatch):
    monkeypatch.setattr(console, "out", Console(width=240))
    show(with_found([f"arith.mod7/{a}+1" for a in range(MEMBERS)]), concepts=8, traces=0)
    out = capsys.readouterr().out
    assert "made of" in out
    assert "0+1, 1+1, 2+1, 3+1, 4+1, 5+1 " in out
    show(with_found([f"arith.mod7/{a}+{b}" for a in "12" for b in "0123456"]), concepts=8, traces=0)
    assert "1+0, 1+1, 1+2, 1+3, 1+4, 1+5 and 8 more" in capsys.readouterr().out


def test_of_named_concepts_no_facts_are_shown(capsys):
    show(found(), concepts=8, traces=0)
    assert "made of" not in capsys.readouterr().out
