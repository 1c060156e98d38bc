"""Interior-point method for x >= 0, y = M x - h >= 0, x y = 0: a batch of problems, a fixed number of steps.

Source: Mehrotra, "On the implementation of a primal-dual interior point method", SIAM J. Optim. 2, 1992; for
complementarity problems: Wright, "Primal-Dual Interior-Point Methods", SIAM 1997, chapter 8.
Shapes: B problems, K variables.
"""

import torch
from torch import Tensor

STEPS = 25
RIDGE = 1e-11  # added to the unit diagonal; keeps the iterates bounded if the solutions form a ray


def interior_point(matrix_BKK: Tensor, linear_BK: Tensor, steps: int = STEPS) -> tuple[Tensor, Tensor]:
    """Solve the problems; if a solution is not unique, return one with as many variables above 0 as possible.

    Args:
        matrix_BKK: M, positive semi-definite with unit diagonal, float64, [B,K,K]; [1,K,K] if all problems share it.
        linear_BK: h, scaled to maximum norm 1, [B,K].
        steps: number of Newton steps; the gap is down to rounding error after about 15.

    Returns:
        x and y, both above 0, [B,K].
    """
    matrix_BKK = matrix_BKK.expand(len(linear_BK), -1, -1).clone()
    matrix_BKK.diagonal(dim1=-2, dim2=-1).add_(RIDGE)
    x_BK = torch.ones_like(linear_BK)
    y_BK = torch.ones_like(linear_BK)
    for _ in range(steps):
        x_BK, y_BK = _step(matrix_BKK, linear_BK, x_BK, y_BK)
    return x_BK, y_BK


def _step(matrix_BKK: Tensor, linear_BK: Tensor, x_BK: Tensor, y_BK: Tensor) -> tuple[Tensor, Tensor]:
    gap_BK = x_BK * y_BK
    mean_B1 = gap_BK.mean(1, keepdim=True)
    rest_BK = y_BK - _times(matrix_BKK, x_BK) + linear_BK
    # in units of sqrt(x / y), the diagonal of the system is at least 1
    unit_BK = (x_BK / y_BK).sqrt()
    system_BKK = matrix_BKK * unit_BK[:, :, None] * unit_BK[:, None, :]
    system_BKK.diagonal(dim1=-2, dim2=-1).add_(1.0)
    factors = torch.linalg.lu_factor_ex(system_BKK)[:2]

    def direction(target_BK: Tensor) -> tuple[Tensor, Tensor]:
        right_BK = unit_BK * (target_BK / x_BK + rest_BK)
        dx_BK = unit_BK * torch.linalg.lu_solve(*factors, right_BK[..., None])[..., 0]
        return dx_BK, (target_BK - y_BK * dx_BK) / x_BK

    ahead_dx_BK, ahead_dy_BK = direction(-gap_BK)
    ahead_B1 = _longest(x_BK, ahead_dx_BK, y_BK, ahead_dy_BK)
    reached_BK = (x_BK + ahead_B1 * ahead_dx_BK) * (y_BK + ahead_B1 * ahead_dy_BK)
    centre_B1 = mean_B1 * (reached_BK.mean(1, keepdim=True) / mean_B1) ** 3
    dx_BK, dy_BK = direction(centre_B1 - gap_BK - ahead_dx_BK * ahead_dy_BK)
    length_B1 = 0.995 * _longest(x_BK, dx_BK, y_BK, dy_BK)
    # stop when the gap is down to rounding error: further steps are noise
    length_B1 = torch.where(mean_B1 > 1e-26, length_B1, 0.0)
    return x_BK + length_B1 * dx_BK, y_BK + length_B1 * dy_BK


def _longest(x_BK: Tensor, dx_BK: Tensor, y_BK: Tensor, dy_BK: Tensor) -> Tensor:
    shrink_B1 = torch.maximum((-dx_BK / x_BK).amax(1, keepdim=True), (-dy_BK / y_BK).amax(1, keepdim=True))
    return 1 / shrink_B1.clamp(min=1.0)


def _times(matrix_BKK: Tensor, x_BK: Tensor) -> Tensor:
    return (matrix_BKK @ x_BK[..., None])[..., 0]
