"""A GPU and the CPU make the same packet of a teacher, and a student learns on either."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from m2kt import zoo
from m2kt.align import align
from m2kt.cal import ConceptAlignmentLayer, attached
from m2kt.errors import CompatibilityError
from m2kt.extract import extract_packet
from m2kt.language_model import LanguageModel, compute_dtype, load_language_model
from m2kt.merging import MergeRules, merged
from m2kt.packet import KnowledgePacket
from m2kt.progress import silent
from m2kt.student import Student
from m2kt.tensors import digest_state
from m2kt.transfer import Taught, run_transfer
from m2kt.transferability import recognition
from m2kt_agents.models import device_of
from tests.lessons import EXTRACT, PUPIL, RULES, TEACHER, authentic, lesson, multiplication

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]
QUESTIONS = [("3*4*5", 2), ("3*4", 1), ("2*2*2*2", 3)]


@cache
def on(device: str, name: str) -> LanguageModel:
    return load_language_model(str(zoo.folder(name)), device=device)


def packet(device: str, **changed: object) -> KnowledgePacket:
    config = replace(EXTRACT, **changed)
    its = on(device, "mod7-mul")
    return extract_packet(its, multiplication(), config, agent=TEACHER, now_s=1.0)


def alike(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float(torch.cosine_similarity(ours, theirs, dim=-1).min())


@pytest.fixture(scope="module")
def taught() -> tuple[Student, Taught]:
    """A student on the GPU that learnt what a teacher on the GPU sent."""
    student = Student(PUPIL, on("cuda", "mod7-addsub"))
    packets = [authentic(packet("cuda"))]
    outcome = run_transfer(student, packets, multiplication(), RULES, silent)
    assert isinstance(outcome, Taught), outcome.verdict
    return student, outcome


def test_it_is_taken_where_there_is_one():
    assert device_of("auto") == "cuda"
    assert compute_dtype(100_000_000, "cuda") in {torch.bfloat16, torch.float16}


def test_a_packet_says_the_same_wherever_it_was_made():
    ours, theirs = packet("cuda", reveal=1.0), packet("cpu", reveal=1.0)
    assert alike(ours.means, theirs.means) > 0.999
    assert ours.means.device.type == ours.maps.weights.device.type == "cpu"
    shown = [{step.concept for t in its.traces for step in t.steps} for its in (ours, theirs)]
    assert shown[0] == shown[1]
    assert not any(multiplication().faults(trace) for trace in ours.traces)


def test_heads_are_tested_and_concepts_are_found():
    found = [{(h.layer, h.head): h for h in packet(d, heads=64).heads} for d in ("cuda", "cpu")]
    both = found[0].keys() & found[1].keys()
    assert len(both) >= 0.7 * len(found[1])
    for head in both:
        assert found[0][head].effect == pytest.approx(found[1][head].effect, abs=0.05)
    assert len(packet("cuda", find="bottleneck_probing", prompts=200, reveal=0.2).concepts) >= 7


def test_a_text_that_is_too_long_ends_nothing_but_itself():
    lm = on("cuda", "mod7-addsub")
    with pytest.raises(CompatibilityError, match="positions"):
        lm.complete(["1+2\n" * 60], max_new_tokens=5)
    assert lm.complete(["1+2\n"], max_new_tokens=5)


def test_a_student_learns_and_its_weights_stay(taught):
    student, outcome = taught
    assert outcome.verdict.evidence.gain > 0.3
    again = load_language_model(str(zoo.folder("mod7-addsub")))
    weights = digest_state(student.language_model.model.state_dict())
    assert weights == digest_state(again.model.state_dict())


def test_what_was_learnt_is_known_on_the_cpu_too(taught):
    student, outcome = taught
    cal, elsewhere = outcome.candidate.cal, Student(PUPIL, on("cpu", "mod7-addsub"))
    kept = {name: its.cpu() for name, its in cal.tensors().items()}
    moved = ConceptAlignmentLayer.from_tensors(kept, cal.header())
    said = [
        s.completions(multiplication(), QUESTIONS, c)
        for s, c in ((student, cal), (elsewhere, moved))
    ]
    assert said[0] == said[1]
    assert said[0] != student.completions(multiplication(), QUESTIONS, None)


def test_a_model_without_its_layer_is_what_it_was(taught):
    student, outcome = taught
    lm = student.language_model
    ids = lm.padded([lm.encode("3*4*5\n")])
    with torch.no_grad():
        before = lm.model(input_ids=ids).logits
        with attached(lm, outcome.candidate.cal):
            inside = lm.model(input_ids=ids).logits
        after = lm.model(input_ids=ids).logits
    assert torch.equal(before, after)
    assert not torch.equal(before, inside)


def test_layers_are_merged_and_a_transfer_is_foretold(taught):
    student, outcome = taught
    lm = student.language_model
    other = align(student, lesson(), multiplication(), RULES.align, silent)
    both = merged([outcome.candidate.cal, other.cal], MergeRules(how="task_arithmetic", scale=0.5))
    with attached(lm, both), torch.no_grad():
        assert lm.model(input_ids=lm.padded([lm.encode("3*4\n")])).logits.isfinite().all()
    there, here = (recognition(on(d, "mod7-addsub"), multiplication()) for d in ("cuda", "cpu"))
    assert there == pytest.approx(here, abs=0.02)
