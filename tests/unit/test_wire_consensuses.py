"""m2kt.wire.consensuses: what several teachers said as messages, and back."""

import pytest
from hypothesis import given
from values import consensuses

from m2kt.consensus import Consensus, Decision, Fate
from m2kt.errors import PacketError
from m2kt.wire.consensuses import consensus_from_wire, consensus_to_wire
from m2kt.wire.v1 import verdict_pb2 as pb


@given(consensuses)
def test_a_consensus_survives_its_message(consensus):
    assert consensus_from_wire(consensus_to_wire(consensus)) == consensus


@given(consensuses)
def test_it_survives_the_bytes_of_its_message_too(consensus):
    told = consensus_to_wire(consensus).SerializeToString()
    assert consensus_from_wire(pb.Consensus.FromString(told)) == consensus


def test_ways_that_do_not_occur_are_not_sent_and_come_back_as_none():
    told = consensus_to_wire(Consensus("mean", 0, (), {Decision.TOLD: 3, Decision.ABSTAIN: 0}, ()))
    assert [its.count for its in told.decisions] == [3]
    assert consensus_from_wire(told).decisions == dict.fromkeys(Decision, 0) | {Decision.TOLD: 3}


def test_decisions_and_fates_in_code_and_protocol_are_the_same():
    for kind, codes in ((pb.Decision, Decision), (pb.Fate, Fate)):
        named = {name.partition("_")[2].lower() for name, number in kind.items() if number}
        assert named == {code.value for code in codes}


@pytest.mark.parametrize("number", [0, 99, -1])
@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("a decision", lambda n: {"decisions": [pb.DecisionCount(decision=n, count=1)]}),
        ("a decision", lambda n: {"opinions": [pb.Opinion(decision=n)]}),
        ("what became of a voter", lambda n: {"standings": [pb.Standing(fate=n)]}),
        (
            "what became of a voter",
            lambda n: {"opinions": [pb.Opinion(decision=1, voices=[pb.Voice(fate=n)])]},
        ),
    ],
)
def test_a_number_that_stands_for_nothing_is_refused(number, what, told):
    with pytest.raises(PacketError, match=f"expected {what} of 1 to .*, found {number}; speak"):
        consensus_from_wire(pb.Consensus(**told(number)))
