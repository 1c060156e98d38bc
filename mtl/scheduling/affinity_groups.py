"""Affinity groups: tasks in conflict never train at the same step.

Source: Patapati, Srinivasan, "Graph Coloring for Multi-Task Learning" (SON-GOKU), arXiv:2509.16959, 2025; the colouring
follows Welsh, Powell, "An upper bound for the chromatic number of a graph", The Computer Journal 10, 1967.
Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.scheduling.schedule import TaskSchedule


class AffinityGroups(TaskSchedule):
    """Groups of tasks without conflict, which take turns; found anew every so many steps.

    Two tasks are in conflict if the running mean of their gradients' cosine is below `-threshold`. A greedy colouring
    of that graph, tasks with most conflicts first, gives the groups; step t trains group t mod (number of groups). The
    paper averages gradients and takes their cosine, which needs K copies of them; here the cosines of `probes` steps
    are averaged, at which all tasks train. Without conflicts there is one group, and nothing is skipped.

    Args:
        every: optimiser steps from one grouping to the next.
        probes: steps at the start of each of them at which all tasks train and their gradients are looked at.
        threshold: how negative a cosine has to be, 0 to 1.
        momentum: of the running mean of the cosines, 0 to below 1; 0 forgets the last grouping.

    Raises:
        ValueError: for a value out of its range.
    """

    paper = "Patapati, Srinivasan, Graph Coloring for Multi-Task Learning, arXiv 2025"
    cosines_KK: Tensor
    group_K: Tensor

    def __init__(self, every: int = 100, probes: int = 4, threshold: float = 0.0, momentum: float = 0.5) -> None:
        super().__init__()
        if not 1 <= probes < every:
            raise ValueError(f"probes={probes} must be at least 1 and below every={every}.")
        if not 0 <= threshold <= 1 or not 0 <= momentum < 1:
            raise ValueError(f"threshold={threshold} must be within 0..1, momentum={momentum} within 0..1 and below 1.")
        self.every = every
        self.probes = probes
        self.threshold = threshold
        self.momentum = momentum

    def make_state(self, num_tasks: int) -> None:
        self.register_buffer("cosines_KK", torch.full((num_tasks, num_tasks), torch.nan))
        self.register_buffer("group_K", torch.zeros(num_tasks, dtype=torch.long))

    def watched(self, step: int) -> bool:
        return step % self.every < self.probes

    def active(self, step: int) -> list[bool]:
        groups = self.group_K.tolist()
        turn = (step % self.every - self.probes) % (max(groups) + 1)
        return [self.watched(step) or group == turn for group in groups]

    def observe_cosines(self, cosines_KK: Tensor) -> None:
        mean_KK = self.momentum * self.cosines_KK + (1 - self.momentum) * cosines_KK
        mean_KK = torch.where(self.cosines_KK.isnan(), cosines_KK, mean_KK)
        self.cosines_KK.copy_(torch.where(cosines_KK.isnan(), self.cosines_KK, mean_KK))
        self.group_K.copy_(torch.tensor(colour(self.cosines_KK < -self.threshold)))


def colour(conflict_KK: Tensor) -> list[int]:
    """A colour for every task so that no two in conflict share one: Welsh and Powell's greedy colouring.

    Args:
        conflict_KK: symmetric, bool.

    Returns:
        Colours from 0 on; at most one more than the most conflicts of a task.
    """
    conflicts = (conflict_KK & ~torch.eye(len(conflict_KK), dtype=torch.bool)).tolist()
    order = sorted(range(len(conflicts)), key=lambda task: -sum(conflicts[task]))
    colours: dict[int, int] = {}
    for task in order:
        taken = {colours[other] for other in colours if conflicts[task][other]}
        colours[task] = next(free for free in range(len(order)) if free not in taken)
    return [colours[task] for task in range(len(order))]
