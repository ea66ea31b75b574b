"""Workers without a model: a lesson of theirs is over at once, with the end that is wanted."""

import threading

import torch

from m2kt.identity import ModelCard
from m2kt.meter import DataMeter
from m2kt.progress import Progress, Report, TransferState
from m2kt.reasons import Reason
from m2kt.transfer import Declined
from m2kt.verdict import Accepted, Evidence, Rejected
from m2kt_agents.learner import Assignment, Learnt


class Stubborn:
    """Declines everything, and remembers what it was asked to learn."""

    def __init__(self) -> None:
        self.assignments: list[Assignment] = []

    def card(self) -> ModelCard:
        return ModelCard(family="x", hidden_size=1, layers=1, parameters=1, weights_digest="")

    def learn(self, assignment: Assignment, report: Report) -> Declined:
        self.assignments.append(assignment)
        return Declined(Rejected((Reason.NO_GAIN,)), DataMeter())


class Eager(Stubborn):
    """Accepts everything, when it is let go."""

    def __init__(self, go_on: threading.Event) -> None:
        super().__init__()
        self.go_on = go_on

    def learn(self, assignment: Assignment, report: Report) -> Declined | Learnt:
        self.assignments.append(assignment)
        for state in (TransferState.SCREENED, TransferState.ALIGNING, TransferState.VERIFYING):
            report(Progress(state, {}, state))
        assert self.go_on.wait(20)
        evidence = Evidence(before={}, after={}, gain=1.0, p_gain=0.0, p_loss=1.0, items=1)
        return Learnt(
            tensors={"w": torch.ones(1)},
            header={},
            lineage=tuple(payload.packet_id for payload in assignment.payloads),
            signers=tuple(key for payload in assignment.payloads for key in payload.signers),
            verdict=Accepted(evidence),
            meter=DataMeter(),
            probe_items=1,
        )
