"""Quadratic programs against scipy's NNLS and the optimality conditions."""

import pytest
import torch
from scipy.optimize import nnls
from torch import Tensor

import mtl.functional.solvers.nonnegative_qp as module
from mtl.functional.solvers.nonnegative_qp import nonnegative_qp


def problem(num: int, rank: int, seed: int, scale: float = 0.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Least squares |A x - b| as M, h, and A, b themselves."""
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(rank, num, generator=generator, dtype=torch.float64)
    a = a * 10 ** (scale * torch.randn(num, generator=generator, dtype=torch.float64))
    b = torch.randn(rank, generator=generator, dtype=torch.float64)
    return a.T @ a, b @ a, a, b


def error(matrix_KK: Tensor, linear_K: Tensor, x_K: Tensor) -> float:
    """Largest violation of the conditions of optimality, with variables scaled to a unit diagonal."""
    unit_K = matrix_KK.diagonal().rsqrt()
    slack_K = (matrix_KK @ x_K - linear_K) * unit_K
    x_K = x_K / unit_K
    return float(torch.minimum(x_K, slack_K).abs().max() / (1 + x_K.max()) / (linear_K * unit_K).abs().max())


@pytest.mark.parametrize("num", [1, 2, 5, 16, 40])
@pytest.mark.parametrize("scale", [0.0, 3.0])
def test_equals_scipy(num: int, scale: float) -> None:
    for seed in range(5):
        matrix_KK, linear_K, a, b = problem(num, num + 3, seed, scale)
        solution = nonnegative_qp(matrix_KK[None], linear_K[None])
        assert bool(solution.solved_B.all())
        expected = nnls(a.numpy(), b.numpy(), maxiter=1000)[1]
        assert float((a @ solution.x_BK[0] - b).norm()) == pytest.approx(expected, rel=1e-9)
        assert error(matrix_KK, linear_K, solution.x_BK[0]) < 1e-11


@pytest.mark.parametrize(("num", "rank"), [(5, 2), (16, 6), (40, 20), (40, 5)])
def test_solves_where_variables_outnumber_dimensions(num: int, rank: int) -> None:
    for seed in range(5):
        matrix_KK, linear_K, a, b = problem(num, rank, seed)
        solution = nonnegative_qp(matrix_KK[None], linear_K[None])
        assert bool(solution.solved_B.all())
        assert float(solution.x_BK.min()) >= 0
        expected = nnls(a.numpy(), b.numpy(), maxiter=1000)[1]
        assert float((a @ solution.x_BK[0] - b).norm()) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_many_problems_at_once_equal_one_by_one() -> None:
    problems = [problem(6, 9, seed) for seed in range(4)]
    together = nonnegative_qp(torch.stack([p[0] for p in problems]), torch.stack([p[1] for p in problems]))
    for row, (matrix_KK, linear_K, _, _) in enumerate(problems):
        torch.testing.assert_close(together.x_BK[row], nonnegative_qp(matrix_KK[None], linear_K[None]).x_BK[0])


def test_one_matrix_may_be_shared() -> None:
    matrix_KK, linear_K, _, _ = problem(6, 9, 0)
    linear_BK = torch.stack((linear_K, -linear_K, linear_K.flip(0)))
    shared_BK = nonnegative_qp(matrix_KK[None], linear_BK).x_BK
    torch.testing.assert_close(shared_BK, nonnegative_qp(matrix_KK.expand(3, 6, 6), linear_BK).x_BK)


def test_hand_example() -> None:
    # min x^2 + y^2 - 2 x + 2 y: at (1, 0)
    solution = nonnegative_qp(2 * torch.eye(2, dtype=torch.float64)[None], torch.tensor([[2.0, -2.0]]).double())
    torch.testing.assert_close(solution.x_BK, torch.tensor([[1.0, 0.0]]).double())
    assert solution.active_BK.tolist() == [[True, False]]


def test_nothing_to_gain_gives_zero() -> None:
    assert nonnegative_qp(torch.eye(3).double()[None], -torch.ones(1, 3).double()).x_BK.tolist() == [[0.0] * 3]


def test_a_good_start_gives_the_same() -> None:
    matrix_KK, linear_K, _, _ = problem(12, 15, 3)
    cold = nonnegative_qp(matrix_KK[None], linear_K[None])
    warm = nonnegative_qp(matrix_KK[None], linear_K[None], cold.active_BK)
    torch.testing.assert_close(warm.x_BK, cold.x_BK, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("rank", [4, 12, 20])
def test_fixed_steps_of_a_gpu_give_the_same(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix_KK, linear_K, a, _ = problem(12, rank, 5)
    expected = nonnegative_qp(matrix_KK[None], linear_K[None])

    class Blind(module._Problem):
        def __init__(self, *args: Tensor) -> None:
            super().__init__(*args)
            self.on_cpu = False

    monkeypatch.setattr(module, "_Problem", Blind)
    found = nonnegative_qp(matrix_KK[None], linear_K[None])
    assert bool(found.solved_B.all())
    torch.testing.assert_close(found.x_BK @ a.T, expected.x_BK @ a.T, rtol=1e-9, atol=1e-11)
