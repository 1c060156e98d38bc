"""Edge head: binary cross-entropy with edges and the rest in balance.

Source: Xie, Tu, "Holistically-Nested Edge Detection", ICCV 2015, arXiv:1504.06375, eq. 2: an edge weighs as much as the
share of other pixels in its picture. Multi-task work fixes that weight: 0.95 on PASCAL-Context.
Shapes: B samples, H x W pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl.batch import Batch, labelled
from mtl.features import FeatureSpec
from mtl.heads.dense.dense_head import DecoderFactory, DenseHead, mean_of_pictures, mean_of_pixels
from mtl.heads.head import Outputs
from mtl.metrics.edges import EdgeMetrics
from mtl.metrics.task_metrics import Predictions
from mtl.task import Task


class EdgesHead(DenseHead):
    """The probability of an edge in every pixel.

    Args:
        task: a task of kind `edges`.
        features: widths and strides of the features.
        levels: maps that the decoder uses; its own choice by default.
        width: channels of the decoder.
        decoder: decoder class with its own arguments; `FPNDecoder` by default.
        edge_weight: weight of edge pixels, between 0 and 1; the others weigh one minus it. None takes the share of the
            other pixels of each picture.
        tolerance: largest distance at which an edge counts as found, as a share of the picture's diagonal.

    Raises:
        ValueError: if a setting is out of range.
    """

    kinds = ("edges",)
    monitor = ("ods_tolerance", "max")

    def __init__(
        self,
        task: Task,
        features: FeatureSpec,
        levels: list[str] | None = None,
        width: int = 64,
        decoder: DecoderFactory | None = None,
        edge_weight: float | None = None,
        tolerance: float = 0.0075,
    ) -> None:
        super().__init__(task, features, 1, levels, width, decoder)
        if (edge_weight is not None and not 0 < edge_weight < 1) or tolerance < 0:
            raise ValueError(
                f"head {task.name!r}: edge_weight={edge_weight} must be between 0 and 1, tolerance={tolerance} at "
                "least 0."
            )
        self.edge_weight, self.tolerance = edge_weight, tolerance

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        target_BHW = batch[self.task.name].float()
        known_BHW = target_BHW.isfinite() & labelled(batch, self.task)[:, None, None]
        target_BHW = torch.where(known_BHW, target_BHW, 0.0)
        logits_BHW = self.at_target(outputs, target_BHW)[:, 0]
        losses_BHW = F.binary_cross_entropy_with_logits(logits_BHW, target_BHW, reduction="none")
        edge_BHW = target_BHW > 0.5
        if self.edge_weight is not None:
            weight_BHW = torch.where(edge_BHW, self.edge_weight, 1 - self.edge_weight)
            return mean_of_pixels(losses_BHW * weight_BHW, known_BHW)
        count_B = known_BHW.flatten(1).sum(1).clamp(min=1)
        edges_B11 = ((edge_BHW & known_BHW).flatten(1).sum(1) / count_B)[:, None, None]
        weight_BHW = torch.where(edge_BHW, 1 - edges_B11, edges_B11)
        return mean_of_pictures((losses_BHW * weight_BHW * known_BHW).flatten(1).sum(1) / count_B, known_BHW)

    def decode(self, outputs: Outputs) -> Predictions:
        return {"probabilities": self.at_input(outputs)[:, 0].sigmoid()}

    def metrics(self) -> EdgeMetrics:
        return EdgeMetrics(self.task, self.tolerance)
