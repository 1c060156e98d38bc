"""FairGrad: distribute the descent among tasks by alpha-fairness.

Source: Ban, Ji, "Fair Resource Allocation in Multi-Task Learning", ICML 2024, arXiv:2402.15638, eq. 6.
Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.balancing.protocols import GradientWeighting
from mtl.functional.gramian import Gram, decompose
from mtl.functional.solvers.power_equation import solve_power_equation


class FairGrad(GradientWeighting):
    """Weights w > 0 with G w = w^(-1 / alpha), with G the Gramian.

    alpha = 1 is Nash-MTL, alpha -> 0 the plain sum, alpha -> infinity the max-min fair update. The solver is Newton's
    method; the least-squares solver of the authors, LibMTL and TorchJD stops 50 % off if gradients are small or
    unequal. No finite weights exist at a Pareto-stationary point (see `status`). A zero gradient gets weight 0
    (`status` singular).
    As in the authors' code, heads follow their own loss; LibMTL weighs them too (`head_gradients: weighted`).

        weights = FairGrad(alpha=2.0)(gramian, losses)

    Args:
        alpha: above 0; the authors' scripts use 2, their command line defaults to 1 (Nash-MTL).
        max_norm: upper limit of the update's norm; no limit by default, as in the paper's algorithm. The authors' code
            multiplies the weights by K and uses 1.0.

    Raises:
        ValueError: if alpha is not above 0.
    """

    paper = "Ban, Ji, Fair Resource Allocation in Multi-Task Learning, ICML 2024"
    scaling = "common"
    never_conflicts = True

    def __init__(self, alpha: float = 2.0, max_norm: float | None = None) -> None:
        super().__init__()
        if alpha <= 0:
            raise ValueError(f"alpha={alpha} must be above 0; 1 is Nash-MTL, a larger one favours the worst task more.")
        self.alpha = alpha
        self.max_norm = max_norm

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        gram = decompose(gramian_KK)
        weights_K, stationary, solved = solve_power_equation(gram, 1 / self.alpha)
        self.report(stationary, gram.zero_K.any(), ~solved)
        return clip_update(gram, weights_K, self.max_norm)


def clip_update(gram: Gram, weights_K: Tensor, max_norm: float | None) -> Tensor:
    """Scale weights down so that the norm of the update is within a limit.

    Args:
        gram: norms and cosines of the gradients.
        weights_K: weights of the tasks, [K].
        max_norm: the limit; None for no limit.
    """
    if max_norm is None:
        return weights_K
    scaled_K = weights_K * gram.norms_K
    length = (scaled_K @ gram.cosines_KK @ scaled_K).clamp(min=0).sqrt()
    return weights_K * (max_norm / torch.clamp(length, min=max_norm))
