"""Metrics of a classification task whose probabilities matter, as in medicine.

Shapes: B samples, N samples of the whole evaluation, C classes.
"""

import torch
from torch import Tensor

from mtl.batch import Batch, labelled
from mtl.functional.calibration import brier_score_of_classes, calibration_error, certainty
from mtl.functional.ranking_scores import auroc, average_precision, sensitivity_at_specificity
from mtl.metrics.classification import ClassificationMetrics
from mtl.metrics.collected import PredictionsAndTargets
from mtl.metrics.task_metrics import Predictions, TaskMetrics
from mtl.task import Task


class ProbabilityMetrics(TaskMetrics):
    """`auroc`, `auprc`, `brier`, `calibration_error`, `accuracy`, `balanced_accuracy`, `sensitivity_at_90_specificity`.

    With two classes they are about the second one, the positive. With more, each class is compared with the rest:
    AUROC and AUPRC are means over the classes that occur, the Brier score is the sum over all classes (0 to 2), the
    calibration error is about the predicted class, and there is no sensitivity. A metric that needs a class that does
    not occur is left out.

    Args:
        task: a task of kind `classification`.
        specificity: specificity at which the sensitivity is given, 0 to 1.
    """

    lower_is_better = frozenset({"brier", "calibration_error"})

    def __init__(self, task: Task, specificity: float = 0.9) -> None:
        super().__init__(task)
        self.specificity = specificity
        self.decisions = ClassificationMetrics(task)
        self.collected = PredictionsAndTargets()

    def update(self, predictions: Predictions, batch: Batch) -> None:
        self.decisions.update(predictions, batch)
        known_B = labelled(batch, self.task) & (batch[self.task.name] >= 0)
        target_B = torch.where(known_B, batch[self.task.name], -1)
        probabilities_BC = predictions["probabilities"]
        self.collected.update(probabilities_BC, target_B[:, None].expand_as(probabilities_BC))

    def compute(self, per_class: bool = False) -> dict[str, Tensor]:
        flat, targets = (values.view(-1, self.task.num_classes) for values in self.collected.compute())
        known_N = targets[:, 0] >= 0
        scores_NC, target_N = flat[known_N], targets[known_N, 0].long()
        if not len(target_N):
            return {}
        two = self.task.num_classes == 2
        classes = [1] if two else list(range(self.task.num_classes))
        values: dict[str, Tensor] = {}
        for name, score in (("auroc", auroc), ("auprc", average_precision)):
            each = torch.stack([score(scores_NC[:, c], target_N == c) for c in classes])
            seen = torch.tensor([bool((target_N == c).any()) for c in classes])
            each = each[seen & each.isfinite()]
            values |= {name: each.mean()} if len(each) else {}
        values["brier"] = brier_score_of_classes(scores_NC, target_N)
        values["calibration_error"] = calibration_error(*certainty(scores_NC, target_N))
        decided = self.decisions.compute(per_class)
        values |= {key: value for key, value in decided.items() if key != "f1_macro"}
        if two:
            found = sensitivity_at_specificity(scores_NC[:, 1], target_N == 1, self.specificity)
            values |= {f"sensitivity_at_{100 * self.specificity:g}_specificity": found} if found.isfinite() else {}
        return {name: value.float() for name, value in values.items()}

    def reset(self) -> None:
        self.decisions.reset()
        self.collected.reset()
