"""Macro F1, mean average precision and subset accuracy of a task with any number of classes per sample.

Shapes: B samples, C classes, N samples of the whole evaluation.
"""

import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_average_precision

from mtl.batch import Batch, labelled
from mtl.metrics.collected import PredictionsAndTargets
from mtl.metrics.task_metrics import Predictions, TaskMetrics
from mtl.task import Task


class MultilabelMetrics(TaskMetrics):
    """`f1_macro`, `map`, `subset_accuracy`, and `f1/<class>`, `ap/<class>` on request.

    A class counts in `f1_macro` if it occurs among the targets or the predictions, in `map` if it occurs among the
    targets. A sample counts in `subset_accuracy` if all its classes are known, and is right if all of them are.

    Args:
        task: a task of kind `multilabel`.
    """

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.collected = PredictionsAndTargets()

    def update(self, predictions: Predictions, batch: Batch) -> None:
        target_BC = batch[self.task.name].float()
        known_B1 = labelled(batch, self.task)[:, None]
        self.collected.update(predictions["probabilities"], torch.where(known_B1, target_BC, torch.nan))

    def compute(self, per_class: bool = False) -> dict[str, Tensor]:
        scores_NC, target_NC = (flat.view(-1, self.task.num_classes) for flat in self.collected.compute())
        known_NC = torch.isfinite(target_NC)
        if not known_NC.any():
            return {}
        f1_C = f1_scores(scores_NC > 0.5, target_NC)
        precision_C = average_precisions(scores_NC, target_NC)
        metrics = {"f1_macro": _mean_of_known(f1_C), "map": _mean_of_known(precision_C)}
        full_N = known_NC.all(1)
        if full_N.any():
            right_N = ((scores_NC > 0.5) == (target_NC > 0.5)).all(1)
            metrics["subset_accuracy"] = right_N[full_N].float().mean()
        if per_class:
            for i in range(self.task.num_classes):
                name = self.task.class_name(i)
                metrics |= {f"f1/{name}": f1_C[i], f"ap/{name}": precision_C[i]}
        return {name: value for name, value in metrics.items() if torch.isfinite(value)}

    def reset(self) -> None:
        self.collected.reset()


def f1_scores(predicted_NC: Tensor, target_NC: Tensor) -> Tensor:
    """F1 of every class over its known targets, [C]; NaN for a class that occurs nowhere.

    Args:
        predicted_NC: which classes are predicted, bool [N,C].
        target_NC: 0, 1, or NaN where unknown, [N,C].
    """
    known_NC, true_NC = torch.isfinite(target_NC), target_NC > 0.5
    hits_C = (predicted_NC & true_NC & known_NC).sum(0)
    return 2 * hits_C / ((predicted_NC & known_NC).sum(0) + (true_NC & known_NC).sum(0))


def average_precisions(scores_NC: Tensor, target_NC: Tensor) -> Tensor:
    """Average precision of every class over its known targets, [C]; NaN for a class without a positive one.

    Args:
        scores_NC: probabilities, [N,C].
        target_NC: 0, 1, or NaN where unknown, [N,C].
    """
    values_C = torch.full((target_NC.shape[1],), torch.nan)
    for i, (scores_N, target_N) in enumerate(zip(scores_NC.T, target_NC.T, strict=True)):
        known_N = torch.isfinite(target_N)
        if (target_N[known_N] > 0.5).any():
            values_C[i] = binary_average_precision(scores_N[known_N], target_N[known_N].long())
    return values_C


def _mean_of_known(values_C: Tensor) -> Tensor:
    return values_C[torch.isfinite(values_C)].mean()
