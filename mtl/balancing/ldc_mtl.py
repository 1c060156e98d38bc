"""LDC-MTL, loss discrepancy control: learned weights, and a penalty on differences between neighbouring losses.

Source: Xiao et al., "LDC-MTL: Balancing Multi-Task Learning through Scalable Loss Discrepancy Control", 2025,
arXiv 2502.08585.
Shapes: K tasks.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from mtl.balancing.protocols import LossWeighting


class LDCMTL(LossWeighting):
    """Minimises sum of w_k L_k + lambda sum of |tau_k L_k - tau_(k+1) L_(k+1)| over network and weights in one pass.

    This is the paper's first-order bilevel step. The weights are free scalars, as in the authors' CelebA code. The
    paper and its Cityscapes code compute them by a router on the features, which a method that sees only losses cannot
    do. The authors' settings: Cityscapes `weights="softmax"`, `tau="one"`, lambda 0.1; CelebA `weights="sigmoid"`,
    `tau="weights"`, lambda 0.01, with the first sum divided by sg(sum of w). The penalty compares neighbours, so the
    order of the tasks matters.

        method = LDCMTL()
        objective = method(losses)  # learn method.parameters() with the network

    Args:
        discrepancy: lambda, weight of the penalty.
        weights: `sigmoid` of a free scalar per task, or `softmax` over the tasks.
        tau: `weights` compares weighted losses, `one` unweighted losses.
        normalise: divide each loss by its first value, the paper's coarse normalisation; the authors' Cityscapes and
            CelebA code does not normalise.
        weight_lr: learning rate of the scalars; the model's learning rate by default.
    """

    paper = "Xiao et al., LDC-MTL: Balancing Multi-Task Learning through Scalable Loss Discrepancy Control, 2025"
    symmetric = False
    scaling = "common"
    logits: Tensor
    first_K: Tensor

    def __init__(
        self,
        discrepancy: float = 0.01,
        weights: Literal["sigmoid", "softmax"] = "sigmoid",
        tau: Literal["weights", "one"] = "weights",
        normalise: bool = False,
        weight_lr: float | None = None,
    ) -> None:
        super().__init__()
        if discrepancy < 0:
            raise ValueError(f"discrepancy={discrepancy} must be at least 0; the authors use 0.1 and 0.01.")
        self.discrepancy = discrepancy
        self.kind = weights
        self.tau = tau
        self.normalise = normalise
        self.weight_lr = weight_lr

    def make_state(self, num_tasks: int) -> None:
        self.logits = nn.Parameter(torch.zeros(num_tasks))
        self.register_buffer("first_K", torch.full((num_tasks,), torch.nan))

    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        if self.normalise:
            losses_K = losses_K / self._first(losses_K.detach(), index_K)
        logits_K = self.logits[index_K].to(losses_K.dtype)
        if self.kind == "softmax":
            weights_K = torch.softmax(logits_K, dim=0)
            total = (weights_K * losses_K).sum()
        else:
            weights_K = torch.sigmoid(logits_K)
            total = (weights_K * losses_K).sum() / weights_K.detach().sum()
        compared_K = losses_K if self.tau == "one" else weights_K * losses_K
        return total + self.discrepancy * (compared_K[1:] - compared_K[:-1]).abs().sum()

    @torch.no_grad()
    def _first(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        first_K = self.first_K[index_K].to(losses_K.dtype)
        usable_K = losses_K.isfinite() & (losses_K > 0)
        first_K = torch.where(first_K.isnan() & usable_K, losses_K, first_K)
        self.first_K[index_K] = first_K.to(self.first_K.dtype)
        return first_K.nan_to_num(1.0)
