"""Sequence regression head: a number for every step, at whatever rate the target is annotated.

Shapes: B samples, T steps of the level, L steps of the target.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.batch import Batch, labelled
from mtl.distributed.normaliser import global_count
from mtl.features import Features, FeatureSpec, mask_of
from mtl.functional.distillation import masked_steps
from mtl.heads.head import Head, Outputs
from mtl.metrics.sequence_regression import SequenceRegressionMetrics
from mtl.metrics.task_metrics import Predictions
from mtl.targets.sequence_regression import SequenceRegression
from mtl.task import Task


class SequenceRegressionHead(Head):
    """One number for every step of a sequence, learned as `(target - target_mean) / target_std`.

    The outputs are interpolated at the steps of the target, so that the rate of annotation need not be the network's.

    Args:
        task: a task of kind `sequence_regression`.
        features: widths and layouts of the features.
        level: a sequence; the first one by default.
        dropout: share of the features dropped in training, 0 to 1.
        error: `smooth_l1` (squared below one `target_std`, linear above it) or `mse`.
        target_mean: mean of the targets, in the unit of the target.
        target_std: standard deviation of the targets, in the unit of the target, above 0.

    Raises:
        ValueError: if `target_std` is not above 0.
    """

    kinds = ("sequence_regression",)
    scale = ("target_mean", "target_std")
    monitor = ("mae", "min")

    def __init__(
        self,
        task: Task,
        features: FeatureSpec,
        level: str | None = None,
        dropout: float = 0.0,
        error: Literal["smooth_l1", "mse"] = "smooth_l1",
        target_mean: float = 0.0,
        target_std: float = 1.0,
    ) -> None:
        super().__init__(task, features)
        if not target_std > 0:
            raise ValueError(f"head {task.name!r} divides by target_std, so it must be above 0; got {target_std}.")
        (self.level,) = features.require([level or features.first("sequence")], f"head {task.name!r}", ["sequence"])
        self.error, self.target_mean, self.target_std = error, target_mean, target_std
        self.target = SequenceRegression(task)
        self.dropout = nn.Dropout(dropout)
        self.layer = nn.Linear(features.channels[self.level], 1)

    def forward(self, features: Features) -> Outputs:
        standardised_BT = self.layer(self.dropout(features[self.level])).float().squeeze(-1)
        mask_BT = mask_of(features, self.level)
        out = {"standardised": standardised_BT}
        return out if mask_BT is None else {**out, "mask": mask_BT}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        target_BL = (batch[self.task.name].float() - self.target_mean) / self.target_std
        known_BL = labelled(batch, self.task)[:, None] & torch.isfinite(target_BL)
        # a finite value for missing targets: NaN * 0 is NaN, also in the gradient
        target_BL = torch.where(known_BL, target_BL, 0.0)
        at_target_BL = self.target.at_target({"values": outputs["standardised"], "steps": _steps(outputs)}, batch)
        measure = F.smooth_l1_loss if self.error == "smooth_l1" else F.mse_loss
        losses_BL = measure(at_target_BL, target_BL, reduction="none")
        # by the steps of all ranks, whose sequences differ in length
        return (losses_BL * known_BL).sum() / global_count(known_BL.sum())

    def decode(self, outputs: Outputs) -> Predictions:
        return {"values": outputs["standardised"] * self.target_std + self.target_mean, "steps": _steps(outputs)}

    def distill(self, outputs: Outputs, teacher: Outputs, temperature: float) -> Tensor:
        return masked_steps((outputs["standardised"] - teacher["standardised"]).square(), outputs.get("mask"))

    def metrics(self) -> SequenceRegressionMetrics:
        return SequenceRegressionMetrics(self.task)


def _steps(outputs: Outputs) -> Tensor:
    standardised_BT = outputs["standardised"]
    # steps that are real lie at the beginning; one counts as one, so that nothing is divided by 0
    return outputs.get("mask", torch.ones_like(standardised_BT, dtype=torch.bool)).sum(1).clamp(min=1)
