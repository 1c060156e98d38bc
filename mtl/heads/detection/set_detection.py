"""Set detection: a fixed number of slots, each of which predicts a box with a class or nothing; no NMS, no anchors.

Source: Carion et al., "End-to-End Object Detection with Transformers" (DETR), ECCV 2020, arXiv:2005.12872: matching, L1
+ GIoU + class loss. Three later ideas make it learn in hours instead of days: each slot has a reference box that each
stage refines (Zhu et al., Deformable DETR, arXiv:2010.04159), focal loss instead of softmax (same paper), and features
sampled inside the reference box (Sun et al., Sparse R-CNN, arXiv:2011.12450).
Shapes: B images, L stages, S slots, C classes, M padded boxes, D width, T cells, G x G points in a box.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.batch import Batch, labelled
from mtl.distributed.normaliser import global_count
from mtl.features import Features, FeatureSpec
from mtl.functional.boxes import giou_loss
from mtl.functional.dense_targets import cell_centers
from mtl.functional.focal import focal_loss
from mtl.functional.matching import match_slots
from mtl.heads.head import Head, Outputs
from mtl.metrics.detection_map import DetectionMetrics
from mtl.metrics.task_metrics import Predictions
from mtl.targets.detection import box_mask
from mtl.task import Task

_FREQUENCIES = 8  # sines and cosines per coordinate


class SetDetectionHead(Head):
    """`num_boxes` slots that attend to the whole map and to the inside of their boxes, in a few stages.

    Args:
        task: a task of kind `detection`.
        features: widths and strides of the features.
        level: input level; the finest pyramid level by default.
        num_boxes: number of slots, and so the maximum number of boxes, per image.
        width: channels of a slot, a multiple of `num_heads`.
        num_heads: number of attention heads.
        num_stages: number of refinements of the boxes.
        grid: rows and columns of the points sampled inside a box.
        class_weight: weight of the focal loss, in the loss and in the matching.
        l1_weight: weight of the L1 distance of boxes (centre and size as shares of the image), in both.
        giou_weight: weight of the GIoU loss, in both.
    """

    kinds = ("detection",)
    monitor = ("map", "max")
    loss_compiles = False  # the matching runs on the host

    def __init__(
        self,
        task: Task,
        features: FeatureSpec,
        level: str | None = None,
        num_boxes: int = 16,
        width: int = 64,
        num_heads: int = 4,
        num_stages: int = 3,
        grid: int = 4,
        class_weight: float = 2.0,
        l1_weight: float = 5.0,
        giou_weight: float = 2.0,
    ) -> None:
        super().__init__(task, features)
        who = f"head {task.name!r}"
        if width % num_heads:
            raise ValueError(f"{who} splits width={width} over num_heads={num_heads}; make it a multiple.")
        self.level = features.require([level], who, ["map"])[0] if level else features.pyramid(who)[0]
        self.stride = features.strides[self.level]
        self.class_weight, self.l1_weight, self.giou_weight = class_weight, l1_weight, giou_weight
        self.project = nn.Conv2d(features.channels[self.level], width, 1)
        self.norm = nn.LayerNorm(width)
        self.cell_position = nn.Linear(4 * _FREQUENCIES, width)
        self.slots = nn.Parameter(torch.randn(num_boxes, width))
        # initial boxes: random centres, a quarter of the image wide and high
        start_S4 = torch.cat((torch.rand(num_boxes, 2), torch.full((num_boxes, 2), 0.25)), 1)
        self.references = nn.Parameter(torch.logit(start_S4, eps=0.05))
        self.stages = nn.ModuleList(_Stage(width, num_heads, grid, task.num_classes) for _ in range(num_stages))

    def forward(self, features: Features) -> Outputs:
        x_BDHW = self.project(features[self.level])
        height, width = x_BDHW.shape[-2:]
        tokens_BTD = self.norm(x_BDHW.flatten(2).transpose(1, 2))
        maps_BDHW = tokens_BTD.transpose(1, 2).unflatten(2, (height, width))
        size_4 = torch.tensor([width, height, width, height], dtype=torch.float32, device=x_BDHW.device) * self.stride
        cells_T2 = cell_centers([x_BDHW], [self.stride])[:, :2] / size_4[:2]
        keys_BTD = tokens_BTD + self.cell_position(_waves(cells_T2))
        slots_BSD = self.slots.expand(x_BDHW.shape[0], -1, -1)
        boxes_BS4 = self.references.float().sigmoid().expand(x_BDHW.shape[0], -1, -1)
        logits: list[Tensor] = []
        boxes: list[Tensor] = []
        for stage in self.stages:
            # detached: each stage learns only its refinement of the previous stage's boxes
            reference = boxes_BS4.detach() if boxes else boxes_BS4
            slots_BSD, logits_BSC, boxes_BS4 = stage(slots_BSD, reference, keys_BTD, tokens_BTD, maps_BDHW)
            logits.append(logits_BSC)
            boxes.append(boxes_BS4)
        return {
            "logits": torch.stack(logits, 1),
            "boxes_cxcywh_unit": torch.stack(boxes, 1),
            "size_px": size_4.expand(x_BDHW.shape[0], 4),
        }

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        with torch.autocast(outputs["logits"].device.type, enabled=False):
            return self._loss(outputs, batch)

    def _loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        real_BM, known_B = box_mask(batch, self.task), labelled(batch, self.task)
        label_BM = batch[self.task.labels_field].clamp(0, self.task.num_classes - 1)
        boxes_BM4 = torch.where(real_BM[..., None], batch[self.task.name], 0.0) / outputs["size_px"][:, None]
        size_BM2 = boxes_BM4[..., 2:] - boxes_BM4[..., :2]
        truth_BM4 = torch.cat((boxes_BM4[..., :2] + size_BM2 / 2, size_BM2), -1)
        # all stages at once: B becomes B * L, so that one copy to the host carries all cost matrices
        stages = outputs["logits"].shape[1]
        logits_BSC, predicted_BS4 = outputs["logits"].flatten(0, 1), outputs["boxes_cxcywh_unit"].flatten(0, 1)
        label_BM, truth_BM4, real_BM, known_B = (
            tensor.repeat_interleave(stages, 0) for tensor in (label_BM, truth_BM4, real_BM, known_B)
        )
        slot_BM, matched_BM = match_slots(self._cost(logits_BSC, predicted_BS4, label_BM, truth_BM4), real_BM)
        count = global_count(real_BM.sum())

        owner_BMS = F.one_hot(slot_BM, logits_BSC.shape[1]) * matched_BM[..., None]
        target_BSC = owner_BMS.transpose(1, 2).float() @ F.one_hot(label_BM, self.task.num_classes).float()
        class_loss = (focal_loss(logits_BSC, target_BSC > 0.5).sum((1, 2)) * known_B).sum()
        predicted_BM4 = predicted_BS4.gather(1, slot_BM[..., None].expand(-1, -1, 4))
        truth_BM4 = torch.where(matched_BM[..., None], truth_BM4, predicted_BM4.detach())
        l1_loss = (predicted_BM4 - truth_BM4).abs().sum()
        giou_BM = giou_loss(_to_xyxy(predicted_BM4), _to_xyxy(truth_BM4))
        box_loss = self.l1_weight * l1_loss + self.giou_weight * (giou_BM * matched_BM).sum()
        total: Tensor = (self.class_weight * class_loss + box_loss) / count
        return total

    @torch.no_grad()
    def _cost(self, logits_BSC: Tensor, predicted_BS4: Tensor, label_BM: Tensor, truth_BM4: Tensor) -> Tensor:
        """Cost of matching each slot with each object, [B,S,M]."""
        p_BSC = logits_BSC.sigmoid()
        yes_BSC = 0.25 * (1 - p_BSC) ** 2 * F.softplus(-logits_BSC)
        no_BSC = 0.75 * p_BSC**2 * F.softplus(logits_BSC)
        class_BSM = (yes_BSC - no_BSC).gather(2, label_BM[:, None].expand(-1, logits_BSC.shape[1], -1))
        predicted_BS14, truth_B1M4 = predicted_BS4[:, :, None], truth_BM4[:, None]
        l1_BSM = (predicted_BS14 - truth_B1M4).abs().sum(-1)
        giou_BSM = giou_loss(_to_xyxy(predicted_BS14), _to_xyxy(truth_B1M4))
        return self.class_weight * class_BSM + self.l1_weight * l1_BSM + self.giou_weight * giou_BSM

    def decode(self, outputs: Outputs) -> Predictions:
        scores_BS, labels_BS = outputs["logits"][:, -1].float().sigmoid().max(-1)
        size_B14 = outputs["size_px"][:, None]
        boxes_BS4 = _to_xyxy(outputs["boxes_cxcywh_unit"][:, -1].float()) * size_B14
        return {"boxes": boxes_BS4.clamp(min=0).minimum(size_B14), "scores": scores_BS, "labels": labels_BS}

    def metrics(self) -> DetectionMetrics:
        return DetectionMetrics(self.task, len(self.slots))


class _Stage(nn.Module):
    """Slots attend to each other, to the map, and to the inside of their boxes; then they move their boxes."""

    def __init__(self, width: int, num_heads: int, grid: int, num_classes: int) -> None:
        super().__init__()
        self.grid = grid
        self.position = nn.Linear(8 * _FREQUENCIES, width)
        self.among_slots = nn.MultiheadAttention(width, num_heads, batch_first=True)
        self.over_cells = nn.MultiheadAttention(width, num_heads, batch_first=True)
        self.inside = nn.Sequential(nn.Linear(width * grid * grid, width), nn.ReLU(), nn.Linear(width, width))
        self.mix = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.classes = nn.Linear(width, num_classes)
        self.box = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 4))
        # initially, a slot predicts each class with probability 0.01 and does not move its box
        nn.init.constant_(self.classes.bias, -math.log(99.0))
        nn.init.zeros_(self.box[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.box[-1].bias)  # type: ignore[arg-type]

    def forward(
        self, slots_BSD: Tensor, boxes_BS4: Tensor, keys_BTD: Tensor, tokens_BTD: Tensor, maps_BDHW: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        position_BSD = self.position(_waves(boxes_BS4))
        query_BSD = slots_BSD + position_BSD
        slots_BSD = self.norms[0](slots_BSD + self.among_slots(query_BSD, query_BSD, slots_BSD, need_weights=False)[0])
        query_BSD = slots_BSD + position_BSD
        slots_BSD = self.norms[1](slots_BSD + self.over_cells(query_BSD, keys_BTD, tokens_BTD, need_weights=False)[0])
        slots_BSD = self.norms[2](slots_BSD + self.inside(_sample_inside(maps_BDHW, boxes_BS4, self.grid)))
        slots_BSD = self.norms[3](slots_BSD + self.mix(slots_BSD))
        moved_BS4 = (torch.logit(boxes_BS4, eps=1e-4) + self.box(slots_BSD).float()).sigmoid()
        return slots_BSD, self.classes(slots_BSD).float(), moved_BS4


def _sample_inside(maps_BDHW: Tensor, boxes_BS4: Tensor, grid: int) -> Tensor:
    """Features at a regular grid of G x G points inside each box, [B,S,D*G*G]."""
    steps_G = (torch.arange(grid, device=boxes_BS4.device) + 0.5) / grid - 0.5
    offsets = torch.stack(torch.meshgrid(steps_G, steps_G, indexing="xy"), -1).flatten(0, 1)
    boxes_BS4 = boxes_BS4.detach()
    points = boxes_BS4[:, :, None, :2] + offsets * boxes_BS4[:, :, None, 2:]
    sampled = F.grid_sample(maps_BDHW.float(), 2 * points - 1, mode="bilinear", align_corners=False)
    return sampled.permute(0, 2, 3, 1).flatten(2).to(maps_BDHW.dtype)


def _waves(positions: Tensor) -> Tensor:
    """Sines and cosines of numbers in 0..1 at rising frequencies: [..., N] -> [..., 2 * frequencies * N]."""
    frequencies = math.pi * 2.0 ** torch.arange(_FREQUENCIES, device=positions.device)
    angles = (positions[..., None] * frequencies).flatten(-2)
    return torch.cat((angles.sin(), angles.cos()), -1)


def _to_xyxy(boxes_cxcywh: Tensor) -> Tensor:
    center, half = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:] / 2
    return torch.cat((center - half, center + half), -1)
