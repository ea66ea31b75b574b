"""Each symptom by its rule alone, and each by its real cause, with real small models."""

from dataclasses import replace

import pytest

from m2kt.align import align
from m2kt.cal import CALConfig
from m2kt.combine import combine
from m2kt.combine_config import CombineRules
from m2kt.diagnosis import DiagnosisRules, diagnose
from m2kt.domains.tables import modular
from m2kt.errors import RequestError
from m2kt.extract import extract_packet
from m2kt.packet import ActivationMaps, KnowledgePacket
from m2kt.probes import draw_probes
from m2kt.progress import silent
from m2kt.reasons import Reason
from m2kt.screen import ScreenRules
from m2kt.student import Student
from m2kt.symptoms import MEANINGS, Cause, Diagnosis, Symptom
from m2kt.transfer import Declined, Taught, run_transfer
from m2kt.verdict import Evidence, Exam
from m2kt.verify import Sitting, VerifyRules, verify
from m2kt.workings import Working
from tests.lessons import (
    EXTRACT,
    FAST,
    PUPIL,
    SMALL_CAL,
    TEACHER,
    authentic,
    model,
    multiplication,
    pupil,
    screened,
    taught_packet,
)
from tests.lessons import (
    RULES as TRANSFER,
)

RULES = DiagnosisRules()
ALIGNED = {
    "readout_agreement": 1.0,
    "structure_agreement": 1.0,
    "loss_geometry": 0.01,
    "concept_fidelity": 1.0,
    "lesson_truth": 1.0,
}


def exam(*parts: tuple[int, bool, Working], each: int = 20) -> Exam:
    """`each` items alike of every part: number of steps, whether it is right, its working."""
    items = [part for part in parts for _ in range(each)]
    return Exam(*(tuple(column) for column in zip(*items, strict=True)))


def told(due: int, *, said: int, true: int) -> Working:
    """Steps that recall what traces show."""
    return Working(due, written=due, true=true, told=due, as_told=said, told_true=true)


def untold(due: int, *, true: int) -> Working:
    """Steps that recall what is in C alone."""
    return Working(due, written=due, true=true)


IGNORANT = exam((1, False, Working(1)), (2, False, Working(2)))
RIGHT = exam((1, True, untold(1, true=1)), (2, True, told(2, said=2, true=2)))


def found(after: Exam, before: Exam = IGNORANT, **figures: float) -> dict[Symptom, Cause]:
    its = diagnose(before, after, ALIGNED | figures, RULES)
    for one in its:
        assert one.sentence.endswith(MEANINGS[one.cause])
        assert all(value == value for value in one.figures.values())
    return {one.symptom: one.cause for one in its}


def test_what_goes_well_has_no_symptom_whatever_figures_say():
    assert found(RIGHT) == {}
    assert found(RIGHT, readout_agreement=0.1, concept_fidelity=0.1) == {}
    assert found(RIGHT, before=RIGHT) == {}


def test_without_workings_there_is_no_diagnosis():
    bare = replace(RIGHT, workings=())
    assert diagnose(bare, replace(bare, right=(False,) * 40), ALIGNED, RULES) == ()


@pytest.mark.parametrize(
    ("figures", "cause"),
    [
        ({"readout_agreement": 0.5}, Cause.LITTLE_CAPACITY),
        ({"readout_agreement": 0.5, "concept_fidelity": 0.3}, Cause.WRONG_LAYER),
        ({"concept_fidelity": 0.3}, Cause.WRONG_LAYER),
        ({"readout_agreement": 0.5, "lesson_truth": 0.4}, Cause.FALSE_LESSON),
        ({}, Cause.FEW_FACTS),
    ],
)
def test_a_geometry_that_says_nothing_is_told_apart_by_what_was_sent(figures, cause):
    after = exam((1, False, untold(1, true=0)), (2, True, told(2, said=2, true=2)))
    assert found(after, **figures) == {Symptom.GEOMETRY_PLATEAU: cause}


