"""Metrics of ordered classes: quadratic weighted kappa, mean distance in classes, accuracy.

Source of the kappa: Cohen, "Weighted Kappa", Psychological Bulletin 70, 1968; squared distances as weights.
Shapes: B samples, C classes, R sets of weights.
"""

import torch
from torch import Tensor

from mtl.batch import Batch, labelled
from mtl.metrics.task_metrics import Predictions, TaskMetrics
from mtl.metrics.totals import Totals
from mtl.task import Task


class OrdinalMetrics(TaskMetrics):
    """`qwk`, `class_distance` (mean distance in classes) and `accuracy`.

    `qwk` is left out where it has no value: predictions and targets are all of one class.

    Args:
        task: a task of kind `classification` whose classes are in order.
    """

    lower_is_better = frozenset({"class_distance"})

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.totals = Totals({"confusion": task.num_classes**2})

    def update(self, predictions: Predictions, batch: Batch) -> None:
        classes = self.task.num_classes
        target_B = batch[self.task.name]
        known_B = labelled(batch, self.task) & (target_B >= 0)
        place_B = torch.where(known_B, target_B * classes + predictions["labels"], 0)
        counts = torch.zeros(classes**2, dtype=torch.float64, device=target_B.device)
        self.totals.update(confusion=counts.index_add(0, place_B, known_B.double()))

    def compute(self, per_class: bool = False) -> dict[str, Tensor]:
        confusion_CC = self.totals.compute()["confusion"].view(self.task.num_classes, -1)
        count = confusion_CC.sum()
        if not count:
            return {}
        index_C = torch.arange(self.task.num_classes, dtype=torch.float64)
        distance_CC = (index_C[:, None] - index_C).abs()
        values = {
            "class_distance": (confusion_CC * distance_CC).sum() / count,
            "accuracy": confusion_CC.diagonal().sum() / count,
        }
        kappa = quadratic_kappa(confusion_CC)
        values |= {"qwk": kappa} if kappa.isfinite() else {}
        return {name: value.float() for name, value in values.items()}

    def reset(self) -> None:
        self.totals.reset()


def quadratic_kappa(confusion_RCC: Tensor) -> Tensor:
    """Quadratic weighted kappa of confusion matrices, [R] or a scalar; NaN where all is of one class.

    Args:
        confusion_RCC: counts by true and predicted class, [R,C,C] or [C,C].
    """
    index_C = torch.arange(confusion_RCC.shape[-1], dtype=confusion_RCC.dtype, device=confusion_RCC.device)
    square_CC = (index_C[:, None] - index_C).square()
    expected_RCC = confusion_RCC.sum(-1, keepdim=True) * confusion_RCC.sum(-2, keepdim=True)
    count_R = confusion_RCC.sum((-2, -1))
    found_R, chance_R = ((matrix * square_CC).sum((-2, -1)) for matrix in (confusion_RCC, expected_RCC))
    return 1 - count_R * found_R / chance_R
