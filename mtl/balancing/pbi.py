"""Penalty-based boundary intersection (PBI): progress along a preference, plus a penalty for leaving its line.

Source: Zhang, Li, "MOEA/D: A Multiobjective Evolutionary Algorithm Based on Decomposition", IEEE Transactions on
Evolutionary Computation 2007, section III.C.
Shapes: K tasks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtl.balancing.fixed import check_length, task_values, task_weights
from mtl.balancing.protocols import LossWeighting


class PBI(LossWeighting):
    """Minimises d1 + theta d2, with d1 = (L - z) r, d2 = |(L - z) - d1 r|, r the unit preference and z the ideal.

    Weights can be negative: a task that is ahead of the line is pushed back.

        objective = PBI(preferences=[0.5, 0.3, 0.2])(losses)

    Args:
        theta: weight of the distance from the line; the paper uses 5.
        preferences: direction r before normalisation, one entry per task; equal by default.
        ideal: best value of each loss; 0 by default.
    """

    paper = "Zhang, Li, MOEA/D, IEEE Transactions on Evolutionary Computation 2007"
    scaling = "common"
    preference_K: Tensor
    ideal_K: Tensor

    def __init__(
        self, theta: float = 5.0, preferences: Sequence[float] | None = None, ideal: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        if theta < 0:
            raise ValueError(f"theta={theta} must be at least 0; the paper uses 5.")
        self.theta = theta
        self.preferences = None if preferences is None else task_weights(preferences, "preferences")
        self.ideal = ideal

    def make_state(self, num_tasks: int) -> None:
        given = self.preferences
        self.register_buffer("preference_K", task_values(None, num_tasks, 1.0) if given is None else given)
        self.register_buffer("ideal_K", task_values(self.ideal, num_tasks, 0.0))
        check_length(self.preference_K, num_tasks, "preferences")
        check_length(self.ideal_K, num_tasks, "ideal")

    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        direction_K = torch.nn.functional.normalize(self.preference_K[index_K], dim=0).to(losses_K.dtype)
        gap_K = losses_K - self.ideal_K[index_K].to(losses_K.dtype)
        along = (gap_K * direction_K).sum()
        distance: Tensor = torch.linalg.vector_norm(gap_K - along * direction_K)
        return along + self.theta * distance
