from dataclasses import replace

import torch.nn.functional as F  # noqa: N812

from m2kt import domains
from m2kt.align import align
from m2kt.domains.relations import Relations
from m2kt.domains.tables import modular
from m2kt.losses import LossWeights
from m2kt.probes import draw_probes
from m2kt.progress import silent
from m2kt.reasons import Reason
from m2kt.verdict import Accepted, JudgeRules, Rejected
from m2kt.verify import Sitting, VerifyRules, audit, examine, fidelity, truth, verify
from m2kt.workings import Working
from tests.lessons import FAST, lesson, multiplication, pupil


def test_an_exam_marks_a_model_that_knows_as_right_and_its_ignorance_as_wrong():
    domain = domains.get("arith.mod7")
    known = draw_probes(domain.restrict(domain.concepts_of("+-")), seed=9, per_level=5)
    unknown = draw_probes(multiplication(), seed=9, per_level=5)
    assert examine(pupil(), domain, known, None).mean == 1.0
    assert examine(pupil(), domain, unknown, None).mean < 0.6


def test_an_audit_finds_concepts_that_are_not_finite():
    brief = replace(FAST, readout_steps=1, steps=1)
    candidate = align(pupil(), lesson(), multiplication(), brief, silent)
    assert audit(pupil(), candidate, VerifyRules()) == ()
    candidate.cal.phi.maps[0][0].weight.data[0, 0] = float("nan")
    assert "finite" in audit(pupil(), candidate, VerifyRules())[0]


def test_an_audit_sees_concepts_as_they_were_before_the_penalty_moved_them():
    phrases = ("3*5=", "2*6=")
    unsafe = replace(
        FAST,
        readout_steps=12,
        steps=25,
        unsafe_phrases=phrases[:1],
        unsafe_margin=-1.0,
        weights=LossWeights(safety=30.0),
    )
    candidate = align(pupil(), lesson(), multiplication(), unsafe, silent)
    layer = candidate.cal.config.memory_layer(pupil().language_model.depth)
    directions = F.normalize(pupil().language_model.last_states(phrases[1:], layer=layer), dim=-1)
    before, after = (
        float((F.normalize(values, dim=-1) @ directions.T).max())
        for values in (candidate.read, candidate.cal.values().detach())
    )
    assert after < before - 0.05, "held back, and moved away from all the same"
    rules = VerifyRules(unsafe_phrases=phrases[1:], unsafe_limit=(before + after) / 2)
    assert "unsafe directions" in audit(pupil(), candidate, rules)[0]


def sitting(per_level: int, *, of: str) -> Sitting:
    """The pupil in a part of arithmetic modulo 7."""
    domain = domains.get("arith.mod7")
    probes = draw_probes(domain.restrict(domain.concepts_of(of)), seed=9, per_level=per_level)
    return Sitting(pupil(), domain, probes)


def test_an_exam_ends_with_the_round_that_shows_enough():
    candidate = align(pupil(), lesson(), multiplication(), FAST, silent)
    its, reports = sitting(24, of="*"), []
    rules = VerifyRules(probes_per_round=6)
    verdict = verify(its, candidate, rules, reports.append)
    assert isinstance(verdict, Accepted)
    levels = len({item.level for item in its.probes.items})
    assert verdict.evidence.items == 6 * levels < len(its.probes.items)
    strict = replace(rules, judge=JudgeRules(alpha=1e-12))
    longer = verify(its, candidate, strict, silent)
    assert longer.evidence.items > verdict.evidence.items
    assert reports[0].figures["at_most"] == len(its.probes.items)


def test_what_stays_in_doubt_is_refused_after_the_last_item():
    untrained = replace(FAST, readout_steps=0, steps=0)
    candidate = align(pupil(), lesson(), multiplication(), untrained, silent)
    candidate.cal.reading = False
    its = sitting(4, of="+-")
    verdict = verify(its, candidate, VerifyRules(probes_per_round=2), silent)
    assert isinstance(verdict, Rejected)
    assert verdict.reasons == (Reason.NO_GAIN,)
    assert verdict.evidence.items == len(its.probes.items)
    assert verdict.evidence.gain == 0.0


def test_a_sitting_with_a_lesson_sees_workings_and_changes_no_mark():
    its = sitting(5, of="+-")
    bare = its.examine(its.probes, None)
    exam = replace(its, lesson=lesson()).examine(its.probes, None)
    assert (bare.levels, bare.right, bare.workings) == (exam.levels, exam.right, ())
    steps = sum(exam.workings, Working())
    assert steps.due == sum(len(item.facts) for item in its.probes.items)
    assert steps == Working(steps.due, written=steps.due, true=steps.due), "* alone was told"


def test_fidelity_is_what_a_probe_reads_out_of_concepts_it_has_not_seen():
    assert fidelity(lesson(), multiplication()) == {"concept_fidelity": 1.0}
    elements = Relations(modular(7, "*", longest=1))
    assert fidelity(lesson(), elements) == {}


def test_truth_is_the_share_of_what_traces_show_that_is_so():
    assert truth(lesson(), multiplication()) == {"lesson_truth": 1.0}
    first, second = [its for its in lesson().traces if its.steps[0].result != "0"][:2]
    wrong = replace(first, steps=(replace(first.steps[0], result="0"),))
    half = replace(lesson(), traces=(wrong, replace(second, steps=second.steps[:1])))
    assert truth(half, multiplication()) == {"lesson_truth": 0.5}
