"""MoDo: stochastic MGDA, one step per call, made unbiased by independent batches.

Source: Chen, Fernando, Ying, Chen, "Three-Way Trade-Off in Multi-Objective Learning: Optimization, Generalization and
Conflict-Avoidance", NeurIPS 2023 and JMLR 2024, arXiv:2305.20057, algorithm 1.
Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.balancing.protocols import GradientWeighting
from mtl.functional.solvers.simplex import project_simplex


class MoDo(GradientWeighting):
    """Weights w; each call moves w to the point of the simplex nearest to w - gamma (J_0 J_1' w + rho w).

    J_0 and J_1 are the Jacobians of two independent batches. `gramian` may be their product, which is not symmetric;
    the weights are then for a third batch. With the Gramian of one batch, the step is biased towards tasks with little
    gradient noise. The gradients are not normalised, so the best gamma depends on the scale of the losses.

        weights = MoDo()(gramian, losses)

    Args:
        gamma: step size; 0.001 in LibMTL, 0.1 in TorchJD.
        rho: pull towards equal weights, at least 0.
    """

    paper = "Chen et al., Three-Way Trade-Off in Multi-Objective Learning, JMLR 2024"
    weights_K: Tensor

    def __init__(self, gamma: float = 0.001, rho: float = 0.1) -> None:
        super().__init__()
        if gamma <= 0 or rho < 0:
            raise ValueError(f"gamma={gamma} must be above 0 and rho={rho} at least 0.")
        self.gamma = gamma
        self.rho = rho

    def make_state(self, num_tasks: int) -> None:
        self.register_buffer("weights_K", torch.full((num_tasks,), 1 / num_tasks, dtype=torch.float64))

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        # missing tasks keep their share
        share = self.weights_K[index_K].sum()
        weights_K = torch.where(share > 0, self.weights_K[index_K] / share, 1 / len(index_K))
        slope_K = gramian_KK.to(weights_K.dtype) @ weights_K + self.rho * weights_K
        weights_K = project_simplex(weights_K - self.gamma * slope_K)
        self.weights_K[index_K] = share * weights_K
        self.report()  # the base class reports a weighted sum that vanishes
        return weights_K