def test_where_concepts_are_no_facts_nothing_is_said_of_a_layer():
    after = exam((1, False, untold(1, true=0)), (2, True, told(2, said=2, true=2)))
    figures = {name: ALIGNED[name] for name in ("readout_agreement", "structure_agreement")}
    [its] = diagnose(IGNORANT, after, figures, RULES)
    assert its.cause is Cause.FEW_FACTS
    assert "concept_fidelity" not in its.figures
    assert its.figures["shown_right"] == 1.0
    assert its.figures["others_right"] == 0.0


def test_a_memory_that_is_right_beside_answers_that_are_wrong_was_not_rehearsed():
    silent = exam((1, False, Working(1)), (2, False, Working(2)))
    assert found(silent) == {Symptom.STRUCTURE_WITHOUT_REASONING: Cause.UNREHEARSED}
    assert found(silent, structure_agreement=0.2) == {}


def test_a_student_that_says_what_it_was_told_has_reasoned():
    deceived = exam((1, False, untold(1, true=0)), (2, False, told(2, said=2, true=0)))
    assert found(deceived) == {}


@pytest.mark.parametrize(("truth", "cause"), [(0.2, Cause.FALSE_LESSON), (1.0, Cause.OVERWRITTEN)])
def test_what_was_right_and_is_wrong_is_lost_and_the_lesson_may_be_false(truth, cause):
    after = exam((1, True, untold(1, true=1)), (2, False, told(2, said=2, true=0)))
    assert found(after, before=RIGHT, lesson_truth=truth)[Symptom.SKILL_LOST] is cause


def test_a_loss_at_one_level_shows_beside_a_gain_at_another():
    before = exam((1, True, untold(1, true=1)), (2, False, Working(2)))
    after = exam((1, False, Working(1)), (2, True, told(2, said=2, true=2)))
    [its] = (
        its for its in diagnose(before, after, ALIGNED, RULES) if its.symptom is Symptom.SKILL_LOST
    )
    assert its.sentence.startswith("of 20 answers of level 1 that were right before, 20 are wrong")
    assert its.figures["p_loss"] < 0.01


@pytest.mark.parametrize(
    ("longer", "cause"),
    [
        (untold(4, true=2), Cause.FACTS_LOST),
        (Working(4), Cause.NOT_FOLLOWED),
        (untold(4, true=4), Cause.NOT_FOLLOWED),
        (Working(4, written=2, true=2), Cause.NOT_FOLLOWED),
    ],
)
def test_chains_that_are_wrong_though_their_facts_are_right(longer, cause):
    after = exam((1, True, untold(1, true=1)), (4, False, longer))
    assert found(after) == {Symptom.CHAINS_WRONG: cause}


def test_chains_no_worse_than_their_facts_show_nothing():
    """Of chains of four 0.66 is what facts lead to of which 0.9 are right."""
    single = [(1, n % 10 > 0, untold(1, true=int(n % 10 > 0))) for n in range(20)]
    chains = [(4, n % 3 > 0, untold(4, true=4 if n % 3 else 2)) for n in range(20)]
    after = exam(*single, *chains, each=1)
    assert 0.7 < after.mean < 0.9
    assert found(after) == {}


def test_too_few_items_show_nothing():
    after = exam((1, True, untold(1, true=1)), (4, False, untold(4, true=2)), each=5)
    assert found(after, before=exam((1, False, Working(1)), (4, False, Working(4)), each=5)) == {}


def packet_of(name: str = "mod7-mul", **extract: object) -> KnowledgePacket:
    return extract_packet(
        model(name), multiplication(), replace(EXTRACT, **extract), agent=TEACHER, now_s=1.0
    )


def transferred(packet: KnowledgePacket, student: Student, rules=TRANSFER, **align_as: object):
    its = replace(rules, align=replace(rules.align, **align_as))
    return run_transfer(student, [authentic(packet)], multiplication(), its, silent)


def seen(evidence: Evidence | None) -> tuple[Symptom, Cause, Diagnosis]:
    """The only symptom of a lesson."""
    assert evidence is not None
    [its] = evidence.diagnosis
    return its.symptom, its.cause, its


def reader() -> Student:
    """A student that recognises concepts early, and learns at once."""
    return Student(PUPIL, model("symbols-student"))


@pytest.fixture(scope="module")
def taught() -> Taught:
    """A lesson of which everything is learnt."""
    outcome = transferred(taught_packet(), reader(), cal=CALConfig())
    assert isinstance(outcome, Taught), outcome.verdict
    return outcome


