"""Head for ordered classes, such as a degree of severity: one score, and a threshold between each two classes.

Sources: McCullagh, "Regression Models for Ordinal Data", JRSS B 42, 1980 (cumulative logits with one slope); Cao,
Mirjalili, Raschka, "Rank Consistent Ordinal Regression", Pattern Recognition Letters 140, 2020 (a binary cross-entropy
for each threshold). Here the thresholds are in order by construction, so that no probability is below 0.
Shapes: B samples, C classes, K = C - 1 thresholds.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.batch import Batch, labelled
from mtl.distributed.normaliser import masked_mean
from mtl.features import Features, FeatureSpec
from mtl.heads.head import Head, Outputs
from mtl.heads.whole.pooling import Pool, Pooling, mlp
from mtl.metrics.ordinal import OrdinalMetrics
from mtl.metrics.task_metrics import Predictions
from mtl.task import Task


class OrdinalHead(Head):
    """One of several classes in order. A far miss costs more than a near one.

    Args:
        task: a task of kind `classification`, its classes from least to most.
        features: widths and strides of the features.
        levels: levels to pool; the deepest level by default.
        pooling: ways of pooling a level, any of `mean`, `max`, `attention`, `grid`.
        hidden: width of the hidden layer; 0 for a single linear layer.
        dropout: share of hidden units dropped in training, 0 to 1.
    """

    kinds = ("classification",)
    monitor = ("qwk", "max")

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
        if task.num_classes < 2:
            raise ValueError(f"head {task.name!r} puts classes in order and needs two; the task has one.")
        levels = features.require(levels or [features.deepest], f"head {task.name!r}")
        self.pool = Pool(features, levels, pooling)
        self.layers = mlp(self.pool.width, hidden, 1, dropout)
        self.first = nn.Parameter(torch.tensor([-1.0]))
        self.gaps = nn.Parameter(torch.zeros(task.num_classes - 2))

    def forward(self, features: Features) -> Outputs:
        score_B1 = self.layers(self.pool(features)).float()
        threshold_K = torch.cat((self.first, F.softplus(self.gaps))).cumsum(0)
        return {"above": score_B1 - threshold_K}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        target_B = batch[self.task.name]
        known_B = labelled(batch, self.task) & (target_B >= 0)
        above_BK = outputs["above"]
        passed_BK = torch.arange(above_BK.shape[1], device=target_B.device) < target_B[:, None]
        loss_BK = F.binary_cross_entropy_with_logits(above_BK, passed_BK.float(), reduction="none")
        return masked_mean(loss_BK.sum(1), known_B)

    def decode(self, outputs: Outputs) -> Predictions:
        above_BK = outputs["above"].float().sigmoid()
        whole_B1 = torch.ones_like(above_BK[:, :1])
        probabilities_BC = torch.cat((whole_B1, above_BK), 1) - torch.cat((above_BK, 0 * whole_B1), 1)
        # the median of the distribution, which is the best guess for the distance in classes
        labels_B = (above_BK > 0.5).sum(1)
        scores_B = probabilities_BC.gather(1, labels_B[:, None])[:, 0]
        return {"labels": labels_B, "scores": scores_B, "probabilities": probabilities_BC}

    def metrics(self) -> OrdinalMetrics:
        return OrdinalMetrics(self.task)
