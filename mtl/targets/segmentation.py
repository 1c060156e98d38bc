"""Segmentation: a class for every pixel of a picture.

Shapes: B samples, H x W pixels.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from mtl.targets.overlay import ClassMap, Overlay
from mtl.targets.target import IGNORE_INDEX, Sample, Target


class Segmentation(Target):
    """Class indices as `tv_tensors.Mask`, as large as the picture; -100 in pixels that nobody annotated."""

    kind = "segmentation"
    form = "a class index for every pixel (int64 [H,W], -100 = not annotated)"
    needs_classes = True

    def missing(self, batch: Mapping[str, Tensor]) -> Tensor:
        if "image" not in batch:
            raise ValueError(f"task {self.task.name!r} of kind {self.kind!r} needs an input called 'image'.")
        return torch.full(batch["image"].shape[-2:], IGNORE_INDEX)

    def example(self, sample: Sample, rng: np.random.Generator) -> Sample:
        size = tuple(sample["image"].shape[-2:])
        labels = rng.integers(self.task.num_classes, size=size)
        return {self.task.name: tv_tensors.Mask(torch.from_numpy(labels))}

    def perfect(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        labels_BHW = batch[self.task.name]
        return {"class_map": labels_BHW, "scores": torch.ones(labels_BHW.shape)}

    def overlay(
        self,
        predictions: Mapping[str, Tensor],
        index: int,
        batch: Mapping[str, Tensor] | None = None,
        min_score: float = 0.0,
    ) -> Overlay:
        true = None if batch is None else ClassMap(batch[self.task.name][index].cpu())
        return Overlay(ClassMap(predictions["class_map"][index].cpu()), true)

    def mosaic(self, samples: Sequence[Sample], height: int, width: int) -> Sample:
        parts = [sample[self.task.name] for sample in samples]
        rows = [torch.cat([parts[i], parts[i + 1]], -1) for i in (0, 2)]
        return {self.task.name: tv_tensors.wrap(torch.cat(rows, -2), like=parts[0])}
