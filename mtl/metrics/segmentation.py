"""Mean intersection over union and pixel accuracy, from one confusion matrix over the whole set.

torchmetrics' `MeanIoU` is a mean over images, which is another number.
Shapes: B samples, C classes, H x W pixels.
"""

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from mtl.batch import IGNORE_INDEX, Batch, labelled
from mtl.metrics.task_metrics import Predictions, TaskMetrics
from mtl.metrics.totals import at_size
from mtl.task import Task


class SegmentationMetrics(TaskMetrics):
    """`miou` over the classes that occur, `pixel_accuracy`, and `iou/<class>` on request.

    A task of two classes also has `iou`, of the second one: the road, the lane, the object against everything else.

    Args:
        task: a task of kind `segmentation`.
    """

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.confusion = MulticlassConfusionMatrix(task.num_classes, ignore_index=IGNORE_INDEX, validate_args=False)

    def update(self, predictions: Predictions, batch: Batch) -> None:
        target_BHW = batch[self.task.name]
        known_BHW = (target_BHW >= 0) & labelled(batch, self.task)[:, None, None]
        found_BHW = at_size(predictions["class_map"], *target_BHW.shape[-2:])
        self.confusion.update(found_BHW, torch.where(known_BHW, target_BHW, IGNORE_INDEX))

    def compute(self, per_class: bool = False) -> dict[str, Tensor]:
        counts_CC = self.confusion.compute().double()
        total = counts_CC.sum()
        if not total:
            return {}
        true_C, found_C, right_C = counts_CC.sum(1), counts_CC.sum(0), counts_CC.diagonal()
        union_C = true_C + found_C - right_C
        iou_C = right_C / union_C.clamp(min=1)
        values = {"miou": iou_C[union_C > 0].mean().float(), "pixel_accuracy": (right_C.sum() / total).float()}
        if len(iou_C) == 2 and union_C[1] > 0:
            values["iou"] = iou_C[1].float()
        if per_class:
            values |= {f"iou/{self.task.class_name(i)}": iou_C[i].float() for i in range(len(iou_C)) if union_C[i] > 0}
        return values

    def reset(self) -> None:
        self.confusion.reset()
