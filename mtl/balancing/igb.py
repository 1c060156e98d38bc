"""Improvable gap balancing (IGBv1): a task whose loss has fallen far from its start counts less.

Source: Dai, Fei, Lu, "Improvable Gap Balancing for Multi-Task Learning", UAI 2023, section 3.3.
Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.balancing.protocols import LossWeighting


class IGBv1(LossWeighting):
    """Minimises sum of w_k log L_k with w = K softmax(L / L_base).

    L / L_base, the remaining share of the loss, is the improvable gap. L_base is the mean loss of one early epoch;
    until then, w = 1. The paper's second version, which learns the weights by reinforcement learning, is not
    implemented.

        method = IGBv1()
        objective = method(losses)
        method.observe_epoch(mean_losses_of_the_epoch)

    Args:
        base_epoch: epoch that sets L_base, counted from 0; also an argument of the authors' code.
        floor: losses at or below this value get weight 0.
    """

    paper = "Dai, Fei, Lu, Improvable Gap Balancing for Multi-Task Learning, UAI 2023"
    scaling = "each"
    positive_losses = True
    base_K: Tensor
    epochs: Tensor

    def __init__(self, base_epoch: int = 0, floor: float = 1e-12) -> None:
        super().__init__()
        if base_epoch < 0:
            raise ValueError(f"base_epoch={base_epoch} must be at least 0, the first epoch.")
        self.base_epoch = base_epoch
        self.floor = floor

    def make_state(self, num_tasks: int) -> None:
        self.register_buffer("base_K", torch.full((num_tasks,), torch.nan))
        self.register_buffer("epochs", torch.tensor(0))

    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        gap_K = losses_K.detach() / self.base_K[index_K].to(losses_K.dtype)
        # without L_base (before that epoch, or for a task without labels in it) the gap is 1
        gap_K = torch.where(gap_K.isfinite(), gap_K, torch.ones_like(gap_K))
        weights_K = len(losses_K) * torch.softmax(gap_K, dim=0)
        return (weights_K * torch.log(losses_K.clamp_min(self.floor))).sum()

    def observe_epoch(self, losses: Tensor, scores: Tensor | None = None) -> None:
        setting = (self.epochs == self.base_epoch) & losses.isfinite() & (losses > 0)
        self.base_K.copy_(torch.where(setting, losses.detach(), self.base_K))
        self.epochs += 1
