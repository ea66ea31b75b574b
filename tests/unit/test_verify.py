from dataclasses import replace

from m2kt import domains
from m2kt.align import align
from m2kt.probes import draw_probes
from m2kt.progress import silent
from m2kt.verify import VerifyRules, audit, examine
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
