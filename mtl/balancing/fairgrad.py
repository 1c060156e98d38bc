"""FairGrad: alpha-fair shares of the descent for all tasks.

Source: Ban, Ji, "Fair Resource Allocation in Multi-Task Learning", ICML 2024, arXiv:2402.15638, eq. 6.
Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.balancing.protocols import GradientWeighting
from mtl.functional.gramian import Gram, decompose
from mtl.functional.power_equation import solve_power_equation


class FairGrad(GradientWeighting):
    """Weights w > 0 with G w = w^(-1 / alpha), with G the Gramian.

    alpha = 1 is Nash-MTL, towards 0 it is the plain sum, towards infinity the max-min fair update. Solved by Newton's
    method; the authors' and both libraries' least squares stops 50 % off when gradients are small or unequal. At a
    Pareto-stationary point no finite weights exist; `status` says so. A zero gradient gets weight 0 (`status`
    singular).

        weights = FairGrad(alpha=2.0)(gramian, losses)

    Args:
        alpha: above 0; the authors' scripts take 2, while their command line starts at 1, which is Nash-MTL.
        max_norm: shrink the weights so that the update is no longer than this; none by default, as in the paper's
            algorithm. The authors' code multiplies the weights by K and takes 1.0.

    Raises:
        ValueError: if alpha is not above 0.
    """

    paper = "Ban, Ji, Fair Resource Allocation in Multi-Task Learning, ICML 2024"
    head_gradients = "weighted"
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
        weights_K, stationary, found = solve_power_equation(gram, 1 / self.alpha)
        self.report(stationary, gram.zero_K.any() | ~found)
        return clip_update(gram, weights_K, self.max_norm)


def clip_update(gram: Gram, weights_K: Tensor, max_norm: float | None) -> Tensor:
    """Weights whose update is no longer than a limit.

    Args:
        gram: norms and cosines of the gradients.
        weights_K: of the tasks.
        max_norm: the limit; none by default.
    """
    if max_norm is None:
        return weights_K
    scaled_K = weights_K * gram.norms_K
    length = (scaled_K @ gram.cosines_KK @ scaled_K).clamp(min=0).sqrt()
    return weights_K * (max_norm / torch.clamp(length, min=max_norm))
