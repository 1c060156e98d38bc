"""Classification head: pooled features, one hidden layer, cross-entropy over the labelled samples.

Shapes: B samples, C classes, D pooled width.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.batch import Batch, labelled
from mtl.distributed.normaliser import masked_mean
from mtl.features import Features, FeatureSpec
from mtl.heads.head import Head, Outputs
from mtl.metrics.classification import ClassificationMetrics
from mtl.metrics.task_metrics import Predictions
from mtl.task import Task

Pooling = Literal["mean", "max", "attention"]


class Pool(nn.Module):
    """Pool one or more levels to one vector, each in one or more ways.

    Args:
        features: widths of the levels.
        levels: the levels to pool.
        ways: `mean`, `max`, or `attention` (a learned score per cell, softmax over the cells).
        tower: channels of a 3 x 3 convolution before the pooling of each level; 0 for none.
    """

    def __init__(self, features: FeatureSpec, levels: Sequence[str], ways: Sequence[Pooling], tower: int = 0) -> None:
        super().__init__()
        self.levels, self.ways = tuple(levels), tuple(ways)
        widths = {level: tower or features.channels[level] for level in levels}
        self.width = len(self.ways) * sum(widths.values())
        self.towers = nn.ModuleDict(
            {level: conv_norm_relu(features.channels[level], tower) if tower else nn.Identity() for level in levels}
        )
        self.attention = nn.ModuleDict(
            {level: nn.Conv2d(width, 1, 1) for level, width in widths.items() if "attention" in ways}
        )

    def forward(self, features: Features) -> Tensor:
        pooled = []
        for level in self.levels:
            x = self.towers[level](features[level])
            cells = x.flatten(2)
            for way in self.ways:
                if way == "mean":
                    pooled.append(cells.mean(-1))
                elif way == "max":
                    pooled.append(cells.amax(-1))
                else:
                    share = self.attention[level](x).flatten(2).softmax(-1)
                    pooled.append((cells * share).sum(-1))
        return torch.cat(pooled, 1)


class ClassificationHead(Head):
    """One class for the whole image.

    Args:
        task: a task of kind `classification`.
        features: widths and strides of the features.
        levels: levels to pool; the deepest level by default.
        pooling: ways of pooling a level, any of `mean`, `max`, `attention`.
        tower: channels of a 3 x 3 convolution before the pooling of each level; 0 for none.
        hidden: width of the hidden layer; 0 for a single linear layer.
        dropout: share of hidden units dropped in training, 0 to 1.
        label_smoothing: share of the target spread over all classes, 0 to 1.
    """

    kinds = ("classification",)
    monitor = ("accuracy", "max")

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
    ) -> None:
        super().__init__(task, features)
        levels = features.require(levels or [features.deepest], f"head {task.name!r}")
        self.label_smoothing = label_smoothing
        self.pool = Pool(features, levels, pooling, tower)
        self.layers = mlp(self.pool.width, hidden, task.num_classes, dropout)

    def forward(self, features: Features) -> Outputs:
        return {"logits": self.layers(self.pool(features)).float()}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        target_B = batch[self.task.name]
        known_B = labelled(batch, self.task) & (target_B >= 0)
        # a valid class for missing targets: NaN * 0 is NaN, also in the gradient
        loss_B = F.cross_entropy(
            outputs["logits"], torch.where(known_B, target_B, 0), reduction="none", label_smoothing=self.label_smoothing
        )
        return masked_mean(loss_B, known_B)

    def decode(self, outputs: Outputs) -> Predictions:
        probabilities_BC = outputs["logits"].softmax(-1)
        scores_B, labels_B = probabilities_BC.max(-1)
        return {"labels": labels_B, "scores": scores_B, "probabilities": probabilities_BC}

    def metrics(self) -> ClassificationMetrics:
        return ClassificationMetrics(self.task)


def conv_norm_relu(before: int, after: int) -> nn.Sequential:
    """A 3 x 3 convolution with batch norm and ReLU.

    Args:
        before: input channels.
        after: output channels.
    """
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU())


def mlp(width: int, hidden: int, out: int, dropout: float) -> nn.Sequential:
    """One hidden layer with ReLU and dropout, or a single linear layer.

    Args:
        width: number of inputs.
        hidden: number of hidden units; 0 for a single linear layer.
        out: number of outputs.
        dropout: share of hidden units dropped in training.
    """
    if not hidden:
        return nn.Sequential(nn.Dropout(dropout), nn.Linear(width, out))
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, out))
