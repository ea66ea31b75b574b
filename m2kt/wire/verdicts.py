"""Verdicts, their figures, meters and events as messages, and back.

Each pair is a round trip. Free of torch, so a broker can use it.

Owns: what is said about a transfer.
Does not own: receipts, which are signed (cards).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Final, TypeAlias

from m2kt.consensus import Consensus
from m2kt.errors import PacketError
from m2kt.identity import TransferId
from m2kt.meter import DataMeter
from m2kt.progress import Event, TransferState
from m2kt.symptoms import Cause, Diagnosis, Symptom
from m2kt.verdict import Accepted, Evidence, Rejected, Verdict
from m2kt.wire.consensuses import consensus_from_wire, consensus_to_wire
from m2kt.wire.numbers import reason_from_wire, reason_to_wire, value_of
from m2kt.wire.v1 import packet_pb2, transfer_pb2, verdict_pb2

if TYPE_CHECKING:
    StateNumber: TypeAlias = transfer_pb2.TransferState.ValueType
else:
    StateNumber = int

_SYMPTOMS: Final = {
    number: Symptom(name.removeprefix("SYMPTOM_"))
    for name, number in verdict_pb2.Symptom.items()
    if number
}
_CAUSES: Final = {
    number: Cause(name.removeprefix("CAUSE_"))
    for name, number in verdict_pb2.Cause.items()
    if number
}
_STATES: Final = {
    number: TransferState(name.removeprefix("TRANSFER_STATE_"))
    for name, number in transfer_pb2.TransferState.items()
    if number
}


def meter_to_wire(meter: DataMeter) -> packet_pb2.DataMeter:
    """The message of a meter."""
    return packet_pb2.DataMeter(**asdict(meter))


def meter_from_wire(message: packet_pb2.DataMeter) -> DataMeter:
    """The meter of a message."""
    return DataMeter(*(getattr(message, field.name) for field in fields(DataMeter)))


def accuracy_to_wire(accuracy: Mapping[int, float]) -> list[verdict_pb2.LevelAccuracy]:
    """Accuracy by level as messages, easiest level first."""
    return [verdict_pb2.LevelAccuracy(level=k, accuracy=v) for k, v in sorted(accuracy.items())]


def accuracy_from_wire(messages: Iterable[verdict_pb2.LevelAccuracy]) -> dict[int, float]:
    """Accuracy by level."""
    return {message.level: message.accuracy for message in messages}


def figures_to_wire(figures: Mapping[str, float]) -> list[verdict_pb2.Figure]:
    """Measurements as messages, by name."""
    return [verdict_pb2.Figure(name=name, value=value) for name, value in sorted(figures.items())]


def figures_from_wire(messages: Iterable[verdict_pb2.Figure]) -> dict[str, float]:
    """Measurements by name."""
    return {message.name: message.value for message in messages}


def evidence_to_wire(evidence: Evidence) -> verdict_pb2.Evidence:
    """The message of an exam's figures."""
    return verdict_pb2.Evidence(
        before=accuracy_to_wire(evidence.before),
        after=accuracy_to_wire(evidence.after),
        gain=evidence.gain,
        p_gain=evidence.p_gain,
        p_loss=evidence.p_loss,
        items=evidence.items,
        figures=figures_to_wire(evidence.figures),
        diagnosis=[diagnosis_to_wire(its) for its in evidence.diagnosis],
    )


def evidence_from_wire(message: verdict_pb2.Evidence) -> Evidence:
    """The exam's figures of a message.

    Raises:
        PacketError: a symptom or its cause is unknown.
    """
    return Evidence(
        before=accuracy_from_wire(message.before),
        after=accuracy_from_wire(message.after),
        gain=message.gain,
        p_gain=message.p_gain,
        p_loss=message.p_loss,
        items=message.items,
        figures=figures_from_wire(message.figures),
        diagnosis=tuple(diagnosis_from_wire(its) for its in message.diagnosis),
    )


def diagnosis_to_wire(diagnosis: Diagnosis) -> verdict_pb2.Diagnosis:
    """The message of a diagnosis."""
    return verdict_pb2.Diagnosis(
        symptom=verdict_pb2.Symptom.Value(f"SYMPTOM_{diagnosis.symptom.value}"),
        cause=verdict_pb2.Cause.Value(f"CAUSE_{diagnosis.cause.value}"),
        sentence=diagnosis.sentence,
        figures=figures_to_wire(diagnosis.figures),
    )


def diagnosis_from_wire(message: verdict_pb2.Diagnosis) -> Diagnosis:
    """The diagnosis of a message.

    Raises:
        PacketError: its symptom or its cause is unknown.
    """
    return Diagnosis(
        value_of(_SYMPTOMS, message.symptom, "a symptom"),
        value_of(_CAUSES, message.cause, "a cause"),
        message.sentence,
        figures_from_wire(message.figures),
    )


def verdict_to_wire(verdict: Verdict) -> verdict_pb2.Verdict:
    """The message of a verdict."""
    if isinstance(verdict, Accepted):
        accepted = verdict_pb2.Accepted(
            evidence=evidence_to_wire(verdict.evidence), consensus=_told(verdict.consensus)
        )
        return verdict_pb2.Verdict(accepted=accepted)
    rejected = verdict_pb2.Rejected(
        reasons=[reason_to_wire(reason) for reason in verdict.reasons],
        details=verdict.details,
        evidence=None if verdict.evidence is None else evidence_to_wire(verdict.evidence),
        consensus=_told(verdict.consensus),
    )
    return verdict_pb2.Verdict(rejected=rejected)


def _told(consensus: Consensus | None) -> verdict_pb2.Consensus | None:
    return None if consensus is None else consensus_to_wire(consensus)


def verdict_from_wire(message: verdict_pb2.Verdict) -> Verdict:
    """The verdict of a message.

    Raises:
        PacketError: it is neither accepted nor rejected, or rejected without a reason.
    """
    outcome = message.WhichOneof("outcome")
    told = message.accepted if outcome == "accepted" else message.rejected
    consensus = consensus_from_wire(told.consensus) if told.HasField("consensus") else None
    if outcome == "accepted":
        return Accepted(evidence_from_wire(message.accepted.evidence), consensus)
    rejected = message.rejected
    if outcome is None or not rejected.reasons:
        raise PacketError("expected a verdict with its evidence or reasons, found none; send it")
    return Rejected(
        tuple(reason_from_wire(number) for number in rejected.reasons),
        tuple(rejected.details),
        evidence_from_wire(rejected.evidence) if rejected.HasField("evidence") else None,
        consensus,
    )


def state_to_wire(state: TransferState) -> StateNumber:
    """The number of a transfer's state."""
    return transfer_pb2.TransferState.Value(f"TRANSFER_STATE_{state.value}")


def state_from_wire(number: int) -> TransferState:
    """The transfer's state of a number.

    Raises:
        PacketError: there is no such state.
    """
    return value_of(_STATES, number, "a state of a transfer")


def event_to_wire(event: Event) -> transfer_pb2.Event:
    """The message of an event."""
    return transfer_pb2.Event(
        transfer_id=event.transfer,
        number=event.number,
        at_s=event.at_s,
        state=state_to_wire(event.state),
        message=event.message,
        figures=figures_to_wire(event.figures),
    )


def event_from_wire(message: transfer_pb2.Event) -> Event:
    """The event of a message.

    Raises:
        PacketError: its state is unknown.
    """
    return Event(
        transfer=TransferId(message.transfer_id),
        number=message.number,
        at_s=message.at_s,
        state=state_from_wire(message.state),
        message=message.message,
        figures=figures_from_wire(message.figures),
    )
