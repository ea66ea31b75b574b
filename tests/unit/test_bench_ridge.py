"""A linear CAL in closed form: the textbook's estimator, and it reads what no trace shows."""

import torch
from torch import Tensor

from m2kt import domains
from m2kt.bench.delivery import STUDENT
from m2kt.bench.ridge import PENALTIES, fitted, ridge
from m2kt.bench.subjects import draw_lesson, load_model, subject
from m2kt.extract import ExtractConfig
from m2kt.lessonplan import known_results
from m2kt.student import Student
from tests.courses import ALIGN


def solved(given: Tensor, wanted: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """By the normal equations of centred data."""
    left, right = given - given.mean(dim=0), wanted - wanted.mean(dim=0)
    squares = left.T @ left + penalty * torch.eye(left.shape[1])
    weight = torch.linalg.solve(squares, left.T @ right).T
    return weight, wanted.mean(dim=0) - weight @ given.mean(dim=0)


def test_it_is_the_ridge_regression_that_does_best_with_one_row_left_out():
    generator = torch.Generator().manual_seed(0)
    given = torch.randn(24, 10, generator=generator)
    wanted = given @ torch.randn(10, 3, generator=generator)
    wanted = wanted + 2 * torch.randn(24, 3, generator=generator)

    def error(penalty: float) -> float:
        total = 0.0
        for row in range(len(given)):
            rest = [n for n in range(len(given)) if n != row]
            weight, bias = solved(given[rest], wanted[rest], penalty)
            total += float((given[row] @ weight.T + bias - wanted[row]).square().sum())
        return total

    penalty = min(PENALTIES, key=error)
    assert min(PENALTIES) < penalty < max(PENALTIES)
    for found, best in zip(fitted(given, wanted), solved(given, wanted, penalty), strict=True):
        assert torch.allclose(found, best, atol=1e-4)


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
