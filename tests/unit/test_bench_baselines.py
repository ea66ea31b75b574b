"""Baselines are given what they say, and learn from it."""

from dataclasses import replace

import pytest
import torch

from m2kt import domains
from m2kt.bench.baselines import BASELINES, TextConfig, distillation, learn, packet_text, sequences
from m2kt.bench.delivery import STUDENT
from m2kt.bench.subjects import draw_lesson, load_model, subject
from m2kt.extract import ExtractConfig
from m2kt.probes import draw_probes
from m2kt.student import Student
from m2kt.verify import examine
from tests.courses import ALIGN

ITS = subject("group.s3")
PROBES = draw_probes(domains.get("group.s3"), seed=0, per_level=30)


@pytest.fixture(scope="module")
def lesson():
    return draw_lesson(ITS, ExtractConfig(traces_per_level=4))


def test_examples_are_right_many_and_none_is_of_the_exam(lesson):
    asked = {item.question for item in PROBES.items}
    for draw in (distillation, sequences):
        found = draw(ITS, lesson, 70, 0, asked)
        assert len(found) == 70
        assert not asked & {example.trace.question for example in found}
        assert not any(domains.get("group.s3").faults(example.trace) for example in found)
        assert found[0].trace == draw(ITS, lesson, 70, 0, asked)[0].trace


def test_a_belief_is_a_distribution_whose_peak_is_the_answer(lesson):
    symbols = domains.get("group.s3").symbols
    for example in distillation(ITS, lesson, 40, 1, ()):
        assert example.belief is not None
        assert torch.isclose(example.belief.sum(), torch.tensor(1.0), atol=1e-4)
        assert symbols[int(example.belief.argmax())] == example.trace.answer


def test_two_teachers_give_as_much_each():
    its = subject("arith.mod7")
    found = sequences(its, draw_lesson(its, ExtractConfig(traces_per_level=2)), 60, 0, ())
    by_mul = ["*" in example.trace.question for example in found]
    assert sum(by_mul) == 30


def test_the_packets_text_is_what_the_packet_holds(lesson):
    found = packet_text(ITS, lesson, 0, 0, ())
    assert tuple(example.trace for example in found) == lesson.traces


@pytest.mark.parametrize("way", BASELINES)
def test_training_fits_what_is_given_and_reads_no_memory(lesson, way):
    student = Student(STUDENT, load_model("symbols-student"))
    examples = BASELINES[way](ITS, lesson, 12, 0, ())[:12]
    config = replace(ALIGN, traces=6, own=6)
    cal = learn(student, lesson, examples, config, TextConfig(steps=120))
    assert not cal.reading
    wanted = {example.trace.question: example.trace for example in examples}
    probes = replace(
        PROBES,
        items=tuple(
            replace(PROBES.items[0], question=its.question, answer=its.answer, level=len(its.steps))
            for its in wanted.values()
        ),
    )
    grammar = domains.get("group.s3")
    assert examine(student, grammar, probes, cal).mean > 0.8
    assert examine(student, grammar, probes, None).mean < 0.6
