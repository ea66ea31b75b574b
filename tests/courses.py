"""A small course that is learnt in seconds, for tests of benchmarks."""

from functools import cache

from m2kt import domains
from m2kt.align_config import AlignConfig
from m2kt.bench import course as courses
from m2kt.bench.course import Course
from m2kt.bench.subjects import draw_lesson, subject
from m2kt.cal import CALConfig
from m2kt.extract import ExtractConfig
from m2kt.packet import Lesson

CAL = CALConfig(memory_depth=0.75, prefix_depth=0.5, projection_width=64, key_rank=32)
ALIGN = AlignConfig(
    cal=CAL,
    readout_steps=4,
    readout_batch=8,
    steps=4,
    traces=3,
    own=3,
    learning_rate=8e-3,
    warmup=2,
)
PUPIL = "mod7-flipped"


@cache
def lesson() -> Lesson:
    return draw_lesson(subject(courses.DOMAIN), ExtractConfig(traces_per_level=4))


@cache
def course() -> Course:
    return Course(
        student=PUPIL,
        lesson=lesson(),
        batches=courses.draw_batches(lesson(), domains.get(courses.DOMAIN), ALIGN, steps=4),
        probes=courses.draw_probes_for(lesson(), per_level=2),
        align=ALIGN,
        text_learning_rate=8e-3,
        examine_every=2,
        threads=1,
    )
