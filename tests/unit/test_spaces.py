"""Ways to align: the textbook's estimators, and what they find of anchors they were not told of."""

import torch
from torch import Tensor

from m2kt.spaces import PENALTIES, ridge


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
    for found, best in zip(ridge(given, wanted), solved(given, wanted, penalty), strict=True):
        assert torch.allclose(found, best, atol=1e-4)
