"""CenterNet-style detection: a heat map of object centres and the distances to the four sides. No NMS, no anchors.

Source: Zhou, Wang, Kraehenbuehl, "Objects as Points", arXiv:1904.07850: the penalty-reduced focal loss (eq. 1); the
Gaussian radius is from Law and Deng (CornerNet). Unlike in the paper, a box is the distances left, top, right, bottom
from the middle of the centre cell, trained with a GIoU loss, so no offset is learned. Training boxes on all cells under
the Gaussian (TTFNet, AAAI 2020) gave the same mAP within 0.004 after 600 steps on digit scenes.
Shapes: B images, C classes, M padded boxes, H x W cells of the finest level, K best peaks.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.batch import Batch, labelled
from mtl.distributed.normaliser import global_count
from mtl.features import Features, FeatureSpec
from mtl.functional.boxes import giou_loss
from mtl.functional.distillation import soft_heat
from mtl.heads.head import Head, Outputs
from mtl.metrics.detection_map import DetectionMetrics
from mtl.metrics.task_metrics import Predictions
from mtl.targets.detection import PADDING_LABEL, box_mask
from mtl.task import Task


class CenterNetHead(Head):
    """Objects as peaks of a heat map.

    Args:
        task: a task of kind `detection`.
        features: widths and strides of the features.
        level: input level; the finest pyramid level by default.
        width: channels of the two towers; the level's channels by default.
        max_detections: maximum number of boxes per image.
        min_overlap: IoU with the true box that a box keeps when it moves by the Gaussian radius.
        box_weight: weight of the GIoU loss relative to the heat map's loss (the TTFNet paper uses 5).
    """

    kinds = ("detection",)
    monitor = ("map", "max")

    def __init__(
        self,
        task: Task,
        features: FeatureSpec,
        level: str | None = None,
        width: int | None = None,
        max_detections: int = 100,
        min_overlap: float = 0.7,
        box_weight: float = 4.0,
    ) -> None:
        super().__init__(task, features)
        who = f"head {task.name!r}"
        self.level = features.require([level], who, ["map"])[0] if level else features.pyramid(who)[0]
        self.stride = features.strides[self.level]
        self.max_detections = max_detections
        self.min_overlap = min_overlap
        self.box_weight = box_weight
        channels = features.channels[self.level]
        width = width or channels
        self.heat = _tower(channels, width, task.num_classes)
        self.sides = _tower(channels, width, 4)
        # initial probability of 0.01 for an object in a cell, as focal losses need
        nn.init.constant_(self.heat[-1].bias, -math.log(99.0))  # type: ignore[arg-type]

    def forward(self, features: Features) -> Outputs:
        x = features[self.level]
        return {"heat": self.heat(x).float(), "sides": F.softplus(self.sides(x).float()) * self.stride}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        with torch.autocast(outputs["heat"].device.type, enabled=False):
            return self._loss(outputs["heat"], outputs["sides"], batch)

    def _loss(self, heat_BCHW: Tensor, sides_B4HW: Tensor, batch: Batch) -> Tensor:
        real_BM = box_mask(batch, self.task)
        # replace values in padding and unlabelled images, which may be NaN: NaN * 0 is NaN
        boxes_BM4 = torch.where(real_BM[..., None], batch[self.task.name], 0.0)
        labels_BM = torch.where(real_BM, batch[self.task.labels_field], 0)
        height, width = heat_BCHW.shape[-2:]
        x_BM, y_BM = self._center_cells(boxes_BM4, height, width)
        target_BCHW = self._heat_target(boxes_BM4, labels_BM, real_BM, x_BM, y_BM, heat_BCHW.shape)
        count = global_count(real_BM.sum())
        known_B = labelled(batch, self.task)
        heat_loss = (_focal(heat_BCHW, target_BCHW).sum((1, 2, 3)) * known_B).sum() / count

        rows_BM = torch.arange(len(boxes_BM4), device=boxes_BM4.device)[:, None].expand_as(x_BM)
        sides_BM4 = sides_B4HW[rows_BM, :, y_BM, x_BM]
        predicted_BM4 = _sides_to_boxes(sides_BM4, (x_BM + 0.5) * self.stride, (y_BM + 0.5) * self.stride)
        true_BM4 = torch.where(real_BM[..., None], boxes_BM4, predicted_BM4)
        giou_BM: Tensor = giou_loss(predicted_BM4, true_BM4)
        return heat_loss + self.box_weight * (giou_BM * real_BM).sum() / count

    def decode(self, outputs: Outputs) -> Predictions:
        heat_BCHW = outputs["heat"].float().sigmoid()
        peaks_BCHW = heat_BCHW * (F.max_pool2d(heat_BCHW, 3, 1, 1) == heat_BCHW)
        height, width = heat_BCHW.shape[-2:]
        most = min(self.max_detections, peaks_BCHW[0].numel())
        scores_BK, index_BK = peaks_BCHW.flatten(1).topk(most)
        label_BK = index_BK.div(height * width, rounding_mode="floor")
        cell_BK = index_BK - label_BK * (height * width)  # `%` of an open size has no ONNX form
        x_BK, y_BK = cell_BK % width, cell_BK.div(width, rounding_mode="floor")
        sides_BK4 = outputs["sides"].float().flatten(2).gather(2, cell_BK[:, None].expand(-1, 4, -1)).transpose(1, 2)
        boxes_BK4 = _sides_to_boxes(sides_BK4, (x_BK + 0.5) * self.stride, (y_BK + 0.5) * self.stride)
        limit = torch.tensor([width, height, width, height], device=boxes_BK4.device) * self.stride
        return {
            "boxes": boxes_BK4.clamp(min=0).minimum(limit),
            "scores": scores_BK,
            # where there are fewer peaks than boxes, the rest are cells that are none
            "labels": torch.where(scores_BK > 0, label_BK, PADDING_LABEL),
        }

    def distill(self, outputs: Outputs, teacher: Outputs, temperature: float) -> Tensor:
        heat_B = soft_heat(outputs["heat"], teacher["heat"])
        # sides count where the teacher sees an object
        seen_BHW = teacher["heat"].sigmoid().amax(1)
        gap_BHW = (outputs["sides"] - teacher["sides"]).abs().mean(1) / self.stride
        sides_B = (gap_BHW * seen_BHW).sum((1, 2)) / seen_BHW.sum((1, 2)).clamp(min=1e-6)
        return heat_B + self.box_weight * sides_B / 4

    def metrics(self) -> DetectionMetrics:
        return DetectionMetrics(self.task, self.max_detections)

    def _center_cells(self, boxes_BM4: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        center_BM2 = (boxes_BM4[..., :2] + boxes_BM4[..., 2:]) / (2 * self.stride)
        return center_BM2[..., 0].long().clamp(0, width - 1), center_BM2[..., 1].long().clamp(0, height - 1)

    def _heat_target(
        self, boxes_BM4: Tensor, labels_BM: Tensor, real_BM: Tensor, x_BM: Tensor, y_BM: Tensor, shape: torch.Size
    ) -> Tensor:
        """Target heat map [B,C,H,W]: 1 at the centre cells, a Gaussian around them, the maximum where two overlap."""
        size_BM2 = (boxes_BM4[..., 2:] - boxes_BM4[..., :2]) / self.stride
        sigma_BM = (2 * gaussian_radius(size_BM2[..., 1], size_BM2[..., 0], self.min_overlap) + 1) / 6
        cells_x = torch.arange(shape[3], device=x_BM.device)
        cells_y = torch.arange(shape[2], device=x_BM.device)
        across_BMW = torch.exp(-((cells_x - x_BM[..., None]) ** 2) / (2 * sigma_BM[..., None] ** 2))
        down_BMH = torch.exp(-((cells_y - y_BM[..., None]) ** 2) / (2 * sigma_BM[..., None] ** 2))
        blobs_BMHW = down_BMH[..., :, None] * across_BMW[..., None, :] * real_BM[..., None, None]
        target_BCHW = torch.zeros(shape, device=x_BM.device)
        index = labels_BM[..., None, None].expand_as(blobs_BMHW)
        return target_BCHW.scatter_reduce_(1, index, blobs_BMHW, "amax")


def gaussian_radius(height: Tensor, width: Tensor, min_overlap: float) -> Tensor:
    """Largest radius, at least 0, by which the corners of a box can move while its IoU stays above `min_overlap`.

    The minimum over the three cases in CornerNet's appendix. The widely copied code divides by 2 where the quadratic
    formula has 2a, which makes two of the three radii too large; this is corrected here.

    Args:
        height: box heights in cells, any shape.
        width: box widths in cells, the same shape.
        min_overlap: IoU to keep, 0 to 1.
    """
    total, area, keep = height + width, height * width, min_overlap
    # one corner inside, one outside; both inside; both outside
    cases = ((1.0, -total, area * (1 - keep) / (1 + keep)), (4.0, -2 * total, (1 - keep) * area))
    radii = [(-b - (b * b - 4 * a * c).clamp(min=0).sqrt()) / (2 * a) for a, b, c in cases]
    a, b, c = 4 * keep, 2 * keep * total, (keep - 1) * area
    radii.append((-b + (b * b - 4 * a * c).sqrt()) / (2 * a))
    return torch.stack(radii).amin(0).clamp(min=0)


def _focal(logits: Tensor, target: Tensor) -> Tensor:
    """Penalty-reduced focal loss of each cell (alpha 2, beta 4)."""
    log_p, log_not_p = F.logsigmoid(logits), F.logsigmoid(-logits)
    p = log_p.exp()
    positive = target.eq(1)
    return -torch.where(positive, (1 - p) ** 2 * log_p, (1 - target) ** 4 * p**2 * log_not_p)


def _sides_to_boxes(sides: Tensor, x: Tensor, y: Tensor) -> Tensor:
    left, top, right, bottom = sides.unbind(-1)
    return torch.stack((x - left, y - top, x + right, y + bottom), -1)


def _tower(channels: int, width: int, out: int) -> nn.Sequential:
    conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, out, 1))
