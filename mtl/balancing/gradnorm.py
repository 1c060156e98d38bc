"""GradNorm: learn loss weights that give slowly training tasks a larger gradient.

Source: Chen, Badrinarayanan, Lee, Rabinovich, "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep
Multitask Networks", ICML 2018, arXiv:1711.02257, eq. 2 and algorithm 1.
Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.balancing.method import NOT_POSITIVE
from mtl.balancing.protocols import GradientWeighting
from mtl.functional.gramian import widest

SMALLEST = 1e-3
BETAS = (0.9, 0.999)


class GradNorm(GradientWeighting):
    """Weights w: each call takes a step that reduces sum_k |w_k n_k - target_k|, then scales w to sum to K.

    n_k is the norm of task k's gradient; target_k = mean(w n) r_k^alpha is treated as constant; r_k is L_k / L_k(0),
    the loss relative to its first value, divided by its mean over the tasks. As in the paper, a call returns the
    weights before the step. There is no official code.

    The paper computes n on the last shared layer, to save time. Here n comes from the Gramian: at the features after
    that layer, which is as cheap and nearly the same, or on all shared parameters (as in LibMTL). LibMTL also uses
    softmax weights, the mean losses of the first epoch as L(0), and the model's optimiser.

        weights = GradNorm()(gramian, losses)

    Args:
        alpha: how strongly slow tasks are favoured, at least 0; the paper uses 1.5 (0.12 for similar tasks).
        lr: learning rate of Adam for the weights. Before scaling, weights are clamped to at least 0.001, because the
            paper's rule can make them negative.

    Raises:
        ValueError: if the learning rate is not above 0.
    """

    paper = "Chen et al., GradNorm, ICML 2018"
    head_gradients = "weighted"
    scaling = "common"
    weights_K: Tensor
    first_losses_K: Tensor
    moment_K: Tensor
    square_K: Tensor
    calls_K: Tensor

    def __init__(self, alpha: float = 1.5, lr: float = 0.025) -> None:
        super().__init__()
        if lr <= 0:
            raise ValueError(f"lr={lr} must be above 0.")
        self.alpha = alpha
        self.lr = lr

    def make_state(self, num_tasks: int) -> None:
        zeros_K = torch.zeros(num_tasks, dtype=torch.float64)
        self.register_buffer("weights_K", zeros_K + 1)
        self.register_buffer("first_losses_K", zeros_K + torch.nan)
        self.register_buffer("moment_K", zeros_K.clone())
        self.register_buffer("square_K", zeros_K.clone())
        self.register_buffer("calls_K", zeros_K.clone())

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        old_K = self.weights_K[index_K].clone()
        losses_K = losses_K.to(old_K)
        first_K = self.first_losses_K[index_K]
        first_K = torch.where(first_K.isnan(), losses_K, first_K)
        self.first_losses_K[index_K] = first_K
        norms_K = widest(gramian_KK).diagonal().clamp(min=0).sqrt().to(old_K.dtype)
        positive = (losses_K > 0).all() & (first_K > 0).all()
        ratio_K = torch.where(positive, losses_K / first_K, 1.0)
        lengths_K = old_K * norms_K
        target_K = lengths_K.mean() * (ratio_K / ratio_K.mean()) ** self.alpha
        slope_K = (lengths_K - target_K).sign() * norms_K
        self._move(index_K, slope_K / norms_K.mean().clamp(min=torch.finfo(old_K.dtype).tiny))
        self.status.copy_(torch.where(positive, 0, NOT_POSITIVE))
        return old_K

    def _move(self, index_K: Tensor, slope_K: Tensor) -> None:
        """One Adam step for the present tasks; keeps the sum of their weights."""
        calls_K = self.calls_K[index_K] + 1
        moment_K = BETAS[0] * self.moment_K[index_K] + (1 - BETAS[0]) * slope_K
        square_K = BETAS[1] * self.square_K[index_K] + (1 - BETAS[1]) * slope_K**2
        step_K = moment_K / (1 - BETAS[0] ** calls_K) / ((square_K / (1 - BETAS[1] ** calls_K)).sqrt() + 1e-8)
        weights_K = (self.weights_K[index_K] - self.lr * step_K).clamp(min=SMALLEST)
        self.weights_K[index_K] = weights_K * self.weights_K[index_K].sum() / weights_K.sum()
        self.moment_K[index_K], self.square_K[index_K], self.calls_K[index_K] = moment_K, square_K, calls_K
