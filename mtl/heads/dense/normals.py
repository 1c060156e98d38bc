"""Surface normals head: a unit vector for every pixel.

Shapes: B samples, H x W pixels.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl.batch import Batch, labelled
from mtl.features import FeatureSpec
from mtl.heads.dense.dense_head import DecoderFactory, DenseHead, mean_of_pixels
from mtl.heads.head import Outputs
from mtl.metrics.normals import NormalMetrics
from mtl.metrics.task_metrics import Predictions
from mtl.task import Task

_SHORTEST = 1e-6  # length below which a vector has no direction


class NormalsHead(DenseHead):
    """A direction for every pixel.

    Args:
        task: a task of kind `normals`.
        features: widths and strides of the features.
        levels: maps that the decoder uses; its own choice by default.
        width: channels of the decoder.
        decoder: decoder class with its own arguments; `FPNDecoder` by default.
        error: `cosine` (1 minus the cosine of the angle) or `l1` (absolute error of the normalised vectors, summed over
            their three components).
    """

    kinds = ("normals",)
    monitor = ("mean", "min")

    def __init__(
        self,
        task: Task,
        features: FeatureSpec,
        levels: list[str] | None = None,
        width: int = 64,
        decoder: DecoderFactory | None = None,
        error: Literal["cosine", "l1"] = "cosine",
    ) -> None:
        super().__init__(task, features, 3, levels, width, decoder)
        self.error = error

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        target_B3HW = batch[self.task.name].float()
        known_BHW = target_B3HW.isfinite().all(1) & labelled(batch, self.task)[:, None, None]
        # a finite value for missing targets: NaN * 0 is NaN, also in the gradient
        target_B3HW = torch.where(known_BHW[:, None], target_B3HW, 0.0)
        found_B3HW = F.normalize(self.at_target(outputs, target_B3HW), dim=1, eps=_SHORTEST)
        if self.error == "l1":
            return mean_of_pixels((found_B3HW - target_B3HW).abs().sum(1), known_BHW)
        return mean_of_pixels(1 - (found_B3HW * target_B3HW).sum(1), known_BHW)

    def decode(self, outputs: Outputs) -> Predictions:
        return {"normals": F.normalize(self.at_input(outputs), dim=1, eps=_SHORTEST)}

    def metrics(self) -> NormalMetrics:
        return NormalMetrics(self.task)
