"""MoCo, multi-objective gradient correction: MGDA on running averages of the gradients, which removes its noise bias.

Source: Fernando et al., "Mitigating Gradient Bias in Multi-objective Learning: A Provably Convergent Approach", ICLR
2023, algorithm 1.
Shapes: K tasks, P shared parameters.
"""

from typing import Literal

import torch
from torch import Tensor

from mtl.balancing.method import OK
from mtl.balancing.protocols import GradientAggregation
from mtl.functional.solvers.simplex import project_simplex


class MoCo(GradientAggregation):
    """Y <- Y - beta (Y - g); w <- projection(w - gamma (Y Y^T + rho I) w); the update is w Y.

    beta and gamma decay as 1 / t^sigma. Like the authors' code, LibMTL first scales each gradient to the size of its
    loss, and uses a softmax in place of the projection: `scale="loss", projection="softmax"`. The method stores one
    extra copy of the K gradients.

        method = MoCo()
        update = method(gradients, losses)

    Args:
        beta: step size of the averages.
        beta_sigma: decay exponent of beta.
        gamma: step size of the weights.
        gamma_sigma: decay exponent of gamma.
        rho: pull towards equal weights, at least 0.
        scale: `none` as in the algorithm, or `loss`: g_k L_k / |g_k|.
        projection: how weights are kept on the simplex: `simplex` (the nearest point) or `softmax`.
    """

    paper = "Fernando et al., Mitigating Gradient Bias in Multi-objective Learning, ICLR 2023"
    at = ("parameters",)
    gradient_state = ("average_KP",)
    average_KP: Tensor
    weights_K: Tensor
    step: Tensor

    def __init__(
        self,
        beta: float = 0.5,
        beta_sigma: float = 0.5,
        gamma: float = 0.1,
        gamma_sigma: float = 0.5,
        rho: float = 0.0,
        scale: Literal["none", "loss"] = "none",
        projection: Literal["simplex", "softmax"] = "simplex",
    ) -> None:
        super().__init__()
        if not 0 < beta <= 1 or not gamma > 0 or rho < 0:
            raise ValueError(f"beta={beta} must be in 0..1, gamma={gamma} above 0 and rho={rho} at least 0.")
        self.beta, self.beta_sigma = beta, beta_sigma
        self.gamma, self.gamma_sigma = gamma, gamma_sigma
        self.rho = rho
        self.scale = scale
        self.projection = projection

    def make_state(self, num_tasks: int) -> None:
        self.register_buffer("weights_K", torch.ones(num_tasks))  # weights times K: 1/K is not exact in float32
        self.register_buffer("step", torch.tensor(0))

    def combine(self, gradients_KP: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        finite = (self.status == OK) & losses_K.isfinite().all()
        step = self.step + 1
        if self.scale == "loss":
            norms_K = gradients_KP.norm(dim=1)
            factor_K = losses_K / torch.where(norms_K > 0, norms_K, torch.ones_like(norms_K))
            gradients_KP = gradients_KP * factor_K[:, None]
        count = step.to(gradients_KP.dtype)  # the power of an integer tensor is float32
        beta = self.beta / count**self.beta_sigma
        average_KP = torch.lerp(self.read("average_KP", index_K), gradients_KP, beta)
        weights_K = self.weights_K[index_K].to(gradients_KP.dtype) / self.num_tasks
        gamma = self.gamma / count**self.gamma_sigma
        slope_K, unit = _slopes(average_KP, weights_K)
        # a projection does not see a common shift; without it, huge slopes would all be the same infinity
        shift = torch.where(unit > 1, slope_K.min(), 0.0)
        moved_K = weights_K - gamma * ((slope_K - shift) * unit + self.rho * weights_K)
        # the sum of the present tasks' weights does not change
        share = weights_K.sum()
        project = project_simplex if self.projection == "simplex" else _softmax
        new_K = share * project(torch.where(finite, moved_K, weights_K) / torch.where(share > 0, share, 1.0))
        self.write("average_KP", index_K, average_KP, finite)
        self.weights_K[index_K] = (torch.where(finite, new_K, weights_K) * self.num_tasks).to(self.weights_K.dtype)
        self.step.copy_(torch.where(finite, step, self.step))
        return new_K @ average_KP


def _slopes(average_KP: Tensor, weights_K: Tensor) -> tuple[Tensor, Tensor]:
    """Y Y' w over a unit, and the unit: 1, or for large gradients so large that no square overflows."""
    direction_P = weights_K @ average_KP
    largest = average_KP.abs().max()
    limit = torch.finfo(average_KP.dtype).max
    unit = torch.where(largest > limit**0.25, (largest * average_KP.shape[1]).clamp(max=limit), 1.0)
    return average_KP @ (direction_P / unit), unit


def _softmax(point_K: Tensor) -> Tensor:
    return torch.softmax(point_K, dim=0)
