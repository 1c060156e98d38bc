"""Batches of convex quadratic programs over x >= 0: the active-set solver that all balancing methods share.

Block principal pivoting: guess which variables are above 0, solve their linear system, and exchange every variable with
the wrong sign. It takes 3 to 6 solves. It may cycle if there are more tasks than dimensions and the solution is not
unique; an interior-point method then determines the variables above 0.
Source: Kim, Park, "Fast nonnegative matrix factorization: an active-set-like method and comparisons", SIAM J. Sci.
Comput. 33, 2011, section 4 (after Judice, Pires, 1994).
Shapes: B problems, K variables.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from mtl.functional.solvers.interior_point import interior_point

# Ridges on a unit diagonal make singular systems solvable; corrections remove their effect. Rounding moves a solution
# along duplicate tasks by 1e-16 / ridge, so duplicates need the large ridge; nearly parallel tasks need the small one.
LARGE_RIDGE, SMALL_RIDGE = 1e-8, 1e-13
CORRECTIONS = 2
PATIENCE = 3  # full exchanges without progress before single exchanges
SOLVED, EXACT = 1e-12, 4e-15  # errors of the optimality conditions, on a unit diagonal


System = tuple[Tensor, Tensor]  # factors and pivots


class Solution(NamedTuple):
    """Minimisers of a batch of problems.

    Attributes:
        x_BK: the minimisers, at least 0, [B,K].
        active_BK: which variables are free, bool [B,K]; a start for the next similar problem.
        solved_B: whether the optimality conditions hold, bool [B].
    """

    x_BK: Tensor
    active_BK: Tensor
    solved_B: Tensor


def nonnegative_qp(matrix_BKK: Tensor, linear_BK: Tensor, start_BK: Tensor | None = None) -> Solution:
    """Minimise `x M x / 2 - h x` over x >= 0.

    The optimality conditions are x >= 0, M x - h >= 0, and for each variable one of the two is 0. On the CPU, the
    solver stops when all problems are solved; on a GPU, it runs a fixed number of steps to avoid a sync.

    Args:
        matrix_BKK: M, positive semi-definite, float64, [B,K,K]; [1,K,K] if all problems share it.
        linear_BK: h, in the range of M so that the problem is bounded, [B,K].
        start_BK: guess of the variables above 0, bool [B,K]; by default the variables with h > 0, which violate the
            conditions at x = 0.
    """
    diagonal_BK = matrix_BKK.diagonal(dim1=-2, dim2=-1)
    unit_BK = torch.where(diagonal_BK > 0, diagonal_BK, 1.0).rsqrt()
    matrix_BKK = matrix_BKK * unit_BK[:, :, None] * unit_BK[:, None, :]
    linear_BK = linear_BK * unit_BK
    size_B1 = linear_BK.abs().amax(1, keepdim=True)
    size_B1 = torch.where(size_B1 > 0, size_B1, 1.0)
    problem = _Problem(matrix_BKK, linear_BK / size_B1, start_BK)
    problem.exchange(LARGE_RIDGE, steps=10)
    if problem.worse_than(EXACT):
        problem.exchange(SMALL_RIDGE, steps=6)
    if problem.worse_than(SOLVED):
        problem.go_inside()
    return Solution(problem.x_BK * unit_BK * size_B1, problem.active_BK, problem.error_B <= SOLVED)


class _Problem:
    """Problems scaled to a unit diagonal and a linear term of size 1, with the best solutions so far."""

    def __init__(self, matrix_BKK: Tensor, linear_BK: Tensor, start_BK: Tensor | None = None) -> None:
        self.matrix_BKK, self.linear_BK = matrix_BKK, linear_BK
        self.on_cpu = linear_BK.device.type == "cpu"
        self.x_BK = torch.zeros_like(linear_BK)
        self.active_BK = linear_BK > 0 if start_BK is None else start_BK
        self.error_B = torch.full_like(linear_BK[:, 0], torch.inf)
        self.order_K = torch.arange(1, linear_BK.shape[1] + 1, device=linear_BK.device)

    def worse_than(self, error: float) -> bool:
        """Whether any problem has a larger error; always true on a GPU, to avoid a sync."""
        return not (self.on_cpu and bool((self.error_B <= error).all()))

    def exchange(self, ridge: float, steps: int) -> None:
        """Exchange variables with the wrong sign until none is left, or for `steps` steps."""
        fewest_B = self.order_K[-1:].expand(len(self.linear_BK)) + 1
        tries_B = torch.full_like(fewest_B, PATIENCE)
        next_BK = self.active_BK
        for _ in range(steps):
            active_BK = next_BK
            system = self._factor(active_BK, ridge)
            x_BK = self._solve(system, self.linear_BK, active_BK)
            size_B1 = 1 + x_BK.abs().amax(1, keepdim=True)
            wrong_BK = torch.where(active_BK, x_BK + 1e-15 / ridge * size_B1, self.slack(x_BK) + 1e-13 * size_B1) < 0
            count_B = wrong_BK.sum(1)
            if self.on_cpu and not bool(count_B.any()):
                break
            progress_B = count_B < fewest_B
            fewest_B = torch.minimum(fewest_B, count_B)
            tries_B = torch.where(progress_B, PATIENCE, tries_B - 1)
            # single exchanges of the largest index cannot cycle
            rank_BK = self.order_K * wrong_BK
            last_BK = rank_BK == rank_BK.amax(1, keepdim=True)
            next_BK = active_BK ^ (wrong_BK & (last_BK | (tries_B >= 0)[:, None]))
        self._keep(x_BK, active_BK, system)

    def go_inside(self) -> None:
        """Solve the remaining problems by the interior-point method."""
        rows = (self.error_B > SOLVED).nonzero()[:, 0] if self.on_cpu else slice(None)
        hard = _Problem(self.matrix_BKK if len(self.matrix_BKK) == 1 else self.matrix_BKK[rows], self.linear_BK[rows])
        hard.x_BK, hard.active_BK, hard.error_B = self.x_BK[rows], self.active_BK[rows], self.error_B[rows]
        x_BK, slack_BK = interior_point(hard.matrix_BKK, hard.linear_BK)
        for ridge in (LARGE_RIDGE, SMALL_RIDGE):
            active_BK = x_BK > slack_BK
            hard._keep(torch.where(active_BK, x_BK, 0.0), active_BK, hard._factor(active_BK, ridge))
            hard.exchange(ridge, steps=4)
        self.x_BK[rows], self.active_BK[rows], self.error_B[rows] = hard.x_BK, hard.active_BK, hard.error_B

    def slack(self, x_BK: Tensor) -> Tensor:
        """M x - h."""
        if len(self.matrix_BKK) == 1:
            return x_BK @ self.matrix_BKK[0] - self.linear_BK
        return (self.matrix_BKK @ x_BK[..., None])[..., 0] - self.linear_BK

    def _keep(self, x_BK: Tensor, active_BK: Tensor, system: System) -> None:
        """Remove the effect of the ridge, and keep each result that is better than the best so far."""
        for _ in range(CORRECTIONS):
            x_BK = x_BK - self._solve(system, self.slack(x_BK), active_BK)
        x_BK = x_BK.clamp(min=0)
        error_B = torch.minimum(x_BK, self.slack(x_BK)).abs().amax(1) / (1 + x_BK.amax(1))
        better_B = error_B < self.error_B
        self.x_BK = torch.where(better_B[:, None], x_BK, self.x_BK)
        self.active_BK = torch.where(better_B[:, None], active_BK, self.active_BK)
        self.error_B = torch.minimum(error_B, self.error_B)

    def _factor(self, active_BK: Tensor, ridge: float) -> System:
        free_BK = active_BK.to(self.matrix_BKK.dtype)
        system_BKK = self.matrix_BKK * (free_BK[:, :, None] * free_BK[:, None, :])
        # a 1 for each fixed variable keeps all systems the same size
        system_BKK.diagonal(dim1=-2, dim2=-1).add_(torch.where(active_BK, ridge, 1.0))
        factors_BKK, pivots_BK, _ = torch.linalg.lu_factor_ex(system_BKK)
        return factors_BKK, pivots_BK

    def _solve(self, system: System, right_BK: Tensor, active_BK: Tensor) -> Tensor:
        solution_BK: Tensor = torch.linalg.lu_solve(*system, torch.where(active_BK, right_BK, 0.0)[..., None])[..., 0]
        return solution_BK
