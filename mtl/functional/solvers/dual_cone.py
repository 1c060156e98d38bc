"""Projection onto the dual cone of the task gradients: the nearest update that conflicts with no task.

Source: Quinton, Rey, "Jacobian Descent for Multi-Objective Optimization", arXiv:2406.16232, proposition 1.
Shapes: B vectors, K tasks.
"""

import torch
from torch import Tensor

from mtl.functional.gramian import Gram
from mtl.functional.on_host import on_host
from mtl.functional.solvers.nonnegative_qp import nonnegative_qp
from mtl.functional.solvers.optimality import dual_cone_error


@on_host
def project_dual_cone(gram: Gram, weights_BK: Tensor) -> tuple[Tensor, Tensor]:
    """Project weighted sums of the task gradients onto the dual cone: min v G v over v >= u.

    Args:
        gram: norms and cosines.
        weights_BK: the weights u of the sums, [B,K].

    Returns:
        Weights v of the projections, [B,K], and whether the optimality conditions hold to the tolerance (bool scalar).
    """
    cosines_KK, norms_K, zero_K = gram[:3]
    scaled_BK = torch.where(zero_K, 0.0, weights_BK * norms_K)
    added_BK = nonnegative_qp(cosines_KK[None], -scaled_BK @ cosines_KK).x_BK
    projected_BK = weights_BK + added_BK / norms_K
    return projected_BK, dual_cone_error(gram, weights_BK, projected_BK) <= gram.tolerance
