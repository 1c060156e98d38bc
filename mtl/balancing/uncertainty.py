"""Uncertainty weighting (UW): learn the noise level of each task together with the network.

Source: Kendall, Gal, Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and
Semantics", CVPR 2018, eq. 7 and section 3.2.
Shapes: K tasks.
"""

import torch
from torch import Tensor, nn

from mtl.balancing.protocols import LossWeighting


class Uncertainty(LossWeighting):
    """Minimises sum of L_k exp(-s_k) / 2 + s_k / 2, with learned s_k, the log of the task's noise variance.

    The objective can become negative, so do not use it for early stopping. LibMTL starts s at -0.5, nash-mtl and
    TorchJD at 0; nash-mtl learns s with Adam at lr 0.025. Weight decay would pull s to 0, so its parameter group has
    none.

        method = Uncertainty()
        objective = method(losses)  # learn method.parameters() with the network

    Args:
        log_variance: initial s_k; the paper gives none.
        weight_lr: learning rate of s; the model's learning rate by default.
    """

    paper = "Kendall, Gal, Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses, CVPR 2018"
    scaling = "common"
    log_variances: Tensor

    def __init__(self, log_variance: float = 0.0, weight_lr: float | None = None) -> None:
        super().__init__()
        self.log_variance = log_variance
        self.weight_lr = weight_lr

    def make_state(self, num_tasks: int) -> None:
        self.log_variances = nn.Parameter(torch.full((num_tasks,), self.log_variance))

    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        s_K = self.log_variances[index_K]
        return (torch.exp(-s_K) * losses_K + s_K).sum() / 2
