"""IMTL-L, the loss part of impartial learning: learn one scale per task that brings all losses to the same size.

Source: Liu et al., "Towards Impartial Multi-task Learning", ICLR 2021, section 3.2.
Shapes: K tasks.
"""

import torch
from torch import Tensor, nn

from mtl.balancing.protocols import LossWeighting


class IMTLL(LossWeighting):
    """Minimises sum of exp(s_k) L_k - s_k over the network and s; at the optimum of s every scaled loss is 1.

    With the optimal s at every step, the objective is the sum of the log losses, up to a constant. LibMTL combines
    IMTL-L and IMTL-G in one method; here that is `TransformedWeighting(transform=IMTLL(), method=IMTLG())`.

        method = IMTLL()
        objective = method(losses)  # learn method.parameters() with the network

    Args:
        scale: initial s_k; the paper uses 0.
        weight_lr: learning rate of s; the model's learning rate by default.
    """

    paper = "Liu et al., Towards Impartial Multi-task Learning, ICLR 2021"
    scaling = "common"
    scales: Tensor

    def __init__(self, scale: float = 0.0, weight_lr: float | None = None) -> None:
        super().__init__()
        self.scale = scale
        self.weight_lr = weight_lr

    def make_state(self, num_tasks: int) -> None:
        self.scales = nn.Parameter(torch.full((num_tasks,), self.scale))

    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        s_K = self.scales[index_K]
        return (torch.exp(s_K) * losses_K - s_K).sum()
