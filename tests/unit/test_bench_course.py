"""What the contenders of a benchmark are given to learn."""

from m2kt import domains
from m2kt.align_config import AlignConfig
from m2kt.bench import course as courses
from m2kt.bench.subjects import draw_lesson, subject
from m2kt.extract import ExtractConfig
from tests.courses import course, lesson

TRACES, OWN = 5, 7


def drawn(*, seed=0, steps=200):
    grammar = domains.get(courses.DOMAIN)
    config = AlignConfig(traces=TRACES, own=OWN, seed=seed)
    return courses.draw_batches(lesson(), grammar, config, steps=steps)


def test_the_traces_show_every_fact_so_that_texts_alone_can_teach_all():
    shown = {step.concept for trace in lesson().traces for step in trace.steps}
    assert shown == {concept.spec.id for concept in lesson().concepts}
    assert len(shown) == len(domains.get(courses.DOMAIN).concepts)


def test_the_same_settings_give_the_same_lesson():
    again = draw_lesson(subject(courses.DOMAIN), ExtractConfig(traces_per_level=4))
    assert again.traces == lesson().traces
    assert [c.spec for c in again.concepts] == [c.spec for c in lesson().concepts]


def test_a_batch_begins_with_the_teachers_and_each_trace_comes_once_before_any_comes_again():
    count = len(lesson().traces) // TRACES
    shown = [trace for batch in drawn(steps=count) for trace in batch[:TRACES]]
    assert len({trace.question for trace in shown}) == len(shown) == count * TRACES
    assert set(shown) <= set(lesson().traces)


def test_the_rest_is_worked_out_with_the_facts_that_traces_show():
    domain = domains.get(courses.DOMAIN)
    own = [trace for batch in drawn() for trace in batch[TRACES:]]
    assert len(own) == 200 * OWN
    assert all(domain.faults(trace) == () for trace in own)


def test_a_seed_decides_the_batches():
    assert drawn(seed=1, steps=9) == drawn(seed=1, steps=9) != drawn(seed=2, steps=9)


def test_no_probe_is_the_question_of_a_trace():
    asked = {item.question for item in course().probes.items}
    assert asked.isdisjoint(trace.question for trace in lesson().traces)


def test_a_brief_course_is_the_beginning_of_the_whole():
    brief = course().brief(2)
    assert brief.batches == course().batches[:2]
    assert (brief.align.readout_steps, brief.align.steps) == (2, 2)
    assert course().brief(1000).batches == course().batches
