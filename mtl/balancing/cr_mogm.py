"""CR-MOGM: smooth the weights of another method over steps.

Source: Zhou et al., "On the Convergence of Stochastic Multi-Objective Gradient Manipulation and Beyond", NeurIPS 2022,
algorithm 1.
Shapes: K tasks.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from mtl.balancing.mgda import MGDA
from mtl.balancing.protocols import GradientWeighting


class CRMOGM(GradientWeighting):
    """Weights w <- alpha w + (1 - alpha) w', with w' the weights of the wrapped method.

    Smoothing removes batch noise from the weights, and with it their correlation with the batch's gradients, which
    biases the wrapped methods. The paper wraps MGDA, PCGrad and CAGrad, with weights on the simplex.

        weights = CRMOGM(method=CAGrad())(gramian, losses)

    Args:
        method: the wrapped method; MGDA by default.
        alpha: share of the old weights, 0 to 1; 0.9 in TorchJD.
        start: initial w: the weights of the `first` call (as in TorchJD; works for weights that do not sum to 1), or
            `equal`, 1 / K each.

    Raises:
        ValueError: if alpha is not within 0..1.
    """

    paper = "Zhou et al., On the Convergence of Stochastic Multi-Objective Gradient Manipulation, NeurIPS 2022"
    weights_K: Tensor

    def __init__(
        self, method: GradientWeighting | None = None, alpha: float = 0.9, start: Literal["first", "equal"] = "first"
    ) -> None:
        super().__init__()
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha={alpha} must be within 0..1.")
        self.method = MGDA() if method is None else method
        self.head_gradients = self.method.head_gradients
        self.at = self.method.at
        self.alpha = alpha
        self.start = start

    def make_state(self, num_tasks: int) -> None:
        self.method.build(num_tasks)
        self.losses_after_step = self.method.losses_after_step
        start = 1 / num_tasks if self.start == "equal" else torch.nan
        self.register_buffer("weights_K", torch.full((num_tasks,), start, dtype=torch.float64))

    def head_weights(self, losses: Tensor, present: Sequence[bool] | None = None) -> Tensor:
        return self.method.head_weights(losses, present)

    def parameter_loss(self, losses: Tensor, present: Sequence[bool] | None = None) -> Tensor | None:
        return self.method.parameter_loss(losses, present)

    def observe_step(self, losses: Tensor) -> None:
        self.method.observe_step(losses)

    def observe_epoch(self, losses: Tensor, scores: Tensor | None = None) -> None:
        self.method.observe_epoch(losses, scores)

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        new_K = self.method.weigh(gramian_KK, losses_K, index_K).to(self.weights_K.dtype)
        old_K = self.weights_K[index_K]
        old_K = torch.where(old_K.isnan(), new_K, old_K)
        weights_K = self.alpha * old_K + (1 - self.alpha) * new_K
        self.weights_K[index_K] = weights_K
        self.status.copy_(self.method.status)
        return weights_K