def test_a_lesson_that_is_learnt_has_no_symptom(taught):
    evidence = taught.verdict.evidence
    assert min(evidence.after.values()) > 0.9
    assert evidence.figures["concept_fidelity"] == 1.0
    assert evidence.figures["structure_agreement"] > 0.9
    assert evidence.diagnosis == ()


def test_concepts_read_at_the_wrong_layer_are_told_from_a_projection_without_capacity():
    early = transferred(packet_of(reveal=0.2, layer=2), pupil(), steps=30)
    symptom, cause, its = seen(early.verdict.evidence)
    assert (symptom, cause) == (Symptom.GEOMETRY_PLATEAU, Cause.WRONG_LAYER)
    assert its.figures["shown_right"] > its.figures["others_right"] + 0.2

    narrow = replace(SMALL_CAL, projection="low_rank", projection_width=1)
    outcome = transferred(packet_of(reveal=0.3), pupil(), cal=narrow, steps=20)
    symptom, cause, its = seen(outcome.verdict.evidence)
    assert (symptom, cause) == (Symptom.GEOMETRY_PLATEAU, Cause.LITTLE_CAPACITY)
    assert its.figures["readout_agreement"] < 0.9
    assert its.figures["concept_fidelity"] == 1.0
    assert its.figures["loss_geometry"] > 0.5


def test_a_student_that_never_rehearses_finds_what_is_due_and_does_not_write_it():
    outcome = transferred(taught_packet(), reader(), cal=CALConfig(), steps=0)
    assert isinstance(outcome, Declined)
    symptom, cause, its = seen(outcome.verdict.evidence)
    assert (symptom, cause) == (Symptom.STRUCTURE_WITHOUT_REASONING, Cause.UNREHEARSED)
    assert "finds the concept that is due in 1.00" in its.sentence


@pytest.mark.timeout(300)
def test_a_false_lesson_takes_what_a_student_knew(taught):
    student = replace(reader(), cal=taught.candidate.cal)
    unchecked = replace(TRANSFER, screen=ScreenRules(check_traces=False))
    false = packet_of("mod7-flipped")
    outcome = transferred(false, student, unchecked, cal=CALConfig(), steps=30)
    assert isinstance(outcome, Declined)
    assert outcome.verdict.reasons == (Reason.REGRESSION,)
    symptom, cause, its = seen(outcome.verdict.evidence)
    assert (symptom, cause) == (Symptom.SKILL_LOST, Cause.FALSE_LESSON)
    assert its.figures["lesson_truth"] < 0.1
    assert its.figures["lost"] > 0.8 * its.figures["right_before"] > 0


def test_who_rehearses_single_facts_alone_does_not_put_them_in_chains():
    short, packet = modular(7, "*", longest=1), taught_packet()
    rows = [n for n, its in enumerate(packet.traces) if len(its.steps) == 1]
    starts = [sum(len(its.steps) for its in packet.traces[:n]) for n in rows]
    single = replace(
        packet,
        traces=tuple(packet.traces[n] for n in rows),
        maps=ActivationMaps(packet.maps.indices[starts], packet.maps.weights[starts]),
    )
    lesson = combine([screened(single)], CombineRules())
    candidate = align(reader(), lesson, short, replace(FAST, cal=CALConfig()), silent)
    asked = [trace.question for trace in lesson.traces]
    probes = draw_probes(multiplication(), seed=1, per_level=12, exclude=asked)
    sitting = Sitting(reader(), multiplication(), probes, lesson)
    symptom, cause, its = seen(verify(sitting, candidate, VerifyRules(), silent).evidence)
    assert (symptom, cause) == (Symptom.CHAINS_WRONG, Cause.NOT_FOLLOWED)
    assert its.figures["facts_right"] > 0.9 > its.figures["chains_right"]


@pytest.mark.parametrize("wrong", [{"fewest": 0}, {"good": 1.5}, {"gap": float("nan")}])
def test_rules_that_cannot_be_are_refused(wrong):
    with pytest.raises(RequestError, match="from 0 to 1"):
        DiagnosisRules(**wrong)
