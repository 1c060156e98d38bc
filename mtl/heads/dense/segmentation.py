"""Segmentation head: a pyramid added up at its finest level, cross-entropy over the annotated pixels.

Source: the decoder is that of Kirillov et al., "Panoptic Feature Pyramid Networks", CVPR 2019, arXiv:1901.02446, with
one convolution for each level.
Shapes: B samples, C classes, H x W pixels, h x w cells of the finest level.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.batch import Batch, labelled
from mtl.distributed.normaliser import global_count
from mtl.features import Features, FeatureSpec
from mtl.heads.head import Head, Outputs
from mtl.heads.whole.pooling import conv_norm_relu
from mtl.metrics.segmentation import SegmentationMetrics
from mtl.metrics.task_metrics import Predictions
from mtl.task import Task


class SegmentationHead(Head):
    """A class for every pixel.

    Args:
        task: a task of kind `segmentation`.
        features: widths and strides of the features.
        levels: maps to add up; those of the pyramid by default.
        width: channels of the decoder.
        class_weights: weight of each class in the loss; 1 by default.

    Raises:
        ValueError: without a pyramid, or if there are not as many weights as classes.
    """

    kinds = ("segmentation",)
    monitor = ("miou", "max")
    weights_C: Tensor | None

    def __init__(
        self,
        task: Task,
        features: FeatureSpec,
        levels: list[str] | None = None,
        width: int = 64,
        class_weights: list[float] | None = None,
    ) -> None:
        super().__init__(task, features)
        who = f"head {task.name!r}"
        named = features.require(levels, who, ["map"]) if levels else features.pyramid(who)
        if class_weights is not None and len(class_weights) != task.num_classes:
            raise ValueError(f"{who}: {len(class_weights)} class_weights for {task.num_classes} classes.")
        self.levels = sorted(named, key=lambda level: features.strides[level])
        self.stride = features.strides[self.levels[0]]
        self.convolutions = nn.ModuleDict({level: conv_norm_relu(features.channels[level], width) for level in named})
        self.layer = nn.Conv2d(width, task.num_classes, 1)
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("weights_C", weights, persistent=False)

    def forward(self, features: Features) -> Outputs:
        size = features[self.levels[0]].shape[-2:]
        total: Tensor | float = 0.0
        for level in self.levels:
            x = self.convolutions[level](features[level])
            total = total + (x if x.shape[-2:] == size else F.interpolate(x, size=size, mode="bilinear"))
        return {"logits": self.layer(total).float()}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        target_BHW = batch[self.task.name]
        known_BHW = (target_BHW >= 0) & labelled(batch, self.task)[:, None, None]
        logits_BCHW = F.interpolate(outputs["logits"], size=target_BHW.shape[-2:], mode="bilinear")
        losses_BHW = F.cross_entropy(logits_BCHW, target_BHW.clamp(min=0), self.weights_C, reduction="none")
        weight_BHW = known_BHW if self.weights_C is None else self.weights_C[target_BHW.clamp(min=0)] * known_BHW
        return (losses_BHW * known_BHW).sum() / global_count(weight_BHW.sum())

    def decode(self, outputs: Outputs) -> Predictions:
        size = [side * self.stride for side in outputs["logits"].shape[-2:]]
        probabilities_BCHW = F.interpolate(outputs["logits"], size=size, mode="bilinear").softmax(1)
        scores_BHW, class_map_BHW = probabilities_BCHW.max(1)
        return {"class_map": class_map_BHW, "scores": scores_BHW}

    def metrics(self) -> SegmentationMetrics:
        return SegmentationMetrics(self.task)
