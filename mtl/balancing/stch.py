"""Smooth Tchebycheff scalarisation (STCH): minimise a smooth maximum of the losses, led by the worst task.

Source: Lin et al., "Smooth Tchebycheff Scalarization for Multi-Objective Optimization", ICML 2024, eq. 7 and
appendix on multi-task learning.
Shapes: K tasks.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from mtl.balancing.fixed import check_length, task_values, task_weights
from mtl.balancing.protocols import LossWeighting


class STCH(LossWeighting):
    """Minimises mu log sum of exp(p_k f_k / mu), with preferences p and values f.

    Two methods have this name. `values="log"` follows the multi-task code of the authors and LibMTL: f = log(L / nadir)
    with the nadir the mean loss of the last warm-up epoch, p = 1, and the result times K; during warm-up it minimises
    the sum of log losses. `values="raw"` follows the paper and TorchJD: f = L - ideal, p = 1/K, no warm-up.

        method = STCH(values="raw")
        objective = method(losses)

    Args:
        mu: smoothness; smaller values give the worst task more weight. The paper tries 0.01 to 1.
        values: `log` or `raw`, see above.
        warmup_epochs: only with `log`: the nadir is the mean loss of the epoch with this number, counted from 0. LibMTL
            uses 4.
        preferences: p, one entry per task; 0 ignores a task. By default 1 for `log` and 1/K for `raw`.
        ideal: only with `raw`: best value of each loss; 0 by default.
        sum_to: factor on the result, `one` or `tasks` (K); by default `tasks` for `log` and `one` for `raw`.
    """

    paper = "Lin et al., Smooth Tchebycheff Scalarization for Multi-Objective Optimization, ICML 2024"
    nadir_K: Tensor
    epochs: Tensor
    preference_K: Tensor
    ideal_K: Tensor

    def __init__(
        self,
        mu: float = 1.0,
        values: Literal["log", "raw"] = "log",
        warmup_epochs: int = 4,
        preferences: Sequence[float] | None = None,
        ideal: Sequence[float] | None = None,
        sum_to: Literal["one", "tasks"] | None = None,
    ) -> None:
        super().__init__()
        if not mu > 0:
            raise ValueError(f"mu={mu} must be above 0; the paper tries 0.01 to 1.")
        if ideal is not None and values == "log":
            raise ValueError("ideal has no effect with values='log', which divides by the nadir; remove it.")
        self.mu = mu
        self.values = values
        self.warmup_epochs = warmup_epochs
        self.preferences = None if preferences is None else task_weights(preferences, "preferences")
        self.ideal = ideal
        self.sum_to = sum_to or ("tasks" if values == "log" else "one")
        self.positive_losses = values == "log"

    def make_state(self, num_tasks: int) -> None:
        default = task_values(None, num_tasks, 1.0 if self.values == "log" else 1 / num_tasks)
        self.register_buffer("preference_K", default if self.preferences is None else self.preferences)
        self.register_buffer("ideal_K", task_values(self.ideal, num_tasks, 0.0))
        check_length(self.preference_K, num_tasks, "preferences")
        check_length(self.ideal_K, num_tasks, "ideal")
        self.register_buffer("nadir_K", torch.full((num_tasks,), torch.nan))
        self.register_buffer("epochs", torch.tensor(0))

    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        factor = len(losses_K) if self.sum_to == "tasks" else 1
        preference_K = self.preference_K[index_K].to(losses_K.dtype)
        if self.values == "raw":
            shifted_K = preference_K * (losses_K - self.ideal_K[index_K].to(losses_K.dtype))
            return factor * self.mu * torch.logsumexp(shifted_K / self.mu, dim=0)
        log_K = torch.log(losses_K.clamp_min(torch.finfo(losses_K.dtype).tiny))
        nadir_K = self.nadir_K[index_K].to(losses_K.dtype)
        # a task without labels during warm-up has no nadir: use its current loss
        nadir_K = torch.where(nadir_K.isfinite(), nadir_K, losses_K.detach()).clamp_min(1e-30)
        smooth = factor * self.mu * torch.logsumexp(preference_K * (log_K - torch.log(nadir_K)) / self.mu, dim=0)
        return torch.where(self.epochs > self.warmup_epochs, smooth, (preference_K * log_K).sum())

    def observe_epoch(self, losses: Tensor, scores: Tensor | None = None) -> None:
        setting = (self.epochs <= self.warmup_epochs) & losses.isfinite()
        self.nadir_K.copy_(torch.where(setting, losses.detach(), self.nadir_K))
        self.epochs += 1
