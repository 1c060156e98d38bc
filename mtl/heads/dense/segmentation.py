"""Segmentation head: cross-entropy over the annotated pixels, with hard pixels only or a Dice loss on request.

Sources: hard pixels: Shrivastava, Gupta, Girshick, "Training Region-based Object Detectors with Online Hard Example
Mining", CVPR 2016. Dice: Milletari, Navab, Ahmadi, "V-Net", 3DV 2016, eq. of section 3, with plain sums in the
denominator. Both are computed in each picture and averaged over pictures, so that N ranks equal one.
Shapes: B samples, C classes, H x W pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl.batch import Batch, labelled
from mtl.features import FeatureSpec
from mtl.heads.dense.dense_head import DecoderFactory, DenseHead, mean_of_pictures, mean_of_pixels
from mtl.heads.head import Outputs
from mtl.metrics.saliency import SaliencyMetrics
from mtl.metrics.segmentation import SegmentationMetrics
from mtl.metrics.task_metrics import Predictions
from mtl.task import Task


class SegmentationHead(DenseHead):
    """A class for every pixel.

    Args:
        task: a task of kind `segmentation`.
        features: widths and strides of the features.
        levels: maps that the decoder uses; its own choice by default.
        width: channels of the decoder.
        decoder: decoder class with its own arguments; `FPNDecoder` by default.
        class_weights: weight of each class in the loss; 1 by default.
        hard_share: share of each picture's pixels that the loss averages: the ones with the largest cross-entropy.
        dice: weight of the Dice loss beside the cross-entropy; with it the validation loss is a mean over batches,
            and depends a little on `eval_batch_size`.
        max_f: also measure the maximum F-measure of the second class; for tasks of two classes, such as saliency.

    Raises:
        ValueError: if there are not as many weights as classes, or a setting is out of range.
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
        decoder: DecoderFactory | None = None,
        class_weights: list[float] | None = None,
        hard_share: float = 1.0,
        dice: float = 0.0,
        max_f: bool = False,
    ) -> None:
        super().__init__(task, features, task.num_classes, levels, width, decoder)
        who = f"head {task.name!r}"
        if class_weights is not None and len(class_weights) != task.num_classes:
            raise ValueError(f"{who}: {len(class_weights)} class_weights for {task.num_classes} classes.")
        if not 0 < hard_share <= 1 or dice < 0:
            raise ValueError(f"{who}: hard_share={hard_share} must be above 0 and at most 1, dice={dice} at least 0.")
        self.hard_share, self.dice = hard_share, dice
        self.measure = SaliencyMetrics if max_f else SegmentationMetrics
        self.measure(task)  # refuses a task that it cannot measure
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("weights_C", weights, persistent=False)

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        target_BHW = batch[self.task.name]
        known_BHW = (target_BHW >= 0) & labelled(batch, self.task)[:, None, None]
        target_BHW = target_BHW.clamp(min=0)
        logits_BCHW = self.at_target(outputs, target_BHW)
        losses_BHW = F.cross_entropy(logits_BCHW, target_BHW, reduction="none")
        weight_BHW = None if self.weights_C is None else self.weights_C[target_BHW]
        if self.hard_share < 1:
            known_losses_BHW = losses_BHW if weight_BHW is None else losses_BHW * weight_BHW
            loss = mean_of_pictures(hardest(known_losses_BHW, known_BHW, self.hard_share), known_BHW)
        else:
            loss = mean_of_pixels(losses_BHW, known_BHW, weight_BHW)
        if self.dice:
            loss = loss + self.dice * mean_of_pictures(dice_loss(logits_BCHW, target_BHW, known_BHW), known_BHW)
        return loss

    def decode(self, outputs: Outputs) -> Predictions:
        scores_BHW, class_map_BHW = self.at_input(outputs).softmax(1).max(1)
        return {"class_map": class_map_BHW, "scores": scores_BHW}

    def metrics(self) -> SegmentationMetrics:
        return self.measure(self.task)


def hardest(losses_BHW: Tensor, known_BHW: Tensor, share: float) -> Tensor:
    """Mean of the largest losses in each picture, [B]; 0 for a picture without a known pixel.

    Args:
        losses_BHW: at least 0.
        known_BHW: which pixels count.
        share: share of the known pixels, rounded up.
    """
    sorted_BN = (losses_BHW * known_BHW).flatten(1).sort(1, descending=True).values
    kept_B = (known_BHW.flatten(1).sum(1) * share).ceil()
    kept_BN = torch.arange(sorted_BN.shape[1], device=sorted_BN.device) < kept_B[:, None]
    return (sorted_BN * kept_BN).sum(1) / kept_B.clamp(min=1)


def dice_loss(logits_BCHW: Tensor, target_BHW: Tensor, known_BHW: Tensor) -> Tensor:
    """One minus the mean Dice coefficient of the classes that a picture contains, [B].

    Args:
        logits_BCHW: raw scores.
        target_BHW: class indices, at least 0.
        known_BHW: which pixels count.
    """
    share_BCHW = logits_BCHW.softmax(1) * known_BHW[:, None]
    true_BCHW = F.one_hot(target_BHW, logits_BCHW.shape[1]).movedim(-1, 1) * known_BHW[:, None]
    both_BC = (share_BCHW * true_BCHW).flatten(2).sum(2)
    sizes_BC = share_BCHW.flatten(2).sum(2) + true_BCHW.flatten(2).sum(2)
    there_BC = true_BCHW.flatten(2).any(2)
    dice_BC = 2 * both_BC / sizes_BC.clamp(min=1e-6)
    return ((1 - dice_BC) * there_BC).sum(1) / there_BC.sum(1).clamp(min=1)
