"""GO4Align: group tasks by similar risk; all tasks of a group share one weight.

Source: Shen et al., "GO4Align: Group Optimization for Multi-Task Alignment", NeurIPS 2024, section 3.
Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.balancing.protocols import LossWeighting
from mtl.functional.kmeans_1d import kmeans_1d


class GO4Align(LossWeighting):
    """Minimises sum of w_k L_k, with w_k the mean risk indicator over the group of task k.

    The indicator is u_k = p_k (sum of L) / L_k; at each step p_k is multiplied by exp(-beta L_k) and p normalised. At
    every step the authors run scikit-learn's k-means on the CPU, which starts at random. Here the groups are optimal
    and computed on the device, which is possible because u is one-dimensional. As in the authors' code, the sum of the
    weights is not fixed, and the weights also apply to the heads. A loss at or below `floor` has no indicator: it gets
    weight 0 and is in no group; at or below 0, `status` reports it.

        objective = GO4Align(num_groups=2)(losses)

    Args:
        num_groups: number of groups; the authors use 5. With as many groups as tasks, every task has its own weight.
        beta: how fast the indicator follows the losses.
        floor: losses at or below this value get weight 0; the indicator divides by the loss.
    """

    paper = "Shen et al., GO4Align: Group Optimization for Multi-Task Alignment, NeurIPS 2024"
    positive_losses = True
    log_share_K: Tensor

    def __init__(self, num_groups: int = 5, beta: float = 1e-4, floor: float = 1e-6) -> None:
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
            low_K = known_K <= self.floor
            risk_K = share_K * known_K.sum() / torch.where(low_K, 1.0, known_K)
            # without an indicator of its own, a low loss counts as one of the others', so that it makes no group
            highest = torch.where(low_K, -torch.inf, risk_K).max()
            grouped_K = kmeans_1d(torch.where(low_K, highest.nan_to_num(0.0, 0.0, 0.0), risk_K), self.num_groups)
            weights_K = torch.where(low_K, 0.0, grouped_K)
        return (weights_K * losses_K).sum()
