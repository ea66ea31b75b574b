"""Each contender really trains, on what it should, and leaves the frozen model as it was."""

from dataclasses import replace

import pytest
import torch

from m2kt import domains
from m2kt.align import align
from m2kt.bench import contenders
from m2kt.bench.contenders import CONTENDERS, OURS, drawn
from m2kt.bench.course import DOMAIN, load_student
from m2kt.bench.watch import READOUT, REHEARSAL, Goal, Watch
from m2kt.cal import ConceptAlignmentLayer
from m2kt.progress import silent
from m2kt.student import Student
from m2kt.tensors import digest_state
from tests.courses import ALIGN, PUPIL, course, lesson

OTHERS = sorted(set(CONTENDERS) - {OURS})


def unexamined() -> Watch:
    return Watch(lambda: 0.0, every=1000)


def weights_of(student: Student) -> dict:
    """The model's own weights, whatever was wrapped around them."""
    named = student.language_model.model.state_dict()
    return {n.replace(".base_layer", ""): t for n, t in named.items() if "lora" not in n}


@pytest.mark.parametrize("name", sorted(CONTENDERS))
def test_a_contender_notes_every_step_and_writes_no_frozen_weight(name):
    student, watch = load_student(PUPIL), unexamined()
    before = digest_state(weights_of(student))
    CONTENDERS[name](course(), student, watch)
    assert watch.steps(REHEARSAL) == 4
    assert watch.steps(READOUT) == (4 if name == OURS else 0)
    assert digest_state(weights_of(student)) == before


def test_contenders_with_a_memory_train_the_same_parameters_and_lora_the_adapters():
    count = {
        name: contender(course(), load_student(PUPIL), unexamined())
        for name, contender in CONTENDERS.items()
    }
    memory = sum(p.numel() for p in begun(load_student(PUPIL)).parameters())
    assert count["bare_loop"] == count["peft_trainer"] == count[OURS]
    assert count["peft_lora"] == count[OURS] - memory > 0


@pytest.mark.parametrize("name", OTHERS)
def test_a_contender_stops_at_the_target(name):
    watch = Watch(lambda: 1.0, every=2, goal=Goal(accuracy=0.5))
    CONTENDERS[name](course(), load_student(PUPIL), watch)
    assert watch.steps(REHEARSAL) == 2


@pytest.mark.parametrize("name", OTHERS)
def test_a_contender_learns_a_text_that_it_sees_often(name):
    domain, student = domains.get(DOMAIN), load_student(PUPIL)
    trace = next(t for t in lesson().traces if len(t.steps) == 2)
    one = replace(course(), batches=((trace,) * 4,) * 30)

    def right() -> float:
        said = student.completions(domain, [(trace.question, 2)], None)
        return float(said[0].startswith(trace.completion.rstrip("\n")))

    assert right() == 0.0
    watch = Watch(right, every=5, goal=Goal(accuracy=1.0))
    CONTENDERS[name](one, student, watch)
    assert watch.marks[-1].accuracy == 1.0


def test_an_exam_on_the_way_sees_what_alignment_has_learnt_and_changes_nothing():
    domain, student = domains.get(DOMAIN), load_student(PUPIL)
    questions = [(item.question, item.level) for item in course().probes.items]
    seen = []

    def examine() -> float:
        seen.append(student.completions(domain, questions, None))
        return 0.0

    CONTENDERS[OURS](course(), student, Watch(examine, every=2))
    CONTENDERS[OURS](course(), student, Watch(examine, every=3))
    candidate = align(student, lesson(), domain, ALIGN, silent)
    first, on_the_way, _, at_the_end = seen
    assert first != on_the_way
    assert on_the_way == at_the_end == student.completions(domain, questions, candidate.cal)


def begun(student: Student) -> ConceptAlignmentLayer:
    """The CAL of an alignment of no steps."""
    nothing = replace(ALIGN, readout_steps=0, steps=0)
    return align(student, lesson(), domains.get(DOMAIN), nothing, silent).cal


def test_the_others_begin_with_the_same_concepts_and_without_what_alignment_has_set(monkeypatch):
    student, made = load_student(PUPIL), []
    monkeypatch.setattr(contenders, "drawn", lambda *its: made.append(drawn(*its)) or made[-1])
    none = replace(course(), batches=course().batches[:1], text_learning_rate=0.0)
    CONTENDERS["bare_loop"](none, student, unexamined())
    ours, its = begun(student), made[0]
    for (name, mine), (other, theirs) in zip(
        its.named_buffers(), ours.named_buffers(), strict=True
    ):
        assert name == other
        torch.testing.assert_close(mine, theirs)
    assert torch.equal(its.phi.maps[0][0].weight, ours.phi.maps[0][0].weight)
    assert torch.equal(its.find.query.weight, its.find.key.weight)
    assert not torch.equal(its.find.query.weight, ours.find.query.weight)
