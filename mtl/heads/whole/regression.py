"""Regression head: one number for the whole image.

Shapes: B samples.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl.batch import Batch, labelled
from mtl.distributed.normaliser import masked_mean
from mtl.features import Features, FeatureSpec
from mtl.heads.head import Head, Outputs
from mtl.heads.whole.pooling import Pool, Pooling, mlp
from mtl.metrics.regression import RegressionMetrics
from mtl.metrics.task_metrics import Predictions
from mtl.task import Task


class RegressionHead(Head):
    """One number for the whole image, learned as `(target - target_mean) / target_std`.

    Args:
        task: a task of kind `regression`.
        features: widths and strides of the features.
        levels: levels to pool; the deepest level by default.
        pooling: ways of pooling a level, any of `mean`, `max`, `attention`, `grid`.
        hidden: width of the hidden layer; 0 for a single linear layer.
        dropout: share of hidden units dropped in training, 0 to 1.
        error: `smooth_l1` (squared below one `target_std`, linear above it), `l1` or `mse`.
        target_mean: mean of the targets, in the unit of the target.
        target_std: standard deviation of the targets, in the unit of the target, above 0.

    Raises:
        ValueError: if `target_std` is not above 0.
    """

    kinds = ("regression",)
    scale = ("target_mean", "target_std")
    monitor = ("mae", "min")

    def __init__(
        self,
        task: Task,
        features: FeatureSpec,
        levels: list[str] | None = None,
        pooling: Sequence[Pooling] = ("mean",),
        hidden: int = 0,
        dropout: float = 0.0,
        error: Literal["smooth_l1", "l1", "mse"] = "smooth_l1",
        target_mean: float = 0.0,
        target_std: float = 1.0,
    ) -> None:
        super().__init__(task, features)
        if target_std <= 0:
            raise ValueError(f"head {task.name!r} divides by target_std, so it must be above 0; got {target_std}.")
        levels = features.require(levels or [features.deepest], f"head {task.name!r}")
        self.error, self.target_mean, self.target_std = error, target_mean, target_std
        self.pool = Pool(features, levels, pooling)
        self.layers = mlp(self.pool.width, hidden, 1, dropout)

    def forward(self, features: Features) -> Outputs:
        return {"standardised": self.layers(self.pool(features)).float().squeeze(1)}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        target_B = (batch[self.task.name].float() - self.target_mean) / self.target_std
        known_B = labelled(batch, self.task) & torch.isfinite(target_B)
        # a finite value for missing targets: NaN * 0 is NaN, also in the gradient
        target_B = torch.where(known_B, target_B, 0.0)
        measure = {"smooth_l1": F.smooth_l1_loss, "l1": F.l1_loss, "mse": F.mse_loss}[self.error]
        return masked_mean(measure(outputs["standardised"], target_B, reduction="none"), known_B)

    def decode(self, outputs: Outputs) -> Predictions:
        return {"values": outputs["standardised"].float() * self.target_std + self.target_mean}

    def distill(self, outputs: Outputs, teacher: Outputs, temperature: float) -> Tensor:
        return (outputs["standardised"] - teacher["standardised"]).square()

    def metrics(self) -> RegressionMetrics:
        return RegressionMetrics(self.task)
