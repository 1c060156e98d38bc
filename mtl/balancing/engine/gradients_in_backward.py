"""`InBackward`: one node in the ordinary backward, where the gradients of all tasks arrive at the features.

Shapes: K tasks, L levels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtl.balancing.engine.fork import fork, watch_scale
from mtl.balancing.engine.gradients import TaskGradients


class InBackward(TaskGradients):
    """One node in the ordinary backward: one forward, one backward, no retained graph."""

    def split(self, levels: list[Tensor], num_tasks: int) -> list[list[Tensor]]:
        return fork(levels, num_tasks, self._at_features)

    def objective(self, losses: Sequence[Tensor], global_K: Tensor, present: Sequence[bool] | None) -> Tensor:
        # nobody asks for weights where the trunk is frozen
        self.losses, self.present, self.weights = global_K, present, None
        losses_K = torch.stack(list(losses))
        # heads follow their own loss, under the weights of a transform of the losses where there is one
        self.own_K = self.method.head_weights(global_K, present).to(losses_K)
        total = (self.own_K * losses_K).sum()
        learned = self.method.parameter_loss(global_K, present)
        if learned is not None:
            total = total + learned - learned.detach()
        return watch_scale(total, self._see_scale)

    def _see_scale(self, scale: Tensor) -> None:
        self.scale = scale

    def _at_features(self, rows: list[list[Tensor | None]]) -> list[Tensor | None]:
        self._those_that_reach(rows)
        return self._combine_features(rows, self.scale * self.own_K, self.scale)
