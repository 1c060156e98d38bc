"""COSMOS: a weighted sum of losses, minus a reward for losses that point along a preference vector.

Source: Ruchte, Grabocka, "Scalable Pareto Front Approximation for Deep Multi-Objective Learning", ICDM 2021, eq. 5.
Shapes: K tasks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtl.balancing.fixed import check_length, task_weights
from mtl.balancing.protocols import LossWeighting
from mtl.functional.counter_random import counter_dirichlet


class COSMOS(LossWeighting):
    """Minimises sum of r_k L_k - lambda cos(r, L), with r drawn from a Dirichlet distribution at every step.

    In the full method r is also an input of the network, so that one network covers the whole Pareto front; a head can
    read the current r from `preference`. A fixed r (as in TorchJD) targets one point of the front.

        objective = COSMOS()(losses)

    Args:
        penalty: lambda; the paper uses 0.01 to 8, depending on the data set.
        preferences: a fixed r, one entry per task; drawn at random by default.
        concentration: parameter of the Dirichlet distribution; values below 1 favour the corners.
        seed: random seed.
    """

    paper = "Ruchte, Grabocka, Scalable Pareto Front Approximation for Deep Multi-Objective Learning, ICDM 2021"
    symmetric = False
    step: Tensor
    preference: Tensor

    def __init__(
        self,
        penalty: float = 1.0,
        preferences: Sequence[float] | None = None,
        concentration: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if penalty < 0 or not concentration > 0:
            raise ValueError(f"penalty={penalty} must be at least 0 and concentration={concentration} above 0.")
        self.penalty = penalty
        self.fixed = None if preferences is None else task_weights(preferences, "preferences")
        self.concentration = concentration
        self.seed = seed
        self.register_buffer("step", torch.tensor(0))

    def make_state(self, num_tasks: int) -> None:
        preference = torch.full((num_tasks,), 1 / num_tasks) if self.fixed is None else self.fixed
        check_length(preference, num_tasks, "preferences")
        self.register_buffer("preference", preference)

    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        if self.fixed is None:
            concentration_K = torch.full_like(self.preference, self.concentration)
            self.preference.copy_(counter_dirichlet(self.seed, self.step, concentration_K, dtype=self.preference.dtype))
        self.step += 1
        preference_K = self.preference[index_K].to(losses_K.dtype)
        linear = (preference_K * losses_K).sum()
        # if all losses are 0 they have no direction; the clamp makes the cosine 0
        tiny = torch.finfo(losses_K.dtype).tiny ** 0.5
        size: Tensor = torch.linalg.vector_norm(losses_K).clamp_min(tiny) * torch.linalg.vector_norm(preference_K)
        return linear - self.penalty * linear / size.clamp_min(tiny)
