"""m2kt.wire.verdicts: verdicts, meters and events as messages, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packets import meters
from values import consensuses, events, evidences, verdicts

from m2kt import symptoms
from m2kt.errors import PacketError
from m2kt.progress import TransferState
from m2kt.reasons import SENTENCES, Reason
from m2kt.symptoms import Cause, Symptom
from m2kt.verdict import Accepted, Rejected
from m2kt.wire import verdicts as wire
from m2kt.wire.v1 import transfer_pb2, verdict_pb2


@given(meters)
def test_a_meter_survives_its_message(meter):
    assert wire.meter_from_wire(wire.meter_to_wire(meter)) == meter


@given(evidences)
def test_evidence_survives_its_message(evidence):
    assert wire.evidence_from_wire(wire.evidence_to_wire(evidence)) == evidence


@given(verdicts)
def test_a_verdict_survives_its_message(verdict):
    assert wire.verdict_from_wire(wire.verdict_to_wire(verdict)) == verdict


@given(evidences, consensuses)
def test_a_verdict_with_and_without_what_teachers_said_survives_its_message(evidence, consensus):
    rejected = Rejected((Reason.CONFLICT,), (), None, consensus)
    for verdict in (Accepted(evidence), Accepted(evidence, consensus), rejected):
        message = wire.verdict_to_wire(verdict)
        assert wire.verdict_from_wire(message) == verdict
        told = message.rejected if verdict is rejected else message.accepted
        assert told.HasField("consensus") == (verdict.consensus is not None)


def test_a_consensus_that_nobody_understands_is_refused_with_its_verdict():
    told = verdict_pb2.Consensus(decisions=[verdict_pb2.DecisionCount(decision=99, count=1)])
    accepted = verdict_pb2.Accepted(evidence=verdict_pb2.Evidence(items=1), consensus=told)
    with pytest.raises(PacketError, match="a decision"):
        wire.verdict_from_wire(verdict_pb2.Verdict(accepted=accepted))


@given(events)
def test_an_event_survives_its_message(event):
    assert wire.event_from_wire(wire.event_to_wire(event)) == event


@given(st.dictionaries(st.integers(-5, 5), st.floats(0, 1)))
def test_accuracy_by_level_survives_and_is_ordered(accuracy):
    messages = wire.accuracy_to_wire(accuracy)
    assert [message.level for message in messages] == sorted(accuracy)
    assert wire.accuracy_from_wire(messages) == accuracy


def test_reasons_in_code_and_protocol_are_the_same():
    named = {name.removeprefix("REASON_") for name, number in verdict_pb2.Reason.items() if number}
    assert named == {reason.value for reason in Reason}


def test_the_protocol_says_each_reason_in_the_words_of_the_code(pytestconfig):
    proto = (pytestconfig.rootpath / "proto/m2kt/wire/v1/verdict.proto").read_text()
    for reason, sentence in SENTENCES.items():
        assert f'  // "{sentence}"\n  REASON_{reason.value} = ' in proto


def test_symptoms_and_causes_in_code_and_protocol_are_the_same(pytestconfig):
    for kind, codes in ((verdict_pb2.Symptom, Symptom), (verdict_pb2.Cause, Cause)):
        named = {name.partition("_")[2] for name, number in kind.items() if number}
        assert named == {code.value for code in codes}
    proto = (pytestconfig.rootpath / "proto/m2kt/wire/v1/verdict.proto").read_text()
    for symptom, sentence in symptoms.SENTENCES.items():
        assert f'  // "{sentence}"\n  SYMPTOM_{symptom.value} = ' in proto


@pytest.mark.parametrize("unknown", [{"symptom": 0, "cause": 1}, {"symptom": 1, "cause": 99}])
def test_a_diagnosis_that_nobody_knows_is_refused(unknown):
    with pytest.raises(PacketError, match="speak the same version"):
        wire.diagnosis_from_wire(verdict_pb2.Diagnosis(**unknown))


def test_evidence_of_a_peer_that_makes_no_diagnosis_has_none():
    assert wire.evidence_from_wire(verdict_pb2.Evidence(items=3)).diagnosis == ()


def test_states_in_code_and_protocol_are_the_same():
    numbers = {number for _, number in transfer_pb2.TransferState.items() if number}
    assert {wire.state_to_wire(state) for state in TransferState} == numbers
    assert all(wire.state_from_wire(wire.state_to_wire(s)) is s for s in TransferState)


@pytest.mark.parametrize("number", [0, 99, -1])
def test_a_number_that_stands_for_nothing_is_refused(number):
    with pytest.raises(PacketError, match="a state"):
        wire.state_from_wire(number)


@pytest.mark.parametrize("rejected", [None, verdict_pb2.Rejected()])
def test_a_verdict_that_says_nothing_is_refused(rejected):
    with pytest.raises(PacketError, match="expected a verdict"):
        wire.verdict_from_wire(verdict_pb2.Verdict(rejected=rejected))
