"""Multi-label head: any number of classes per image, binary cross-entropy over the known labels.

Shapes: B samples, C classes.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl.batch import Batch, labelled
from mtl.distributed.normaliser import masked_mean
from mtl.features import Features, FeatureSpec
from mtl.functional.distillation import soft_labels
from mtl.heads.head import Head, Outputs
from mtl.heads.whole.pooling import Pool, Pooling, mlp
from mtl.metrics.multilabel import MultilabelMetrics
from mtl.metrics.task_metrics import Predictions
from mtl.task import Task


class MultilabelHead(Head):
    """A binary prediction per class.

    A class is predicted if its probability is above 0.5. NaN in the targets of a labelled sample means that the class
    is unknown; it is ignored in the loss.

    Args:
        task: a task of kind `multilabel`.
        features: widths and strides of the features.
        levels: levels to pool; the deepest level by default.
        pooling: ways of pooling a level, any of `mean`, `max`, `attention`, `grid`.
        hidden: width of the hidden layer; 0 for a single linear layer.
        dropout: share of hidden units dropped in training, 0 to 1.
    """

    kinds = ("multilabel",)
    monitor = ("map", "max")

    def __init__(
        self,
        task: Task,
        features: FeatureSpec,
        levels: list[str] | None = None,
        pooling: Sequence[Pooling] = ("mean",),
        hidden: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(task, features)
        levels = features.require(levels or [features.deepest], f"head {task.name!r}")
        self.pool = Pool(features, levels, pooling)
        self.layers = mlp(self.pool.width, hidden, task.num_classes, dropout)

    def forward(self, features: Features) -> Outputs:
        return {"logits": self.layers(self.pool(features)).float()}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        target_BC = batch[self.task.name].float()
        known_BC = labelled(batch, self.task)[:, None] & torch.isfinite(target_BC)
        loss_BC = F.binary_cross_entropy_with_logits(
            outputs["logits"], torch.where(known_BC, target_BC, 0.0), reduction="none"
        )
        return masked_mean(loss_BC, known_BC)

    def decode(self, outputs: Outputs) -> Predictions:
        probabilities_BC = outputs["logits"].float().sigmoid()
        return {"labels": (probabilities_BC > 0.5).long(), "probabilities": probabilities_BC}

    def distill(self, outputs: Outputs, teacher: Outputs, temperature: float) -> Tensor:
        return soft_labels(outputs["logits"], teacher["logits"], temperature)

    def metrics(self) -> MultilabelMetrics:
        return MultilabelMetrics(self.task)
