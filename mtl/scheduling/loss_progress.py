"""Loss progress: a task whose loss hardly falls trains more often.

Source: the choice of tasks by how far they lag behind follows Sharma, Jha, Hegde, Ravindran, "Learning to Multi-Task
by Active Sampling", ICLR 2018, arXiv:1702.06053, section 4; without their target scores, the lag is the ratio of
losses of dynamic weight average: Liu, Johns, Davison, CVPR 2019, eq. 7.
Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.functional.counter_random import counter_uniform
from mtl.scheduling.schedule import TaskSchedule, check_tasks_per_step


class LossProgress(TaskSchedule):
    """Tasks are drawn with probability share / K + (1 - share) softmax(r / T), r the loss of the last window over the
    one before: a task that makes no progress has r = 1, one that learns fast less.

    Args:
        tasks_per_step: how many different tasks are drawn for a step.
        window: optimiser steps whose mean loss is compared; all tasks are equally likely in the first two windows.
        temperature: T; the smaller, the more the slow tasks are preferred.
        share: of the draws that goes to all tasks alike, above 0 so that none is forgotten, at most 1.
        seed: of the draws, which are the same on every rank and after a resume.

    Raises:
        ValueError: for a value out of its range.
    """

    paper = "Sharma et al., Learning to Multi-Task by Active Sampling, ICLR 2018"
    before_K: Tensor
    probability_K: Tensor

    def __init__(
        self, tasks_per_step: int = 1, window: int = 50, temperature: float = 0.2, share: float = 0.2, seed: int = 0
    ) -> None:
        super().__init__()
        if window < 1 or not temperature > 0 or not 0 < share <= 1:
            raise ValueError(
                f"window={window} must be at least 1, temperature={temperature} above 0, share={share} within 0..1 "
                "and above 0."
            )
        self.tasks_per_step = check_tasks_per_step(tasks_per_step)
        self.window = window
        self.temperature = temperature
        self.share = share
        self.seed = seed

    def make_state(self, num_tasks: int) -> None:
        check_tasks_per_step(self.tasks_per_step, num_tasks)
        self.register_buffer("before_K", torch.full((num_tasks,), torch.nan))
        self.register_buffer("probability_K", torch.full((num_tasks,), 1 / num_tasks))

    def active(self, step: int) -> list[bool]:
        # the largest of log p + Gumbel noise are a draw without replacement
        uniform_K = counter_uniform(self.seed, torch.tensor(step), self.num_tasks)
        keys_K = self.probability_K.log() - (-uniform_K.log()).log()
        chosen = set(keys_K.topk(self.tasks_per_step).indices.tolist())
        return [task in chosen for task in range(self.num_tasks)]

    def observe_losses(self, losses_K: Tensor) -> None:
        ratio_K = losses_K / self.before_K
        # a task that is new, was not drawn, or has lost its loss counts as one without progress
        ratio_K = torch.where(ratio_K.isfinite(), ratio_K, 1.0)
        if self.before_K.isfinite().any():
            slow_K = torch.softmax(ratio_K / self.temperature, dim=0)
            self.probability_K.copy_(self.share / self.num_tasks + (1 - self.share) * slow_K)
        self.before_K.copy_(torch.where(losses_K.isfinite(), losses_K, self.before_K))
