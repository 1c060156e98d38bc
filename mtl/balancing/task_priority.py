"""Dynamic task prioritisation (DTP): the task with the worst score gets the largest weight.

Source: Guo et al., "Dynamic Task Prioritization for Multitask Learning", ECCV 2018, section 3.
Shapes: K tasks.
"""

from typing import Literal

import torch
from torch import Tensor

from mtl.balancing.protocols import LossWeighting

_LOWEST = 1e-4  # a score of 0 would have infinite weight


class TaskPriority(LossWeighting):
    """Weights w = -(1 - k)^gamma log k: the focal loss of a task's score k, a moving average of its monitored metric.

    Scores are in 0..1, higher is better (accuracy, mAP). A score below 0 is a negated error e and becomes 1 / (1 + e).
    All weights are 1 until the first validation. The paper also weighs single examples this way; use a head with a
    focal loss for this.

        method = TaskPriority()
        objective = method(losses)
        method.observe_epoch(mean_losses, scores)

    Args:
        gamma: how much tasks with good scores are discounted; the paper has one per task and no default.
        momentum: share of the new score in the average; the paper has no default.
        sum_to: `free` as in the paper, or `tasks`: scale to sum K, which keeps the learning rate.
    """

    paper = "Guo et al., Dynamic Task Prioritization for Multitask Learning, ECCV 2018"
    scaling = "common"
    score_K: Tensor

    def __init__(self, gamma: float = 1.0, momentum: float = 0.5, sum_to: Literal["free", "tasks"] = "free") -> None:
        super().__init__()
        if gamma < 0 or not 0 < momentum <= 1:
            raise ValueError(f"gamma={gamma} must be at least 0 and momentum={momentum} above 0 and at most 1.")
        self.gamma = gamma
        self.momentum = momentum
        self.sum_to = sum_to

    def make_state(self, num_tasks: int) -> None:
        self.register_buffer("score_K", torch.full((num_tasks,), torch.nan))  # NaN: no score yet

    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        score_K = self.score_K[index_K].to(losses_K.dtype)
        known_K = score_K.isfinite()
        score_K = torch.where(known_K, score_K, torch.ones_like(score_K)).clamp_min(_LOWEST)
        weights_K = -((1 - score_K) ** self.gamma) * torch.log(score_K)
        if self.sum_to == "tasks":
            total = torch.where(known_K, weights_K, 0.0).sum()
            weights_K = weights_K * known_K.sum() / total.clamp_min(_LOWEST)
        return (torch.where(known_K, weights_K, torch.ones_like(weights_K)) * losses_K).sum()

    def observe_epoch(self, losses: Tensor, scores: Tensor | None = None) -> None:
        """Update the average scores at the end of an epoch.

        Args:
            losses: ignored.
            scores: score of each task, [K]; NaN for a task without labels, None if the epoch had no validation.

        Raises:
            ValueError: if a score is above 1.
        """
        if scores is None:
            return
        scores = scores.detach().to(self.score_K)
        scores = torch.where(scores < 0, 1 / (1 - scores), scores)
        if (scores > 1).any():
            raise ValueError(
                f"TaskPriority needs scores of at most 1, higher is better; got {scores.tolist()}. "
                "Monitor another metric in the head, or convert an error e to 1 / (1 + e)."
            )
        seen_K = scores.isfinite()
        old_K = torch.where(self.score_K.isfinite(), self.score_K, scores)
        self.score_K.copy_(torch.where(seen_K, torch.lerp(old_K, scores, self.momentum), self.score_K))
