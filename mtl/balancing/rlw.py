"""Random loss weighting (RLW): new random weights at every step, a strong simple baseline.

Source: Lin et al., "Reasonable Effectiveness of Random Weighting: A Litmus Test for Multi-Task Learning", TMLR 2022.
Shapes: K tasks.
"""

from typing import Literal

import torch
from torch import Tensor

from mtl.balancing.protocols import LossWeighting
from mtl.functional.counter_random import counter_normal, counter_uniform


class RLW(LossWeighting):
    """Weights w = softmax(x), with a new random x at every step, the same on every rank and after a resume.

    In the paper, LibMTL and TorchJD the weights sum to 1. IGB4MTL and nash-mtl multiply them by K, which amounts to a
    larger learning rate.

        objective = RLW()(losses)

    Args:
        distribution: distribution of x: `normal` (mean 0, variance 1) or `uniform` on (0, 1); the paper tries these and
            others.
        sum_to: sum of the weights, `one` or `tasks` (the number of tasks).
        seed: random seed.
    """

    paper = "Lin et al., Reasonable Effectiveness of Random Weighting, TMLR 2022"
    symmetric = False
    scaling = "common"
    step: Tensor

    def __init__(
        self,
        distribution: Literal["normal", "uniform"] = "normal",
        sum_to: Literal["one", "tasks"] = "one",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.draw = counter_normal if distribution == "normal" else counter_uniform
        self.sum_to = sum_to
        self.seed = seed
        self.register_buffer("step", torch.tensor(0))

    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        # draw for all tasks, so that a missing task does not change the numbers of the others
        draws_K = self.draw(self.seed, self.step, self.num_tasks, dtype=losses_K.dtype)[index_K]
        self.step += 1
        return weighted(draws_K, losses_K, self.sum_to)


def weighted(logits_K: Tensor, losses_K: Tensor, sum_to: Literal["one", "tasks"]) -> Tensor:
    """Sum of the losses weighted by a softmax.

    Args:
        logits_K: logits of the weights, [K].
        losses_K: losses with gradient, [K].
        sum_to: sum of the weights, `one` or `tasks` (the number of losses).
    """
    objective = (torch.softmax(logits_K, dim=0) * losses_K).sum()
    return objective * len(losses_K) if sum_to == "tasks" else objective
