"""FCOS-style dense detection: each cell near an object's centre predicts its class and the distances to its four sides.

Source: Tian, Shen, Chen, He, "FCOS: Fully Convolutional One-Stage Object Detection", ICCV 2019, arXiv:1904.01355:
focal loss, GIoU, centre-ness, centre sampling and size ranges per level. Differences from torchvision: cell centres are
offset by half a stride, positives are counted over all ranks, targets are padded tensors (one graph under
`torch.compile`), and sides use softplus instead of ReLU, so that no side starts with a zero gradient.
Shapes: B images, P cells of all levels, M padded boxes, C classes, N candidates, K detections.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import batched_nms, nms

from mtl.batch import Batch, labelled
from mtl.distributed.normaliser import global_count
from mtl.features import Features, FeatureSpec
from mtl.functional.boxes import giou_loss
from mtl.functional.dense_targets import assign_cells, cell_centers, centerness, size_ranges
from mtl.functional.focal import focal_loss
from mtl.heads.head import Head, Outputs
from mtl.metrics.detection_map import DetectionMetrics
from mtl.metrics.task_metrics import Predictions
from mtl.targets.detection import PADDING_LABEL, box_mask
from mtl.task import Task


class FCOSHead(Head):
    """Class, sides and centre-ness of each cell of one or more pyramid levels.

    Args:
        task: a task of kind `detection`.
        features: widths and strides of the features.
        levels: input levels, of equal width; all pyramid levels (`p*`) by default.
        num_convs: number of layers in each of the two towers.
        norm: `batch`, `group`, or `auto`: `batch` for one level, `group` for several levels, whose statistics differ
            too much for one batch norm.
        center_radius: maximum distance of a positive cell from the object's centre, in strides.
        size_factor: maximum distance from a cell to the farthest side of its object, in strides; larger objects go to
            the next level, and the last level has no limit.
        box_weight: weight of the GIoU loss relative to focal loss and centre-ness.
        score_threshold: candidates with a lower score are dropped before NMS, 0 to 1.
        nms_iou: IoU threshold of the NMS within a class, 0 to 1.
        num_candidates: number of best candidates per image that enter the NMS.
        max_detections: maximum number of boxes per image.
    """

    kinds = ("detection",)
    monitor = ("map", "max")

    def __init__(
        self,
        task: Task,
        features: FeatureSpec,
        levels: list[str] | None = None,
        num_convs: int = 1,
        norm: Literal["auto", "batch", "group"] = "auto",
        center_radius: float = 1.5,
        size_factor: float = 8.0,
        box_weight: float = 1.0,
        score_threshold: float = 0.05,
        nms_iou: float = 0.6,
        num_candidates: int = 300,
        max_detections: int = 100,
    ) -> None:
        super().__init__(task, features)
        who = f"head {task.name!r}"
        levels = features.require(levels, who, ["map"]) if levels else features.pyramid(who)
        self.levels = sorted(levels, key=lambda level: features.strides[level])
        self.strides = [features.strides[level] for level in self.levels]
        widths = {features.channels[level] for level in self.levels}
        if len(widths) > 1 or len(set(self.strides)) < len(self.strides):
            raise ValueError(
                f"{who} shares one tower over levels, which need equal widths and different strides; "
                f"{', '.join(self.levels)} have widths {sorted(widths)} and strides {self.strides}. Set other `levels`."
            )
        self.center_radius, self.size_factor, self.box_weight = center_radius, size_factor, box_weight
        self.score_threshold, self.nms_iou = score_threshold, nms_iou
        self.num_candidates, self.max_detections = num_candidates, max_detections
        (width,) = widths
        grouped = norm == "group" or (norm == "auto" and len(self.levels) > 1)
        self.class_tower = _tower(width, num_convs, grouped)
        self.box_tower = _tower(width, num_convs, grouped)
        self.class_logits = nn.Conv2d(width, task.num_classes, 3, padding=1)
        self.sides = nn.Conv2d(width, 4, 3, padding=1)
        self.centerness = nn.Conv2d(width, 1, 3, padding=1)
        self.scales = nn.Parameter(torch.ones(len(self.levels)))
        for conv in (self.class_logits, self.sides, self.centerness):
            nn.init.normal_(conv.weight, std=0.01)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        # initial probability of 0.01 for an object in a cell, as focal losses need
        nn.init.constant_(self.class_logits.bias, -math.log(99.0))  # type: ignore[arg-type]

    def forward(self, features: Features) -> Outputs:
        logits, sides, central = [], [], []
        maps = [features[level] for level in self.levels]
        for index, x in enumerate(maps):
            box_x = self.box_tower(x)
            logits.append(_cells_last(self.class_logits(self.class_tower(x))))
            sides.append(_cells_last(self.sides(box_x)) * self.scales[index])
            central.append(_cells_last(self.centerness(box_x)))
        cells_P3 = cell_centers(maps, self.strides)
        # pixels need float32: bfloat16 rounds coordinates above 256 to 2 px
        with torch.autocast(maps[0].device.type, enabled=False):
            sides_BP4 = F.softplus(torch.cat(sides, 1).float()) * cells_P3[:, 2:]
            low_BP2, high_BP2 = cells_P3[:, :2] - sides_BP4[..., :2], cells_P3[:, :2] + sides_BP4[..., 2:]
        return {
            "logits": torch.cat(logits, 1).float(),
            "boxes": torch.cat((low_BP2, high_BP2), -1),
            "centerness": torch.cat(central, 1).float().squeeze(-1),
            "cells": cells_P3.expand(maps[0].shape[0], -1, -1),
        }

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        with torch.autocast(outputs["logits"].device.type, enabled=False):
            return self._loss(outputs, batch)

    def _loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        real_BM, known_B = box_mask(batch, self.task), labelled(batch, self.task)
        cells_P3 = outputs["cells"][0]
        ranges_P2 = size_ranges(cells_P3, self.strides, self.size_factor)
        index_BP, positive_BP = assign_cells(cells_P3, ranges_P2, batch[self.task.name], real_BM, self.center_radius)
        count = global_count(positive_BP.sum())

        label_BP = batch[self.task.labels_field].clamp(0, self.task.num_classes - 1).gather(1, index_BP)
        target_BPC = torch.zeros_like(outputs["logits"], dtype=torch.bool)
        target_BPC = target_BPC.scatter(2, label_BP[..., None], positive_BP[..., None])
        focal_BPC = focal_loss(outputs["logits"], target_BPC)
        class_loss = (focal_BPC.sum((1, 2)) * known_B).sum()

        predicted_BP4 = outputs["boxes"]
        truth_BP4 = batch[self.task.name].gather(1, index_BP[..., None].expand(-1, -1, 4))
        # the target of a cell without an object is its predicted box: a finite loss, whose weight 0 makes the gradient
        # 0
        truth_BP4 = torch.where(positive_BP[..., None], truth_BP4, predicted_BP4.detach())
        box_loss = (giou_loss(predicted_BP4, truth_BP4) * positive_BP).sum()
        central_BP = F.binary_cross_entropy_with_logits(
            outputs["centerness"], centerness(cells_P3, truth_BP4), reduction="none"
        )
        total: Tensor = (class_loss + self.box_weight * box_loss + (central_BP * positive_BP).sum()) / count
        return total

    def decode(self, outputs: Outputs) -> Predictions:
        boxes_BN4, scores_BN, labels_BN = self.candidates(outputs)
        kept_BN = self._suppress(boxes_BN4, scores_BN, labels_BN) & (scores_BN >= self.score_threshold)
        most = min(self.max_detections, scores_BN.shape[1])
        scores_BK, index_BK = (scores_BN * kept_BN).topk(most)
        real_BK = scores_BK > 0
        boxes_BK4 = boxes_BN4.gather(1, index_BK[..., None].expand(-1, -1, 4))
        return {
            "boxes": boxes_BK4 * real_BK[..., None],
            "scores": scores_BK,
            "labels": torch.where(real_BK, labels_BN.gather(1, index_BK), PADDING_LABEL),
        }

    def candidates(self, outputs: Outputs) -> tuple[Tensor, Tensor, Tensor]:
        """The best candidates before NMS: boxes clipped to the image [B,N,4], scores [B,N], labels [B,N].

        Args:
            outputs: result of `forward`.
        """
        quality_BP1 = outputs["centerness"].float().sigmoid()[..., None]
        scores_BPC = (outputs["logits"].float().sigmoid() * quality_BP1).sqrt()
        most = min(self.num_candidates, scores_BPC[0].numel())
        scores_BN, index_BN = scores_BPC.flatten(1).topk(most)
        cell_BN = index_BN.div(self.task.num_classes, rounding_mode="floor")
        boxes_BN4 = outputs["boxes"].float().gather(1, cell_BN[..., None].expand(-1, -1, 4))
        # the cells of the finest level end nearest to the edge of the image
        cells_BP3 = outputs["cells"]
        edge_BP2 = (cells_BP3[..., :2] + cells_BP3[..., 2:] / 2) * (cells_BP3[..., 2:] == self.strides[0])
        limit_B14 = edge_BP2.amax(1, keepdim=True).repeat(1, 1, 2)
        return boxes_BN4.clamp(min=0).minimum(limit_B14), scores_BN, index_BN % self.task.num_classes

    def metrics(self) -> DetectionMetrics:
        return DetectionMetrics(self.task, self.max_detections)

    def _suppress(self, boxes_BN4: Tensor, scores_BN: Tensor, labels_BN: Tensor) -> Tensor:
        """Which candidates the NMS keeps, bool [B,N]; it runs per image and class."""
        image_BN = torch.arange(boxes_BN4.shape[0], device=boxes_BN4.device)[:, None].expand_as(labels_BN)
        keep_BN = torch.zeros_like(scores_BN, dtype=torch.bool)
        if torch.compiler.is_compiling():
            # fixed shapes for export: shift images along x and classes along y, so that their boxes do not overlap
            step = boxes_BN4.detach().max() + 1  # `amax` without a dimension has no ONNX form
            shift_BN4 = torch.stack((image_BN, labels_BN), -1).repeat(1, 1, 2) * step
            kept = nms((boxes_BN4 + shift_BN4).flatten(0, 1), scores_BN.flatten(), self.nms_iou)
            return keep_BN.flatten().index_fill(0, kept, True).view_as(keep_BN)
        rows = (scores_BN.flatten() >= self.score_threshold).nonzero().flatten()
        groups = (image_BN * self.task.num_classes + labels_BN).flatten()[rows]
        # in 64 bits: groups are moved apart by up to images x classes x pixels, where 32 bits keep a tenth of a pixel;
        # other images of the batch would change what is kept
        boxes_R4, scores_R = boxes_BN4.flatten(0, 1)[rows].double(), scores_BN.flatten()[rows].double()
        kept = batched_nms(boxes_R4, scores_R, groups, self.nms_iou)
        return keep_BN.flatten().index_fill(0, rows[kept], True).view_as(keep_BN)


def _cells_last(map_BCHW: Tensor) -> Tensor:
    return map_BCHW.flatten(2).transpose(1, 2)


def _tower(width: int, num_convs: int, grouped: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(num_convs):
        norm = nn.GroupNorm(math.gcd(width, 32), width) if grouped else nn.BatchNorm2d(width)
        layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), norm, nn.ReLU()]
    return nn.Sequential(*layers)
