"""GO4Align: tasks with similar risk form groups, and a group shares one weight.

Source: Shen et al., "GO4Align: Group Optimization for Multi-Task Alignment", NeurIPS 2024, section 3.
Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.balancing.protocols import LossWeighting
from mtl.functional.kmeans_1d import kmeans_1d


class GO4Align(LossWeighting):
    """Minimises sum of w_k L_k; w_k is the mean risk indicator of the group of task k.

    The indicator is u_k = p_k (sum of L) / L_k, with p_k proportional to p_k exp(-beta L_k) over the steps. The
    authors group u by scikit-learn's k-means on the CPU at every step, which starts at random; on a line the best
    groups can be found exactly, on the device, and so it is done here. Weights are free in sum, and weigh the heads
    too, as in the authors' code.

        objective = GO4Align(num_groups=2)(losses)

    Args:
        num_groups: of tasks; the authors use 5. With as many groups as tasks each has its own weight.
        beta: how fast the indicator follows the losses.
        floor: a loss below counts as this in L / L_k.
    """

    paper = "Shen et al., GO4Align: Group Optimization for Multi-Task Alignment, NeurIPS 2024"
    positive_losses = True
    log_share_K: Tensor

    def __init__(self, num_groups: int = 5, beta: float = 1e-4, floor: float = 1e-12) -> None:
        super().__init__()
        if num_groups < 1:
            raise ValueError(f"num_groups={num_groups} must be at least 1; the authors use 5.")
        self.num_groups = num_groups
        self.beta = beta
        self.floor = floor

    def make_state(self, num_tasks: int) -> None:
        self.register_buffer("log_share_K", torch.full((num_tasks,), 1 / num_tasks).log())

    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        known_K = losses_K.detach()
        with torch.no_grad():
            moved_K = self.log_share_K.to(known_K.dtype, copy=True)
            moved_K[index_K] -= self.beta * known_K
            moved_K -= torch.logsumexp(moved_K, dim=0)
            kept_K = torch.where(known_K.isfinite().all(), moved_K, self.log_share_K.to(known_K.dtype))
            self.log_share_K.copy_(kept_K)
            share_K = torch.softmax(kept_K[index_K], dim=0)
            weights_K = kmeans_1d(share_K * known_K.sum() / known_K.clamp_min(self.floor), self.num_groups)
        return (weights_K * losses_K).sum()
