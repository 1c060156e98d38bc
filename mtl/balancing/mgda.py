"""MGDA: the shortest vector in the convex hull of the task gradients.

Source: Desideri, "Multiple-gradient descent algorithm (MGDA)", C. R. Math. 2012; Sener, Koltun, "Multi-Task Learning as
Multi-Objective Optimization", NeurIPS 2018, arXiv:1810.04650, eq. 3.
Shapes: K tasks.
"""

from typing import Literal

import torch
from torch import Tensor

from mtl.balancing.protocols import GradientWeighting
from mtl.functional.gramian import decompose
from mtl.functional.solvers.simplex import min_norm_point


class MGDA(GradientWeighting):
    """Weights w = argmin over the simplex of w G w, with G the Gramian.

    The update decreases every loss, and is 0 only at a Pareto-stationary point (see `status`). The smallest gradient
    dominates it. The solution is exact. Frank-Wolfe, which the authors and TorchJD use, is 2-7 % off for 5 to 10 tasks,
    and stays at a large gradient if norms differ by 1e4. LibMTL clamps the weights of two tasks to 0.001-0.999. With
    `at="features"` this is MGDA-UB. With `TransformedWeighting` it becomes log-MGDA.

        weights = MGDA()(gramian, losses)

    Args:
        normalization: divide each task's gradient before solving: `none` (the paper's algorithm), by its norm (`l2`),
            its loss (`loss`) or both (`loss+`); the last three are options of the authors' code.
        sum_to: sum of the weights before they are normalised: `one` as in the paper, or `tasks` (K, as in nash-mtl).
    """

    paper = "Sener, Koltun, Multi-Task Learning as Multi-Objective Optimization, NeurIPS 2018"
    scaling = "common"
    never_conflicts = True

    def __init__(
        self,
        normalization: Literal["none", "l2", "loss", "loss+"] = "none",
        sum_to: Literal["one", "tasks"] = "one",
    ) -> None:
        super().__init__()
        self.normalization = normalization
        self.sum_to = sum_to

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        gram = decompose(gramian_KK)
        factor_K = torch.ones_like(gram.norms_K)
        if self.normalization in ("l2", "loss+"):
            factor_K = factor_K / gram.norms_K
        if self.normalization in ("loss", "loss+"):
            factor_K = factor_K / losses_K.to(factor_K).clamp(min=torch.finfo(losses_K.dtype).tiny)
        weights_K, stationary, solved = min_norm_point(gram._replace(norms_K=gram.norms_K * factor_K))
        self.report(stationary, inexact=~solved)
        return weights_K * factor_K * (len(weights_K) if self.sum_to == "tasks" else 1)
