"""A linear CAL in closed form reads what no trace shows."""

import torch

from m2kt import domains
from m2kt.bench.delivery import STUDENT
from m2kt.bench.ridge import ridge
from m2kt.bench.subjects import draw_lesson, load_model, subject
from m2kt.extract import ExtractConfig
from m2kt.lessonplan import known_results
from m2kt.student import Student
from tests.courses import ALIGN


def test_it_reads_out_more_than_traces_show_and_trains_nothing():
    its = subject("group.s3")
    lesson = draw_lesson(its, ExtractConfig(traces_per_level=4, reveal=0.5))
    student = Student(STUDENT, load_model("symbols-student"))
    weights = student.language_model.model.state_dict()
    before = {name: tensor.clone() for name, tensor in weights.items()}
    cal, figures = ridge(student, lesson, ALIGN)
    shown = known_results(lesson, domains.get("group.s3"))
    assert figures["concepts_shown"] == len(shown) < figures["concepts_read"] == 36
    assert figures["agreement"] > 0.9
    again, _ = ridge(student, lesson, ALIGN)
    for name, tensor in cal.tensors().items():
        assert torch.equal(tensor, again.tensors()[name])
    assert all(torch.equal(tensor, weights[name]) for name, tensor in before.items())
