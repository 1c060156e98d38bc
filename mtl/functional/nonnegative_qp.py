"""Convex quadratic programs over x >= 0, many at once: the one active-set routine of the balancing methods.

Block principal pivoting: guess which variables are above 0, solve their linear system, and exchange every variable of
the wrong sign; when that stops making progress, exchange one at a time until it does.
Source: Kim, Park, "Fast nonnegative matrix factorization: an active-set-like method and comparisons", SIAM J. Sci.
Comput. 33, 2011, section 4 (after Judice, Pires, 1994).
Shapes: B problems, K variables.
"""

from typing import NamedTuple

import torch
from torch import Tensor

RIDGE = 1e-13  # on a unit diagonal: makes singular systems solvable; two corrections take its effect back
PATIENCE = 3  # full exchanges without progress before single ones


class Solution(NamedTuple):
    """Minimiser of every problem.

    Attributes:
        x_BK: the minimisers, at least 0.
        active_BK: which variables are free, to start the next similar problem from.
        solved_B: whether the optimality conditions hold.
    """

    x_BK: Tensor
    active_BK: Tensor
    solved_B: Tensor


def nonnegative_qp(
    matrix_BKK: Tensor, linear_BK: Tensor, start_BK: Tensor | None = None, max_steps: int | None = None
) -> Solution:
    """Minimise `x M x / 2 - h x` over x >= 0.

    The conditions of optimality are x >= 0, M x - h >= 0, and for every variable one of the two is 0.

    Args:
        matrix_BKK: M, positive semi-definite, of float64; [1,K,K] for one that all problems share.
        linear_BK: h; within the range of M, so that the problem is bounded.
        start_BK: guess of the variables above 0, bool; none by default.
        max_steps: exchanges at most; 20 + 2 K by default. The CPU stops when all problems are solved, while a GPU
            runs a fixed number of steps (20 + K / 2 by default), since to ask would make it wait.
    """
    on_cpu = matrix_BKK.device.type == "cpu"
    num = linear_BK.shape[1]
    max_steps = max_steps or (20 + 2 * num if on_cpu else 20 + num // 2)
    diagonal_BK = matrix_BKK.diagonal(dim1=-2, dim2=-1)
    unit_BK = torch.where(diagonal_BK > 0, diagonal_BK, 1.0).rsqrt()
    matrix_BKK = matrix_BKK * unit_BK[:, :, None] * unit_BK[:, None, :]
    linear_BK = linear_BK * unit_BK
    size_B1 = linear_BK.abs().amax(1, keepdim=True)
    size_B1 = torch.where(size_B1 > 0, size_B1, 1.0)
    linear_BK = linear_BK / size_B1
    search = _Search(matrix_BKK, linear_BK, start_BK)
    for _ in range(max_steps):
        search.exchange()
        if on_cpu and bool(search.solved_B.all()):
            break
    return Solution(search.polish() * unit_BK * size_B1, search.active_BK, search.solved_B)


class _Search:
    """The exchanges, on a matrix with unit diagonal."""

    def __init__(self, matrix_BKK: Tensor, linear_BK: Tensor, start_BK: Tensor | None) -> None:
        self.matrix_BKK, self.linear_BK = matrix_BKK, linear_BK
        batch, num = linear_BK.shape
        self.active_BK = torch.zeros_like(linear_BK, dtype=torch.bool) if start_BK is None else start_BK
        self.fewest_B = linear_BK.new_full((batch,), num + 1)
        self.tries_B = linear_BK.new_full((batch,), PATIENCE)
        self.solved_B = torch.zeros_like(self.fewest_B, dtype=torch.bool)
        self.order_K = torch.arange(1, num + 1, device=linear_BK.device)
        self.x_BK = linear_BK

    def exchange(self) -> None:
        """Solve for the present guess and flip the variables whose sign it got wrong."""
        self.solved_active_BK = self.active_BK
        self.x_BK = self._solve(self.linear_BK)
        slack_BK = self._times_matrix(self.x_BK) - self.linear_BK
        noise_B1 = 1e-13 * (1 + self.x_BK.abs().amax(1, keepdim=True))
        wrong_BK = torch.where(self.active_BK, self.x_BK, slack_BK) < -noise_B1
        count_B = wrong_BK.sum(1)
        progress_B = count_B < self.fewest_B
        self.fewest_B = torch.minimum(self.fewest_B, count_B)
        self.tries_B = torch.where(progress_B, PATIENCE, self.tries_B - 1)
        # with single exchanges of the largest index the search cannot cycle
        last_BK = self.order_K * wrong_BK == (self.order_K * wrong_BK).amax(1, keepdim=True)
        self.active_BK = self.active_BK ^ (wrong_BK & (last_BK | (self.tries_B >= 0)[:, None]))
        self.solved_B = count_B == 0

    def polish(self) -> Tensor:
        """The last solution without the effect of the ridge."""
        self.active_BK = self.solved_active_BK
        system = self._factor()
        for _ in range(2):
            rest_BK = self.linear_BK - self._times_matrix(self.x_BK)
            self.x_BK = self.x_BK + self._solve(rest_BK, system)
        return self.x_BK.clamp(min=0)

    def _factor(self) -> tuple[Tensor, Tensor]:
        active_BK = self.active_BK.to(self.matrix_BKK.dtype)
        system_BKK = self.matrix_BKK * (active_BK[:, :, None] * active_BK[:, None, :])
        # `diag_embed` of 1 where a variable is fixed keeps all systems of one size
        system_BKK.diagonal(dim1=-2, dim2=-1).add_(torch.where(self.active_BK, RIDGE, 1.0))
        factors_BKK, pivots_BK, _ = torch.linalg.lu_factor_ex(system_BKK)
        return factors_BKK, pivots_BK

    def _solve(self, right_BK: Tensor, system: tuple[Tensor, Tensor] | None = None) -> Tensor:
        right_BK = torch.where(self.active_BK, right_BK, 0.0)
        return torch.linalg.lu_solve(*(system or self._factor()), right_BK[..., None])[..., 0]

    def _times_matrix(self, x_BK: Tensor) -> Tensor:
        if len(self.matrix_BKK) == 1:
            return x_BK @ self.matrix_BKK[0]
        return (self.matrix_BKK @ x_BK[..., None])[..., 0]
