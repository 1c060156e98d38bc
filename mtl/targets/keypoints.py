"""Keypoints: the places of named points of one thing, such as the joints of a person.

Shapes: B samples, J points.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from mtl.targets.overlay import Overlay, Points
from mtl.targets.target import Move, Sample, Target

_SIDES = (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT"))
_LETTERS = {"l": "r", "r": "l", "L": "R", "R": "L"}
_LETTER = re.compile(r"(?<![^\W_])[lrLR](?![^\W_])|(?<=[a-z\d])[LR](?![^\W_])")  # `l_hip`, `hip.R`, `hipL`


class Keypoints(Target):
    """One place for each point that the task names in `class_names`, as `tv_tensors.KeyPoints`; NaN where unknown.

    A place is in pixels of the picture, whose left upper corner is (0, 0), as for boxes. A flip exchanges the points
    whose names differ in `left` and `right` only, or in `l` and `r`: `left_hand`, `RightEye`, `l_hip`, `ankle.R`.
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

    def after_geometry(self, sample: Sample, move: Move) -> None:
        if move.flip_horizontal != move.flip_vertical:  # both flips are half a turn
            points = sample[self.task.name]
            swapped = points.as_subclass(Tensor)[self.mirrored()]
            sample[self.task.name] = tv_tensors.wrap(swapped, like=points)

    def mirrored(self) -> list[int]:
        """For each point the index of the point that it is called in a mirror."""
        names = list(self.task.class_names) or [str(index) for index in range(self.task.num_classes)]
        places = {name: i for i, name in enumerate(names)}
        return [
            next((places[other] for other in _mirrored(name) if other in places), i) for i, name in enumerate(names)
        ]

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


def _mirrored(name: str) -> list[str]:
    """What the point may be called in a mirror."""
    pairs = [pair for sides in _SIDES for pair in (sides, sides[::-1])]
    words = [name.replace(one, other) for one, other in pairs if one in name]
    letter = _LETTER.sub(lambda match: _LETTERS[match[0]], name)
    return [*words, letter] if letter != name else words
