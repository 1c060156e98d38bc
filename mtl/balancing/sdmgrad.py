"""SDMGrad: stochastic MGDA that stays near the mean gradient, made unbiased by independent batches.

Source: Xiao, Ban, Ji, "Direction-oriented Multi-objective Learning: Simple and Provable Stochastic Algorithms", NeurIPS
2023, arXiv:2305.18409, algorithm 1.
Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.balancing.protocols import GradientWeighting
from mtl.functional.solvers.simplex import project_simplex


class SDMGrad(GradientWeighting):
    """Weights (w + lam / K) / (1 + lam), w on the simplex after gradient steps on |J' (w + lam / K)|^2 / 2.

    The paper estimates the gradient of this norm by J_0 J_1' (w + lam / K), with the Jacobians of two independent
    batches, and applies the weights to a third. `gramian` may be the product J_0 J_1', which is not symmetric. With the
    Gramian of one batch, the method is a regularised MGDA, biased towards tasks with little gradient noise. As in the
    authors' code, the product is first divided by (mean of the square roots of its diagonal's positive part)^2.

        weights = SDMGrad()(gramian, losses)

    Args:
        lam: pull towards the mean gradient, at least 0; 0.3 in the authors' scripts, 0.6 in their class.
        lr: step size; 5 in LibMTL, 10 in TorchJD.
        momentum: momentum of the steps; the velocity starts at 0 in every call.
        num_steps: number of steps per call.
    """

    paper = "Xiao, Ban, Ji, Direction-oriented Multi-objective Learning, NeurIPS 2023"
    scaling = "common"
    weights_K: Tensor

    def __init__(self, lam: float = 0.3, lr: float = 5.0, momentum: float = 0.5, num_steps: int = 20) -> None:
        super().__init__()
        if lam < 0 or lr <= 0 or num_steps < 1:
            raise ValueError(f"lam={lam} must be at least 0, lr={lr} above 0 and num_steps={num_steps} at least 1.")
        self.lam = lam
        self.lr = lr
        self.momentum = momentum
        self.num_steps = num_steps

    def make_state(self, num_tasks: int) -> None:
        self.register_buffer("weights_K", torch.full((num_tasks,), 1 / num_tasks, dtype=torch.float64))

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        matrix_KK = gramian_KK.to(self.weights_K.dtype)
        scale = matrix_KK.diagonal().clamp(min=0).sqrt().mean() ** 2
        matrix_KK = matrix_KK / torch.where(scale > 0, scale, 1.0)
        # missing tasks keep their share
        share = self.weights_K[index_K].sum()
        weights_K = torch.where(share > 0, self.weights_K[index_K] / share, 1 / len(index_K))
        pull = self.lam / len(index_K)
        velocity_K = torch.zeros_like(weights_K)
        for _ in range(self.num_steps):
            velocity_K = self.momentum * velocity_K + matrix_KK @ (weights_K + pull)
            weights_K = project_simplex(weights_K - self.lr * velocity_K)
        self.weights_K[index_K] = share * weights_K
        self.report(singular=scale <= 0)
        return (weights_K + pull) / (1 + self.lam)
