"""CAGrad: within a ball around the mean gradient, take the update that improves the worst task most.

Source: Liu, Liu, Jin, Stone, Liu, "Conflict-Averse Gradient Descent for Multi-task Learning", NeurIPS 2021,
arXiv:2110.14048, eq. 4 and algorithm 1.
Shapes: K tasks.
"""

from typing import Literal

import torch
from torch import Tensor

from mtl.balancing.protocols import GradientWeighting
from mtl.functional.gramian import decompose
from mtl.functional.solvers.conflict_averse import conflict_averse_weights


class CAGrad(GradientWeighting):
    """The update d = g_0 + c |g_0| g_w / |g_w|, with w = argmin over the simplex of g_w . g_0 + c |g_0| |g_w|.

    g_0 is the mean gradient and g_w the weighted gradient. c = 0 gives the mean gradient; a large c gives MGDA's
    direction. The solution is exact. SLSQP, which the authors and LibMTL use, is off by 1e-3 on ordinary gradients and
    by 50 % on small or unequal ones; TorchJD returns a zero update if |g_w| is below 1e-4 of the total. If g_w = 0, its
    direction is undefined: the update is the mean gradient and `status` is Pareto-stationary.

        weights = CAGrad(c=0.4)(gramian, losses)

    Args:
        c: radius of the ball relative to |g_0|, at least 0; the paper uses 0.4 on NYUv2 and 0.2 on Cityscapes.
        rescale: divide the update by 1 (`0`: the paper's algorithm, TorchJD), by 1 + c^2 (`1`: the authors' code,
            LibMTL) or by 1 + c (`2`).

    Raises:
        ValueError: if c is below 0.
    """

    paper = "Liu et al., Conflict-Averse Gradient Descent for Multi-task Learning, NeurIPS 2021"
    scaling = "common"

    def __init__(self, c: float = 0.4, rescale: Literal[0, 1, 2] = 0) -> None:
        super().__init__()
        if c < 0:
            raise ValueError(f"c={c} must be at least 0; the paper uses 0.2 to 0.4.")
        self.c = c
        self.rescale = rescale

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        gram = decompose(gramian_KK)
        weights_K = torch.full_like(gram.norms_K, 1 / len(gram.norms_K))
        if self.c == 0:
            self.report(gram.vanishes(weights_K))
            return weights_K
        added_K, vanished, solved = conflict_averse_weights(gram, self.c)
        self.report(vanished, inexact=~solved)
        return (weights_K + added_K) / (1.0, 1 + self.c**2, 1 + self.c)[self.rescale]
