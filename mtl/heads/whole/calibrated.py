"""Classification head whose probabilities matter: a temperature and a threshold, which validation samples choose.

Source of the temperature: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
Shapes: B samples, N validation samples, C classes.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from mtl.features import FeatureSpec
from mtl.functional.calibration import fit_temperature
from mtl.functional.ranking_scores import youden_threshold
from mtl.heads.head import Outputs
from mtl.heads.whole.classification import ClassificationHead
from mtl.heads.whole.pooling import Pooling
from mtl.metrics.probabilities import ProbabilityMetrics
from mtl.metrics.task_metrics import Predictions
from mtl.task import Task


class CalibratedHead(ClassificationHead):
    """One class, with AUROC, AUPRC, Brier score and calibration error.

    With two classes the second is the positive one, and is predicted from a threshold on. The callback
    `CalibrateOnValidation` sets temperature and threshold; without it they are 1 and 0.5.

    Args:
        task: a task of kind `classification`.
        features: widths and strides of the features.
        levels: levels to pool; the deepest level by default.
        pooling: ways of pooling a level, any of `mean`, `max`, `attention`, `grid`.
        hidden: width of the hidden layer; 0 for a single linear layer.
        dropout: share of hidden units dropped in training, 0 to 1.
        class_weights: weight of each class in the loss, or `balanced`, as `ClassificationHead` says; 1 by default.
        specificity: specificity at which the sensitivity of a task of two classes is given, 0 to 1.
    """

    monitor = ("auroc", "max")
    not_averaged = ("temperature", "threshold")  # measured, not learned: averages of weights leave them alone
    temperature: Tensor
    threshold: Tensor

    def __init__(
        self,
        task: Task,
        features: FeatureSpec,
        levels: list[str] | None = None,
        pooling: Sequence[Pooling] = ("mean",),
        hidden: int = 0,
        dropout: float = 0.0,
        class_weights: list[float] | Literal["balanced"] | None = None,
        specificity: float = 0.9,
    ) -> None:
        super().__init__(task, features, levels, pooling, hidden=hidden, dropout=dropout, class_weights=class_weights)
        if not 0 <= specificity <= 1:
            raise ValueError(f"head {task.name!r}: specificity={specificity} must lie within 0..1.")
        self.specificity = specificity
        self.register_buffer("temperature", torch.tensor(1.0))
        self.register_buffer("threshold", torch.tensor(0.5))

    def decode(self, outputs: Outputs) -> Predictions:
        probabilities_BC = (outputs["logits"] / self.temperature).softmax(-1)
        scores_B, labels_B = probabilities_BC.max(-1)
        if self.task.num_classes == 2:
            labels_B = (probabilities_BC[:, 1] >= self.threshold).long()
            scores_B = probabilities_BC.gather(1, labels_B[:, None])[:, 0]
        return {"labels": labels_B, "scores": scores_B, "probabilities": probabilities_BC}

    def calibrate(self, probabilities_NC: Tensor, labels_N: Tensor) -> None:
        """Choose the temperature and, with two classes, the threshold with the largest balanced accuracy.

        Samples of one class alone choose nothing: they are best answered by a probability of 1.

        Args:
            probabilities_NC: what `decode` gave for the validation samples, at the present temperature.
            labels_N: their classes.
        """
        if len(torch.unique(labels_N)) < 2:
            return
        # a constant on all logits of a sample changes nothing, so that log-probabilities are logits
        logits_NC = probabilities_NC.double().clamp(min=1e-30).log() * float(self.temperature)
        self.temperature.fill_(fit_temperature(logits_NC, labels_N))
        if self.task.num_classes == 2:
            scaled_NC = (logits_NC / float(self.temperature)).softmax(-1)
            self.threshold.fill_(youden_threshold(scaled_NC[:, 1], labels_N == 1))

    def metrics(self) -> ProbabilityMetrics:
        return ProbabilityMetrics(self.task, self.specificity)
