"""Dynamic weight average (DWA): a task whose loss falls slowly weighs more.

Source: Liu, Johns, Davison, "End-to-End Multi-Task Learning with Attention", CVPR 2019, eq. 7.
Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.balancing.protocols import LossWeighting


class DWA(LossWeighting):
    """Weights w = K softmax(r / T), with r_k the ratio of the mean losses of the last epoch and the one before.

    All weights are 1 for the first two epochs. Like the authors' code and LibMTL, DWA compares epochs; the nash-mtl
    code base compares windows of 25 steps. The weights sum to the number of tasks.

        method = DWA()
        objective = method(losses)
        method.observe_epoch(mean_losses_of_the_epoch)

    Args:
        temperature: T; larger values make the weights more equal. The paper uses 2.
    """

    paper = "Liu, Johns, Davison, End-to-End Multi-Task Learning with Attention, CVPR 2019"
    scaling = "common"
    last_K: Tensor
    before_K: Tensor

    def __init__(self, temperature: float = 2.0) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature={temperature} must be above 0; the paper uses 2.")
        self.temperature = temperature

    def make_state(self, num_tasks: int) -> None:
        # NaN: no epoch of this task yet
        self.register_buffer("last_K", torch.full((num_tasks,), torch.nan))
        self.register_buffer("before_K", torch.full((num_tasks,), torch.nan))

    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        ratio_K = (self.last_K / self.before_K)[index_K].to(losses_K.dtype)
        ratio_K = torch.where(ratio_K.isfinite(), ratio_K, torch.ones_like(ratio_K))
        return (len(losses_K) * torch.softmax(ratio_K / self.temperature, dim=0) * losses_K).sum()

    def observe_epoch(self, losses: Tensor, scores: Tensor | None = None) -> None:
        # a task without any label in the epoch keeps its ratio
        seen_K = losses.isfinite()
        self.before_K.copy_(torch.where(seen_K, self.last_K, self.before_K))
        self.last_K.copy_(torch.where(seen_K, losses.detach(), self.last_K))
