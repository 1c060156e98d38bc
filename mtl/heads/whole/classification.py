"""Classification head: pooled features, one hidden layer, cross-entropy over the labelled samples.

Shapes: B samples, C classes, D pooled width.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl.batch import Batch, labelled
from mtl.distributed.normaliser import masked_mean
from mtl.features import Features, FeatureSpec
from mtl.functional.distillation import soft_classes
from mtl.heads.head import Head, Outputs
from mtl.heads.whole.pooling import Pool, Pooling, mlp
from mtl.metrics.classification import ClassificationMetrics
from mtl.metrics.task_metrics import Predictions, TaskMetrics
from mtl.task import Task


class ClassificationHead(Head):
    """One class for the whole image.

    Args:
        task: a task of kind `classification`.
        features: widths and strides of the features.
        levels: levels to pool; the deepest level by default.
        pooling: ways of pooling a level, any of `mean`, `max`, `attention`, `grid`.
        tower: channels of a 3 x 3 convolution before the pooling of each level; 0 for none.
        hidden: width of the hidden layer; 0 for a single linear layer.
        dropout: share of hidden units dropped in training, 0 to 1.
        label_smoothing: share of the target spread over all classes, 0 to 1.
        class_weights: weight of each class in the loss; 1 by default. The mean loss is over the number of samples, so
            that `num_samples / (num_classes * samples of the class)` keeps its size: `balanced` computes that on the
            training samples; classes without any have weight 1 and do not count as classes.

    Raises:
        ValueError: if there are not as many weights as classes, or one is below 0.
    """

    kinds = ("classification",)
    monitor = ("accuracy", "max")
    class_weights: Tensor | None

    def __init__(
        self,
        task: Task,
        features: FeatureSpec,
        levels: list[str] | None = None,
        pooling: Sequence[Pooling] = ("mean",),
        tower: int = 0,
        hidden: int = 0,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        class_weights: list[float] | Literal["balanced"] | None = None,
    ) -> None:
        super().__init__(task, features)
        self.wants_class_counts = class_weights == "balanced"
        if isinstance(class_weights, list) and (len(class_weights) != task.num_classes or min(class_weights) < 0):
            raise ValueError(
                f"head {task.name!r} has class_weights={class_weights}; expected {task.num_classes} numbers of at "
                "least 0, one for each class."
            )
        levels = features.require(levels or [features.deepest], f"head {task.name!r}")
        self.label_smoothing = label_smoothing
        given = torch.tensor(class_weights) if isinstance(class_weights, list) else None
        weights = torch.ones(task.num_classes) if self.wants_class_counts else None if given is None else given.float()
        # what training samples say belongs to the weights; a setting is kept elsewhere
        self.register_buffer("class_weights", weights, persistent=self.wants_class_counts)
        self.pool = Pool(features, levels, pooling, tower)
        self.layers = mlp(self.pool.width, hidden, task.num_classes, dropout)

    def forward(self, features: Features) -> Outputs:
        return {"logits": self.layers(self.pool(features)).float()}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        target_B = batch[self.task.name]
        known_B = labelled(batch, self.task) & (target_B >= 0)
        # a valid class for missing targets: NaN * 0 is NaN, also in the gradient
        loss_B = F.cross_entropy(
            outputs["logits"],
            torch.where(known_B, target_B, 0),
            self.class_weights,
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        return masked_mean(loss_B, known_B)

    def take_class_counts(self, counts_C: Tensor) -> None:
        if self.class_weights is not None:
            self.class_weights.copy_(balanced_weights(counts_C))

    def decode(self, outputs: Outputs) -> Predictions:
        probabilities_BC = outputs["logits"].softmax(-1)
        scores_B, labels_B = probabilities_BC.max(-1)
        return {"labels": labels_B, "scores": scores_B, "probabilities": probabilities_BC}

    def distill(self, outputs: Outputs, teacher: Outputs, temperature: float) -> Tensor:
        return soft_classes(outputs["logits"], teacher["logits"], temperature)

    def metrics(self) -> TaskMetrics:
        return ClassificationMetrics(self.task)


def balanced_weights(counts_C: Tensor) -> Tensor:
    """Weights by which every class adds equally to the loss, and whose mean over the samples is 1, [C].

    Args:
        counts_C: samples of every class; a class without any has weight 1.
    """
    present_C = counts_C > 0
    weights_C = counts_C.sum() / (present_C.sum().clamp(min=1) * counts_C.clamp(min=1))
    return torch.where(present_C, weights_C, torch.ones_like(weights_C))
