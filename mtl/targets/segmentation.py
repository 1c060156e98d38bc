"""Segmentation: a class for every pixel of a picture.

Shapes: B samples, H x W pixels.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from mtl.targets.overlay import ClassMap, Overlay
from mtl.targets.pixel_map import PixelMap
from mtl.targets.target import IGNORE_INDEX, Sample, reindex


class Segmentation(PixelMap):
    """Class indices as `tv_tensors.Mask`, as large as the picture; -100 in pixels without annotation."""

    kind = "segmentation"
    form = "a class index for every pixel (int64 [H,W], -100 = not annotated)"
    needs_classes = True
    unknown = IGNORE_INDEX

    def random_values(self, shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
        return torch.from_numpy(rng.integers(self.task.num_classes, size=shape))

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

    def class_indices(self, sample: Sample) -> list[int]:
        return [index for index in sample[self.task.name].as_subclass(Tensor).unique().tolist() if index >= 0]

    def reindexed(self, sample: Sample, places: Tensor) -> Sample:
        labels = sample[self.task.name]
        return {self.task.name: tv_tensors.Mask(reindex(labels.as_subclass(Tensor), places))}
