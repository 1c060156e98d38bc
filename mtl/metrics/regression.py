"""Mean absolute error, root mean squared error and R2 of a regression task.

Shapes: B samples, N labelled samples of the whole evaluation.
"""

import torch
from torch import Tensor

from mtl.batch import Batch, labelled
from mtl.metrics.collected import PredictionsAndTargets
from mtl.metrics.task_metrics import Predictions, TaskMetrics
from mtl.task import Task


class RegressionMetrics(TaskMetrics):
    """`mae` and `rmse` in the units of the target, and `r2`.

    `r2` is left out where it has no value: fewer than two samples, or targets that are all equal.

    Args:
        task: a task of kind `regression`.
    """

    lower_is_better = frozenset({"mae", "rmse"})

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.collected = PredictionsAndTargets()

    def update(self, predictions: Predictions, batch: Batch) -> None:
        target_B = batch[self.task.name].float()
        self.collected.update(predictions["values"], torch.where(labelled(batch, self.task), target_B, torch.nan))

    def compute(self, per_class: bool = False) -> dict[str, Tensor]:
        values_N, target_N = self.collected.compute()
        known_N = torch.isfinite(target_N)
        # sums of squares lose the variance of targets far from 0 in float32
        target_N = target_N[known_N].double()
        error_N = values_N[known_N].double() - target_N
        if not len(target_N):
            return {}
        metrics = {"mae": error_N.abs().mean(), "rmse": error_N.square().mean().sqrt()}
        spread = (target_N - target_N.mean()).square().sum()
        if spread > 0:
            metrics["r2"] = 1 - error_N.square().sum() / spread
        return {name: value.float() for name, value in metrics.items()}

    def reset(self) -> None:
        self.collected.reset()
