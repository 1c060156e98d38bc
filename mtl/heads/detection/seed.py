"""The two heads of the program from which this template grew: flatten, 256 hidden units, dropout, one linear layer.

They are a baseline to beat. The box head is a plain regression onto the padded list of boxes: it has no classes, no
scores and no matching of objects, so with more than one object it learns the mean box.
Shapes: B samples, D flattened width, N boxes of the head, M padded true boxes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.batch import Batch, labelled
from mtl.distributed.normaliser import masked_mean
from mtl.features import Features, FeatureSpec
from mtl.functional.on_host import numbers_on
from mtl.heads.head import Head, Outputs
from mtl.heads.whole.classification import ClassificationHead
from mtl.heads.whole.pooling import mlp
from mtl.metrics.detection_map import DetectionMetrics
from mtl.metrics.task_metrics import Predictions, TaskMetrics
from mtl.targets.detection import PADDING_LABEL, box_mask, ignored
from mtl.task import Task


class FlattenGrid(nn.Module):
    """Flatten one level to a vector; a map of another size is average-pooled to the grid first.

    Args:
        features: widths of the levels.
        level: the level.
        grid: rows and columns of the flattened map.
    """

    def __init__(self, features: FeatureSpec, level: str, grid: int) -> None:
        super().__init__()
        self.level, self.grid = level, grid
        self.width = features.channels[level] * grid * grid

    def forward(self, features: Features) -> Tensor:
        x = features[self.level]
        if x.shape[-2:] != (self.grid, self.grid):
            x = F.adaptive_avg_pool2d(x, self.grid)
        return x.flatten(1)


class FlattenClassificationHead(ClassificationHead):
    """One class for the whole image, from the flattened map, so unlike with pooling, positions matter.

    Args:
        task: a task of kind `classification`.
        features: widths and strides of the features.
        level: the level to flatten; the deepest level by default.
        grid: rows and columns of the flattened map; 4 for 32 x 32 images at stride 8.
        hidden: width of the hidden layer.
        dropout: share of hidden units dropped in training, 0 to 1.
    """

    def __init__(
        self,
        task: Task,
        features: FeatureSpec,
        level: str | None = None,
        grid: int = 4,
        hidden: int = 256,
        dropout: float = 0.5,
    ) -> None:
        (level,) = features.require([level or features.deepest], f"head {task.name!r}", ["map"])
        super().__init__(task, features, levels=[level])
        flatten = FlattenGrid(features, level, grid)
        self.pool: nn.Module = flatten  # type: ignore[assignment]
        self.layers = mlp(flatten.width, hidden, task.num_classes, dropout)


class SeedBoxHead(Head):
    """`num_boxes` boxes in unit coordinates, trained with mean squared error against the padded list of true boxes.

    The target is xyxy divided by the image size: the first `num_boxes` true boxes in the order of the data set, then
    zeros. The mean is over all `4 * num_boxes` numbers, including zeros. In pixels, the loss would be larger by the
    square of the image size and dominate the other task. `decode` gives class 0 and score 1 to each box that is at
    least `min_size_px` wide and high; the other boxes are padding (label -1, score 0).

    Args:
        task: a task of kind `detection`; its classes are not learned.
        features: widths and strides of the features.
        level: the level to flatten; the deepest level by default.
        num_boxes: boxes per image.
        grid: rows and columns of the flattened map; 4 for 32 x 32 images at stride 8.
        hidden: width of the hidden layer.
        dropout: share of hidden units dropped in training, 0 to 1.
        min_size_px: minimum width and height of a predicted box.
    """

    kinds = ("detection",)
    monitor = ("map_agnostic", "max")

    def __init__(
        self,
        task: Task,
        features: FeatureSpec,
        level: str | None = None,
        num_boxes: int = 5,
        grid: int = 4,
        hidden: int = 256,
        dropout: float = 0.5,
        min_size_px: float = 1.0,
    ) -> None:
        super().__init__(task, features)
        (self.level,) = features.require([level or features.deepest], f"head {task.name!r}", ["map"])
        self.stride = features.strides[self.level]
        self.num_boxes, self.min_size_px = num_boxes, min_size_px
        self.pool = FlattenGrid(features, self.level, grid)
        self.layers = mlp(self.pool.width, hidden, 4 * num_boxes, dropout)

    def forward(self, features: Features) -> Outputs:
        height, width = (size * self.stride for size in features[self.level].shape[-2:])
        boxes_BN4 = self.layers(self.pool(features)).float().unflatten(1, (self.num_boxes, 4))
        size_4 = numbers_on(boxes_BN4.device, [width, height, width, height], boxes_BN4.dtype)
        return {"boxes_unit": boxes_BN4, "size_px": size_4.expand(boxes_BN4.shape[0], 4)}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        boxes_BM4, real_BM = batch[self.task.name], box_mask(batch, self.task)
        target_BM4 = torch.where(real_BM[..., None], boxes_BM4, 0.0) / outputs["size_px"][:, None]
        missing = max(0, self.num_boxes - target_BM4.shape[1])
        target_BN4 = F.pad(target_BM4, (0, 0, 0, missing))[:, : self.num_boxes]
        loss_B = ((outputs["boxes_unit"] - target_BN4) ** 2).mean((1, 2))
        return masked_mean(loss_B, labelled(batch, self.task))

    def decode(self, outputs: Outputs) -> Predictions:
        size_B14 = outputs["size_px"][:, None]
        boxes_BN4 = (outputs["boxes_unit"].float() * size_B14).clamp(min=0).minimum(size_B14)
        real_BN = (boxes_BN4[..., 2:] - boxes_BN4[..., :2] >= self.min_size_px).all(-1)
        return {
            "boxes": boxes_BN4 * real_BN[..., None],
            "scores": real_BN.float(),
            "labels": torch.where(real_BN, 0, PADDING_LABEL),
        }

    def metrics(self) -> "AgnosticDetectionMetrics":
        return AgnosticDetectionMetrics(self.task, self.num_boxes)


class AgnosticDetectionMetrics(TaskMetrics):
    """The usual detection metrics, and `map_agnostic` and `map50_agnostic`, which ignore classes.

    Args:
        task: a task of kind `detection`.
        max_detections: most boxes that the head returns for an image.
    """

    def __init__(self, task: Task, max_detections: int = 100) -> None:
        super().__init__(task)
        self.by_class = DetectionMetrics(task, max_detections)
        self.agnostic = DetectionMetrics(Task(task.name, "detection", class_names=("object",)), max_detections)

    def update(self, predictions: Predictions, batch: Batch) -> None:
        self.by_class.update(predictions, batch)
        labels = batch[self.task.labels_field]
        # one class, of objects and of ignored boxes
        one_label = torch.where(labels < PADDING_LABEL, ignored(torch.zeros_like(labels)), labels.clamp(max=0))
        one_class = {self.task.labels_field: one_label}
        self.agnostic.update({**predictions, "labels": predictions["labels"].clamp(max=0)}, {**batch, **one_class})

    def compute(self, per_class: bool = False) -> dict[str, Tensor]:
        agnostic = self.agnostic.compute()
        renamed = {f"{name}_agnostic": agnostic[name] for name in ("map", "map50") if name in agnostic}
        return {**self.by_class.compute(per_class), **renamed}

    def reset(self) -> None:
        self.by_class.reset()
        self.agnostic.reset()
