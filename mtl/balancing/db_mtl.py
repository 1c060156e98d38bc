"""DB-MTL, dual balancing: equalise the losses by logarithms and the gradients by scaling them to the largest norm.

Source: Lin et al., "Dual-Balancing for Multi-Task Learning", Neural Networks 2025 (arXiv 2308.12029), algorithm 1.
Shapes: K tasks, P shared parameters.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtl.balancing.method import OK
from mtl.balancing.protocols import GradientAggregation

_EPS = 1e-8  # log(L + eps) and the norms, as in the authors' code


class DBMTL(GradientAggregation):
    """The update is the sum of Y_k max|Y| / |Y_k|, with Y a running average of the gradients of log(L_k + 1e-8).

    Y <- beta Y + (1 - beta) g. As in LibMTL (the authors' code), Y starts at 0 without bias correction, so the first
    update has (1 - beta) of its full length; `correct_bias` corrects this. The heads also get the gradient of the
    logarithm. The method stores one extra copy of the K gradients.

        method = DBMTL()
        update = method(gradients, losses)  # the gradients of the losses themselves

    Args:
        beta: decay of the average; 0 disables averaging. The paper searches 0.1 to 0.9.
        beta_sigma: exponent sigma of the decay of beta, 1 / t^sigma; the authors use 0 or 0.5.
        correct_bias: correct the average for its start at 0, as Adam does.
    """

    paper = "Lin et al., Dual-Balancing for Multi-Task Learning, Neural Networks 2025"
    at = ("parameters",)
    gradient_state = ("average_KP",)
    average_KP: Tensor
    step: Tensor
    lacking_K: Tensor

    def __init__(self, beta: float = 0.9, beta_sigma: float = 0.0, correct_bias: bool = False) -> None:
        super().__init__()
        if not 0 <= beta < 1:
            raise ValueError(f"beta={beta} must be at least 0 and below 1; LibMTL uses 0.9.")
        self.beta = beta
        self.beta_sigma = beta_sigma
        self.correct_bias = correct_bias

    def make_state(self, num_tasks: int) -> None:
        self.register_buffer("step", torch.tensor(0))
        self.register_buffer("lacking_K", torch.ones(num_tasks))

    def combine(self, gradients_KP: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        finite = (self.status == OK) & losses_K.isfinite().all()
        step = self.step + 1
        beta = self.beta / step.to(gradients_KP.dtype) ** self.beta_sigma
        average_KP = torch.lerp(gradients_KP * _inverse(losses_K)[:, None], self.read("average_KP", index_K), beta)
        lacking_K = self.lacking_K[index_K] * beta
        self.write("average_KP", index_K, average_KP, finite)
        self.lacking_K[index_K] = torch.where(finite, lacking_K, self.lacking_K[index_K]).to(self.lacking_K.dtype)
        self.step.copy_(torch.where(finite, step, self.step))
        if self.correct_bias:
            average_KP = average_KP / (1 - lacking_K)[:, None]
        norms_K = average_KP.norm(dim=1)
        update_P: Tensor = (norms_K.max() / (norms_K + _EPS)) @ average_KP
        return update_P

    def head_weights(self, losses: Tensor, present: Sequence[bool] | None = None) -> Tensor:
        return _inverse(losses)


def _inverse(losses_K: Tensor) -> Tensor:
    return 1 / (losses_K.detach().clamp_min(0) + _EPS)
