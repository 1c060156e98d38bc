"""FAMO, fast adaptive multitask optimisation: all losses fall at the same rate, at the cost of one extra forward pass.

Source: Liu et al., "FAMO: Fast Adaptive Multitask Optimization", NeurIPS 2023, algorithm 1.
Shapes: K tasks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtl.balancing.fixed import check_length, task_values
from mtl.balancing.protocols import LossWeighting

_EPS = 1e-8  # keeps the logarithm of a loss at its minimum finite, as in the authors' code
_BETA1, _BETA2, _ADAM_EPS = 0.9, 0.999, 1e-8


class FAMO(LossWeighting):
    """Minimises sum of z_k log D_k / c, with z = softmax(w), D = L - minimum, c = sum of z_k / D_k held constant.

    After the optimiser step, the losses of the same batch are computed again, and Adam moves w along
    (dz/dw)^T (log D after - log D before): a task whose loss fell less gains weight. This Adam step is part of the
    method (w is a buffer), not of the model's optimiser. The weight decay gamma is 1e-3 in the paper and LibMTL, 1e-5
    in the authors' class. The objective is a logarithm and can be negative. The second forward pass should run without
    dropout and must not update batch statistics.

        method = FAMO()
        method(losses).backward(); optimizer.step()
        method.observe_step(losses_of_the_same_batch_again)

    Args:
        lr: learning rate of w.
        weight_decay: gamma, which pulls the weights towards equal ones.
        min_losses: lowest reachable loss of each task; 0 by default.
    """

    paper = "Liu et al., FAMO: Fast Adaptive Multitask Optimization, NeurIPS 2023"
    losses_after_step = True
    scaling = "each"
    positive_losses = True
    logits_K: Tensor
    log_before_K: Tensor
    mean_K: Tensor
    square_K: Tensor
    step: Tensor
    min_K: Tensor

    def __init__(
        self, lr: float = 0.025, weight_decay: float = 1e-3, min_losses: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        if not lr > 0 or weight_decay < 0:
            raise ValueError(f"lr={lr} must be above 0 and weight_decay={weight_decay} at least 0.")
        self.lr = lr
        self.weight_decay = weight_decay
        self.min_losses = None if min_losses is None else [float(loss) for loss in min_losses]

    def make_state(self, num_tasks: int) -> None:
        minimum_K = task_values(self.min_losses, num_tasks, 0.0)
        check_length(minimum_K, num_tasks, "min_losses")
        self.register_buffer("min_K", minimum_K)
        for name in ("logits_K", "mean_K", "square_K"):
            self.register_buffer(name, torch.zeros(num_tasks))
        # NaN: the task was not in the last batch
        self.register_buffer("log_before_K", torch.full((num_tasks,), torch.nan))
        self.register_buffer("step", torch.tensor(0))

    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        z_K = torch.softmax(self.logits_K[index_K].to(losses_K.dtype), dim=0)
        excess_K = losses_K - self.min_K[index_K].to(losses_K.dtype)
        # a loss at its minimum gets no gradient instead of a huge one
        log_K = torch.log(excess_K.clamp_min(0) + _EPS)
        c = (z_K / (excess_K.detach().clamp_min(0) + _EPS)).sum()
        with torch.no_grad():
            before_K = torch.full_like(self.log_before_K, torch.nan)
            # weights are relative to each other, so one loss that is not finite blocks the update of all
            before_K[index_K] = torch.where(log_K.isfinite().all(), log_K, torch.nan).to(before_K.dtype)
            self.log_before_K.copy_(before_K)
        return (z_K * log_K).sum() / c

    @torch.no_grad()
    def observe_step(self, losses: Tensor) -> None:
        losses = losses.detach()
        after_K = torch.log((losses - self.min_K.to(losses.dtype)).clamp_min(0) + _EPS)
        after_K = after_K.to(self.logits_K.dtype)
        present_K = self.log_before_K.isfinite()
        valid = present_K.any() & (after_K.isfinite() | ~present_K).all()
        fall_K = torch.where(present_K, self.log_before_K - after_K, torch.zeros_like(after_K))
        z_K = torch.softmax(self.logits_K.masked_fill(~present_K, -torch.inf), dim=0).nan_to_num()
        grad_K = z_K * (fall_K - (z_K * fall_K).sum()) + self.weight_decay * self.logits_K
        step = self.step + 1
        count = step.to(grad_K.dtype)
        mean_K = torch.lerp(self.mean_K, grad_K, 1 - _BETA1)
        square_K = _BETA2 * self.square_K + (1 - _BETA2) * grad_K**2
        size_K = (square_K / (1 - _BETA2**count)).sqrt() + _ADAM_EPS
        logits_K = self.logits_K - self.lr * mean_K / (1 - _BETA1**count) / size_K
        for buffer, new in (
            (self.logits_K, logits_K),
            (self.mean_K, mean_K),
            (self.square_K, square_K),
            (self.step, step),
        ):
            buffer.copy_(torch.where(valid, new.to(buffer.dtype), buffer))
