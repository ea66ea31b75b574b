from dataclasses import replace

import torch

from m2kt.consensus import Fate
from m2kt.identity import AgentId
from m2kt.progress import TransferState, silent
from m2kt.reasons import Reason
from m2kt.symptoms import Cause, Symptom
from m2kt.tensors import digest_state
from m2kt.transfer import Declined, Taught, run_transfer
from tests.lessons import (
    EXTRACT,
    RULES,
    TEACHER,
    authentic,
    model,
    multiplication,
    pupil,
    taught_packet,
)


def test_a_pupil_learns_from_another_family_and_keeps_what_the_exam_confirms():
    student, heard = pupil(), []
    before = digest_state(student.language_model.model.state_dict())
    outcome = run_transfer(
        student,
        [authentic(taught_packet())],
        multiplication(),
        RULES,
        heard.append,
    )
    assert isinstance(outcome, Taught), outcome.verdict
    evidence = outcome.verdict.evidence
    assert evidence.gain > 0.3
    [its] = evidence.diagnosis  # it rehearses for as short a time as a test has
    assert (its.symptom, its.cause) == (Symptom.CHAINS_WRONG, Cause.FACTS_LOST)
    assert its.figures["facts_right"] > 0.9 > its.figures["chain_steps_right"]
    assert outcome.candidate.lineage == ("p",)
    assert (outcome.candidate.meter.labels, outcome.candidate.meter.logits) == (0, 0)
    assert outcome.candidate.meter.bytes == 1000
    states = [news.state for news in heard if news.state]
    assert states == [TransferState.SCREENED, TransferState.ALIGNING, TransferState.VERIFYING]
    assert digest_state(student.language_model.model.state_dict()) == before


def test_a_packet_of_flipped_answers_is_declined_before_training():
    from m2kt.extract import extract_packet

    packet = extract_packet(
        model("mod7-flipped"), multiplication(), EXTRACT, agent=TEACHER, now_s=1.0
    )
    outcome = run_transfer(
        pupil(),
        [authentic(packet)],
        multiplication(),
        RULES,
        silent,
    )
    assert isinstance(outcome, Declined)
    assert outcome.verdict.reasons == (Reason.TRACE_REFUTED,)
    assert outcome.probe_items == 0


def test_of_several_packets_it_is_said_whose_was_refused():
    good = taught_packet()
    bad = replace(good, means=torch.full_like(good.means, torch.nan))
    liar = replace(authentic(bad, "bad"), teacher=AgentId("liar"))
    for packets, others in (([liar], ()), ([authentic(good, "good"), liar], (TEACHER,))):
        rules = replace(RULES, align=replace(RULES.align, learning_rate=float("inf")))
        outcome = run_transfer(pupil(), packets, multiplication(), rules, silent)
        assert isinstance(outcome, Declined)
        assert outcome.verdict.consensus is not None
        fates = {its.teachers: its.fate for its in outcome.verdict.consensus.standings}
        assert fates.pop(("liar",)) is Fate.REFUSED
        [no] = [its for its in outcome.verdict.consensus.standings if its.fate is Fate.REFUSED]
        assert Reason.NOT_FINITE in no.reasons
        assert fates == {(name,): Fate.USED for name in others}


def test_a_lesson_that_teaches_nothing_is_declined_by_the_exam():
    rules = replace(RULES, align=replace(RULES.align, steps=1, readout_steps=1))
    outcome = run_transfer(
        pupil(),
        [authentic(taught_packet())],
        multiplication(),
        rules,
        silent,
    )
    assert isinstance(outcome, Declined)
    assert outcome.verdict.reasons[0] in {Reason.NO_GAIN, Reason.UNDECIDED, Reason.REGRESSION}
    assert outcome.verdict.evidence is not None


def test_training_that_does_not_stay_finite_is_a_verdict_not_a_crash():
    align = replace(RULES.align, learning_rate=float("inf"), readout_steps=3)
    outcome = run_transfer(
        pupil(),
        [authentic(taught_packet())],
        multiplication(),
        replace(RULES, align=align),
        silent,
    )
    assert isinstance(outcome, Declined)
    assert outcome.verdict.reasons == (Reason.DIVERGED,)


def test_concepts_near_an_unsafe_phrase_are_audited():
    rules = replace(
        RULES,
        align=replace(RULES.align, steps=1, readout_steps=1),
        verify=replace(RULES.verify, unsafe_phrases=("3*5=", "2*2="), unsafe_limit=-1.0),
    )
    outcome = run_transfer(
        pupil(),
        [authentic(taught_packet())],
        multiplication(),
        rules,
        silent,
    )
    assert isinstance(outcome, Declined)
    assert outcome.verdict.reasons == (Reason.UNSAFE_DIRECTION,)
    assert torch.isfinite(torch.tensor(outcome.meter.bytes))
