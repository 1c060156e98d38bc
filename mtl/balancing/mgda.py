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
from mtl.functional.simplex import min_norm_point


class MGDA(GradientWeighting):
    """Weights w = argmin over the simplex of w G w, with G the Gramian.

    The update descends in every task, and is 0 exactly at a Pareto-stationary point (`status` says so). It is dominated
    by the smallest gradient. Solved exactly: the authors' and TorchJD's Frank-Wolfe is 2-7 % off for 5 to 10 tasks, and
    never leaves a large gradient when norms differ by 1e4. LibMTL cuts the weights of two tasks to 0.001-0.999.
    On features (`at="features"`) this is MGDA-UB. `TransformedWeighting` makes it log-MGDA.

        weights = MGDA()(gramian, losses)

    Args:
        normalization: divide task k's gradient before the search, by nothing (the paper's algorithm), its length
            (`l2`), its loss (`loss`) or both (`loss+`); the latter are options of the authors' code.
        sum_to: sum of the weights before the normalisation is applied: `one`, as in the paper, or `tasks` (nash-mtl).
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
        weights_K, stationary = min_norm_point(gram._replace(norms_K=gram.norms_K * factor_K))
        self.report(stationary)
        return weights_K * factor_K * (len(weights_K) if self.sum_to == "tasks" else 1)
