"""A head for directions: pooled features, a vector of length 1, one minus the cosine.

Shapes: B samples.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import SumMetric

from mtl.batch import Batch, labelled
from mtl.distributed.normaliser import masked_mean
from mtl.features import Features, FeatureSpec
from mtl.heads.head import Head, Outputs
from mtl.heads.whole.pooling import Pool
from mtl.metrics.task_metrics import Predictions, TaskMetrics
from mtl.task import Task


class DirectionHead(Head):
    """A direction for the whole sample.

    Args:
        task: a task of kind `direction`.
        features: widths and layouts of the features.
    """

    kinds = ("direction",)
    monitor = ("angle_error", "min")

    def __init__(self, task: Task, features: FeatureSpec) -> None:
        super().__init__(task, features)
        self.pool = Pool(features, [features.deepest], ("mean",))
        self.layer = nn.Linear(self.pool.width, 2)

    def forward(self, features: Features) -> Outputs:
        return {"vectors": self.layer(self.pool(features)).float()}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        target_B2 = batch[self.task.name]
        known_B = labelled(batch, self.task) & target_B2.isfinite().all(1)
        cosine_B = F.cosine_similarity(outputs["vectors"], torch.where(known_B[:, None], target_B2, 1.0))
        return masked_mean(1 - cosine_B, known_B)

    def decode(self, outputs: Outputs) -> Predictions:
        return {"directions": F.normalize(outputs["vectors"], dim=-1)}

    def metrics(self) -> "DirectionMetrics":
        return DirectionMetrics(self.task)


class DirectionMetrics(TaskMetrics):
    """`angle_error`: mean angle to the true direction, in degrees.

    Args:
        task: a task of kind `direction`.
    """

    lower_is_better = frozenset({"angle_error"})

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.total, self.count = SumMetric(), SumMetric()

    def update(self, predictions: Predictions, batch: Batch) -> None:
        known_B = labelled(batch, self.task)
        found_B2, true_B2 = predictions["directions"], batch[self.task.name]
        cross_B = found_B2[:, 0] * true_B2[:, 1] - found_B2[:, 1] * true_B2[:, 0]
        angle_B = torch.atan2(cross_B.abs(), (found_B2 * true_B2).sum(1)).rad2deg()
        self.total.update(torch.where(known_B, angle_B, 0.0).sum())
        self.count.update(known_B.sum())

    def compute(self, per_class: bool = False) -> dict[str, Tensor]:
        count = self.count.compute()
        return {"angle_error": self.total.compute() / count} if count else {}

    def reset(self) -> None:
        self.total.reset()
        self.count.reset()
