"""Detection: boxes with a class each.

Shapes: B samples, M boxes of the fullest sample rounded up, C classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from mtl.targets.multilabel import as_number
from mtl.targets.overlay import Boxes, Overlay
from mtl.targets.target import Sample, Target, reindex
from mtl.task import Task

PADDING_LABEL = -1  # class index of a padded box; an ignored box of class c has -2 - c
BOXES_MULTIPLE = 8  # M is rounded up to it, so compiled graphs see few shapes
_MIN_SIDE_PX = 1.0
Number = TypeVar("Number", int, Tensor)


class Detection(Target):
    """Boxes xyxy in pixels of the network's input; "no boxes" is a label, and differs from "not annotated".

    An ignored box (a crowd, a difficult object) has a negative class index and trains nothing; in the metric, a
    detection on it is neither right nor wrong.
    """

    kind = "detection"
    form = "boxes [N,4] with a class index each"
    needs_classes = True
    silence_denies = True
    judged_as = "boxes"

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.task.name, self.task.labels_field)

    def missing(self, batch: Mapping[str, Tensor]) -> Tensor:
        return torch.zeros(0, 4)

    def collate(self, samples: Sequence[Sample], present: Sequence[bool], batch: Mapping[str, Tensor]) -> Sample:
        task = self.task
        # boxes of a sample that does not count are kept: evaluation fills up its last round with such samples
        counts = [len(sample[task.name]) if sample.get(task.name) is not None else 0 for sample in samples]
        most = -(-max(1, *counts) // BOXES_MULTIPLE) * BOXES_MULTIPLE
        boxes = torch.zeros(len(samples), most, 4)
        labels = torch.full((len(samples), most), PADDING_LABEL)
        for row, (sample, count) in enumerate(zip(samples, counts, strict=True)):
            if count:
                # ignored boxes last: a head may take the first ones
                order = (sample[task.labels_field] < 0).int().argsort(stable=True)
                boxes[row, :count] = sample[task.name][order]
                labels[row, :count] = sample[task.labels_field][order]
        return {task.name: boxes, task.labels_field: labels}

    def example(self, sample: Sample, rng: np.random.Generator) -> Sample:
        height, width = sample["image"].shape[-2:]
        number = int(rng.integers(1, 4))
        corners = np.sort(rng.uniform(0, 1, (number, 2, 2)), axis=1)
        corners[:, 1] = np.maximum(corners[:, 1], corners[:, 0] + 0.2)
        boxes = torch.tensor(np.clip(corners, 0, 1).reshape(number, 4) * ([width, height] * 2), dtype=torch.float32)
        labels = torch.from_numpy(rng.integers(self.task.num_classes, size=number))
        return {self.task.name: boxes, self.task.labels_field: labels}

    def perfect(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        labels_BM = batch[self.task.labels_field]
        return {"boxes": batch[self.task.name], "scores": (labels_BM >= 0).float(), "labels": labels_BM}

    def overlay(
        self,
        predictions: Mapping[str, Tensor],
        index: int,
        batch: Mapping[str, Tensor] | None = None,
        min_score: float = 0.0,
    ) -> Overlay:
        found = best_boxes(predictions, index, min_score)
        if batch is None:
            return Overlay(found)
        labels = batch[self.task.labels_field][index]
        real = labels >= 0
        return Overlay(found, Boxes(batch[self.task.name][index][real].float().cpu(), labels[real].cpu()))

    def reindexed(self, sample: Sample, places: Tensor) -> Sample:
        name, labels = self.fields
        return {name: sample[name], labels: reindex(sample[labels], places)}

    def is_missing(self, sample: Sample) -> bool:
        return False  # no box is an answer, too

    def class_indices(self, sample: Sample) -> list[int]:
        return [label for label in sample[self.task.labels_field].tolist() if label >= 0]

    def sides_px(self, sample: Sample) -> list[float]:
        boxes = sample[self.task.name].as_subclass(Tensor)[sample[self.task.labels_field] >= 0]
        return _sides(boxes).amin(1).tolist()

    def num_objects(self, sample: Sample) -> int:
        return int((sample[self.task.labels_field] >= 0).sum())

    def mosaic(self, samples: Sequence[Sample], height: int, width: int) -> Sample:
        name, labels = self.fields
        shifts = torch.tensor([[0, 0], [width, 0], [0, height], [width, height]]).repeat(1, 2)
        boxes = torch.cat([sample[name] + shift for sample, shift in zip(samples, shifts, strict=True)])
        whole = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(2 * height, 2 * width))
        return {name: whole, labels: torch.cat([sample[labels] for sample in samples])}

    def after_crop(self, before: Sample, sample: Sample, scale: float, min_visible: float) -> bool:
        name, labels = self.fields
        boxes = sample[name]
        seen = (_areas(boxes) >= min_visible * scale * _areas(before[name])) & (_sides(boxes) >= _MIN_SIDE_PX).all(1)
        sample[name] = tv_tensors.wrap(boxes[seen], like=boxes)
        lost = bool((~seen & (sample[labels] >= 0)).any())
        sample[labels] = sample[labels][seen]
        return lost

    def views(self, batch: Mapping[str, Tensor], known_B: Tensor) -> list[Tensor]:
        """How many boxes, the class of the largest, and which classes there are."""
        mask_BM = (batch[self.task.labels_field] >= 0) & known_B[:, None]
        boxes_BM4, labels_BM = batch[self.task.name], batch[self.task.labels_field]
        area_BM = ((boxes_BM4[..., 2:] - boxes_BM4[..., :2]).prod(-1)).masked_fill(~mask_BM, -1)
        largest_B = labels_BM.gather(1, area_BM.argmax(1, keepdim=True))[:, 0]
        there_BC = torch.zeros(len(labels_BM), self.task.num_classes + 1, dtype=torch.bool)
        there_BC.scatter_(1, torch.where(mask_BM, labels_BM, self.task.num_classes), True)
        code_B = as_number(there_BC[:, :-1])
        return [torch.where(known_B, view_B, -1) for view_B in (mask_BM.sum(1), largest_B, code_B)]

    def row(self, shown: Overlay) -> dict[str, Any]:
        assert isinstance(shown.predicted, Boxes)
        counts = torch.bincount(shown.predicted.labels, minlength=self.task.num_classes).tolist()
        return {f"{self.task.name}/{self.task.class_name(label)}": count for label, count in enumerate(counts)}


def best_boxes(predictions: Mapping[str, Tensor], index: int, min_score: float) -> Boxes:
    """Detections of one sample above a score, best first.

    Args:
        predictions: `boxes`, `labels`, `scores` of a batch.
        index: which sample.
        min_score: detections below it are left out.
    """
    scores = predictions["scores"][index].detach().float().cpu()
    labels = predictions["labels"][index].cpu()
    keep = ((scores >= min_score) & (labels >= 0)).nonzero().flatten()
    keep = keep[scores[keep].argsort(descending=True)]
    return Boxes(predictions["boxes"][index].detach().float().cpu()[keep], labels[keep], scores[keep])


def box_mask(batch: Mapping[str, Tensor], task: Task) -> Tensor:
    """Mask [B,M] of the real boxes of labelled samples.

    Args:
        batch: a batch as `collate` makes it.
        task: a detection task.
    """
    real_BM = batch[task.labels_field] >= 0
    known_B = batch.get(task.labelled_field)
    return real_BM if known_B is None else real_BM & known_B[:, None]


def ignored(labels: Number) -> Number:
    """The class indices of ignored boxes of these classes, and the classes of ignored boxes: its own inverse.

    Args:
        labels: class indices from 0, or the index of ignored boxes.
    """
    return -2 - labels


def _sides(boxes: Tensor) -> Tensor:
    plain = boxes.as_subclass(Tensor)
    return plain[:, 2:] - plain[:, :2]


def _areas(boxes: Tensor) -> Tensor:
    return _sides(boxes).prod(1)
