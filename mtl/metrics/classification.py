"""Accuracy, macro F1 and balanced accuracy of a single-label classification task.

Shapes: B samples.
"""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import MetricCollection, SumMetric
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score

from mtl.batch import IGNORE_INDEX, Batch, labelled
from mtl.metrics.task_metrics import Predictions, TaskMetrics
from mtl.task import Task


class BalancedAccuracy(MulticlassConfusionMatrix):
    """Mean recall of the classes that occur among the targets (scikit-learn's `balanced_accuracy_score`).

    torchmetrics' macro recall also counts a class that was only predicted, as 0; here it does not count.
    """

    def compute(self) -> Tensor:
        return recalls(super().compute()).nanmean()


class Recalls(MulticlassConfusionMatrix):
    """Recall of every class, [C]; NaN for a class that does not occur, which torchmetrics gives the 0 of a miss."""

    def compute(self) -> Tensor:
        return recalls(super().compute())


def recalls(confusion_CC: Tensor) -> Tensor:
    """Recall of every class, [C]; NaN for a class without a sample.

    Args:
        confusion_CC: counts by true and predicted class.
    """
    return confusion_CC.diagonal().float() / confusion_CC.sum(1)


class ClassificationMetrics(TaskMetrics):
    """`accuracy`, `f1_macro`, `balanced_accuracy`, and `recall/<class>` on request, of the classes that occur.

    Args:
        task: a task of kind `classification`.
    """

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        # missing labels go in as ignore_index, so every rank updates with every batch and no rank waits for another
        options: dict[str, Any] = {"num_classes": task.num_classes, "ignore_index": IGNORE_INDEX}
        self.scores = MetricCollection(
            {
                "accuracy": MulticlassAccuracy(average="micro", **options),
                "f1_macro": MulticlassF1Score(average="macro", **options),
                "balanced_accuracy": BalancedAccuracy(**options),
            },
            compute_groups=False,
        )
        self.recall = Recalls(**options)
        self.count = SumMetric()

    def update(self, predictions: Predictions, batch: Batch) -> None:
        known_B = labelled(batch, self.task) & (batch[self.task.name] >= 0)
        target_B = torch.where(known_B, batch[self.task.name], IGNORE_INDEX)
        self.scores.update(predictions["labels"], target_B)
        self.recall.update(predictions["labels"], target_B)
        self.count.update(known_B.sum())

    def compute(self, per_class: bool = False) -> dict[str, Tensor]:
        if not self.count.compute():
            return {}
        values: dict[str, Tensor] = dict(self.scores.compute())
        if per_class:
            recall_C = self.recall.compute()
            values |= {
                f"recall/{self.task.class_name(i)}": recall_C[i]
                for i in range(len(recall_C))
                if not recall_C[i].isnan()
            }
        return values

    def reset(self) -> None:
        self.scores.reset()
        self.recall.reset()
        self.count.reset()
