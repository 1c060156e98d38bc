"""The probability simplex: the shortest vector of a convex hull, and the projection of a point onto the simplex.

Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.functional.gramian import Gram
from mtl.functional.on_host import on_host
from mtl.functional.solvers.nonnegative_qp import nonnegative_qp
from mtl.functional.solvers.optimality import min_norm_error


@on_host
def min_norm_point(gram: Gram) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of the shortest vector in the convex hull of the task gradients.

    With x the weights times the norms and a = (smallest norm) / norms, the problem is min x C x over a x = 1, x >= 0.
    Its solution is a multiple of the solution of min x C x + (a x - 1)^2 over x >= 0, which is always bounded, well
    scaled for all norms, and regular even if the hull contains 0.

    Args:
        gram: norms and cosines.

    Returns:
        Weights [K] on the simplex; whether the hull contains 0 to working precision; and whether the optimality
        conditions hold to the tolerance (bool scalars).
    """
    cosines_KK, norms_K, zero_K = gram[:3]
    smallest = torch.where(zero_K, torch.inf, norms_K).min()
    part_K = torch.where(zero_K, 0.0, smallest / norms_K)
    matrix_KK = cosines_KK + torch.outer(part_K, part_K)
    x_K = nonnegative_qp(matrix_KK[None], part_K[None]).x_BK[0]
    weights_K = x_K * part_K
    total = weights_K.sum()
    squared = x_K @ cosines_KK @ x_K / total.square()
    share_K = zero_K / zero_K.sum().clamp(min=1)
    weights_K = torch.where(zero_K.any(), share_K, weights_K / total)
    solved = min_norm_error(gram, weights_K) <= gram.tolerance
    return weights_K, zero_K.any() | (squared <= 10 * gram.noise), solved


def project_simplex(point_K: Tensor) -> Tensor:
    """The nearest point on the simplex (entries at least 0, sum 1), [K].

    Source: Duchi et al., "Efficient projections onto the l1-ball for learning in high dimensions", ICML 2008, fig. 1.

    Args:
        point_K: any point, [K].
    """
    # the projection does not change when all entries move by the same amount; with the largest at 0, entries of any
    # size keep the 1 of the sum
    point_K = point_K - point_K.max()
    sorted_K = point_K.sort(descending=True).values
    rank_K = torch.arange(1, len(point_K) + 1, device=point_K.device, dtype=point_K.dtype)
    shift_K = (sorted_K.cumsum(0) - 1) / rank_K
    last = (sorted_K > shift_K).sum() - 1
    return (point_K - shift_K.gather(0, last[None])).clamp(min=0)
