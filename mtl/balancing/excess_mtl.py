"""ExcessMTL: weigh tasks by excess risk, the distance of a loss to its optimum, so noisy tasks do not dominate.

Source: He et al., "Robust Multi-Task Learning with Excess Risks", ICML 2024, eq. 6, 7, 9 and section 3.2.
Shapes: K tasks, P shared parameters.
"""

from typing import Literal

import torch
from torch import Tensor

from mtl.balancing.method import OK
from mtl.balancing.protocols import GradientAggregation

_EPS = 1e-7


class ExcessMTL(GradientAggregation):
    """w <- w exp(eta e) / sum, with e_k = sum of g_k^2 / sqrt(S_k) over its first value, S_k the sum of all g_k^2.

    The first call has no first value yet: the authors and TorchJD use e undivided (`first="raw"`), LibMTL keeps equal
    weights (`first="skip"`). With `warmup_steps`, the first value is the mean over these calls, as in the paper's
    appendix. In LibMTL the weights sum to K and eta is 0.01; in TorchJD they sum to 1 and eta is 1. The method stores
    one extra copy of the K gradients.

        method = ExcessMTL()
        update = method(gradients)

    Args:
        step_size: eta.
        warmup_steps: number of calls with equal weights that set the first value.
        first: first call without warm-up, `raw` or `skip`.
        sum_to: sum of the weights, `one` or `tasks` (the number of tasks).
    """

    paper = "He et al., Robust Multi-Task Learning with Excess Risks, ICML 2024"
    head_gradients = "weighted"
    at = ("parameters",)
    gradient_state = ("squares_KP",)
    squares_KP: Tensor
    log_weights_K: Tensor
    first_K: Tensor
    calls_K: Tensor

    def __init__(
        self,
        step_size: float = 0.01,
        warmup_steps: int = 0,
        first: Literal["raw", "skip"] = "raw",
        sum_to: Literal["one", "tasks"] = "one",
    ) -> None:
        super().__init__()
        if not step_size > 0 or warmup_steps < 0:
            raise ValueError(f"step_size={step_size} must be above 0 and warmup_steps={warmup_steps} at least 0.")
        self.step_size = step_size
        self.warmup_steps = warmup_steps
        self.first = first
        self.sum_to = sum_to

    def make_state(self, num_tasks: int) -> None:
        self.register_buffer("log_weights_K", torch.full((num_tasks,), 1 / num_tasks).log())
        self.register_buffer("first_K", torch.zeros(num_tasks))  # sum over the warm-up, or the first value
        self.register_buffer("calls_K", torch.zeros(num_tasks, dtype=torch.long))

    def combine(self, gradients_KP: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        finite = self.status == OK
        squares_KP = gradients_KP.square()
        sums_KP = self.read("squares_KP", index_K) + squares_KP
        excess_K = squares_KP.div_((sums_KP + _EPS).sqrt_()).sum(1)
        calls_K = self.calls_K[index_K]
        warm_K = calls_K < self.warmup_steps
        first_K = self.first_K[index_K].to(excess_K.dtype)
        relative_K = excess_K / (first_K / max(self.warmup_steps, 1) + _EPS)
        if not self.warmup_steps:
            at_first_K = excess_K if self.first == "raw" else torch.zeros_like(excess_K)
            relative_K = torch.where(calls_K == 0, at_first_K, relative_K)
        first_K = torch.where(warm_K | ((calls_K == 0) & (self.warmup_steps == 0)), first_K + excess_K, first_K)
        moved_K = self.step_size * torch.where(warm_K, torch.zeros_like(relative_K), relative_K)
        everybody_K = self.log_weights_K.to(excess_K.dtype, copy=True)
        everybody_K[index_K] += moved_K
        everybody_K = torch.log_softmax(everybody_K, dim=0).clamp_min(-1e4)
        self.write("squares_KP", index_K, sums_KP, finite)
        self.first_K[index_K] = torch.where(finite, first_K, self.first_K[index_K]).to(self.first_K.dtype)
        self.calls_K[index_K] = torch.where(finite, calls_K + 1, calls_K)
        self.log_weights_K.copy_(torch.where(finite, everybody_K, self.log_weights_K))
        weights_K = torch.softmax(everybody_K[index_K], dim=0)
        if self.sum_to == "tasks":
            weights_K = weights_K * len(index_K)
        self.task_weights = weights_K.new_zeros(self.num_tasks).index_copy(0, index_K, weights_K)
        return weights_K @ gradients_KP
