"""Keypoints: the places of named points of one thing, such as the joints of a person.

Shapes: B samples, J points.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from mtl.targets.overlay import Overlay, Points
from mtl.targets.target import Sample, Target


class Keypoints(Target):
    """One place for each point that the task names in `class_names`, as `tv_tensors.KeyPoints`; NaN where unknown.

    A place is in pixels of the picture, whose left upper corner is (0, 0), as for boxes. A flip exchanges the points
    whose names differ in `left` and `right` only, such as `left_hand` and `right_hand`.
    """

    kind = "keypoints"
    form = "x and y of every point in pixels (float32 [J,2], NaN = not annotated)"
    needs_classes = True

    def missing(self, batch: Mapping[str, Tensor]) -> Tensor:
        return torch.full((self.task.num_classes, 2), torch.nan)

    def example(self, sample: Sample, rng: np.random.Generator) -> Sample:
        height, width = sample["image"].shape[-2:]
        points = torch.from_numpy(rng.uniform(0, 1, (self.task.num_classes, 2)) * [width, height]).float()
        return {self.task.name: tv_tensors.KeyPoints(points, canvas_size=(height, width))}

    def perfect(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        points_BJ2 = batch[self.task.name]
        return {"points": points_BJ2, "scores": torch.ones(points_BJ2.shape[:2])}

    def overlay(
        self,
        predictions: Mapping[str, Tensor],
        index: int,
        batch: Mapping[str, Tensor] | None = None,
        min_score: float = 0.0,
    ) -> Overlay:
        scores_J = predictions["scores"][index].detach().float().cpu()
        points_J2 = predictions["points"][index].detach().float().cpu()
        found = Points(torch.where(scores_J[:, None] >= min_score, points_J2, torch.nan), scores_J)
        return Overlay(found, None if batch is None else Points(batch[self.task.name][index].float().cpu()))

    def after_crop(self, before: Sample, sample: Sample, scale: float, min_visible: float) -> bool:
        points = sample[self.task.name]
        height, width = points.canvas_size
        plain = points.as_subclass(Tensor)
        inside = ((plain >= 0) & (plain < torch.tensor([width, height]))).all(-1, keepdim=True)
        # the place of a point outside is known, but no map has a cell for it
        sample[self.task.name] = tv_tensors.wrap(torch.where(inside, plain, torch.nan), like=points)
        return False

    def reindexed(self, sample: Sample, places: Tensor) -> Sample:
        points = sample[self.task.name]
        moved = self.missing({})
        moved[places] = points.as_subclass(Tensor)
        return {self.task.name: tv_tensors.wrap(moved, like=points)}

    def row(self, shown: Overlay) -> dict[str, Any]:
        assert isinstance(shown.predicted, Points)
        row: dict[str, Any] = {}
        for index, place in enumerate(shown.predicted.points.tolist()):
            for axis, value in zip("xy", place, strict=True):
                key = f"{self.task.name}/{self.task.class_name(index)}_{axis}"
                row[key] = round(value, 2) if np.isfinite(value) else ""
        return row
