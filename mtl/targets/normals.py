"""Surface normals: the direction of the surface in every pixel.

Shapes: B samples, H x W pixels.
"""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision import tv_tensors

from mtl.targets.move import Move
from mtl.targets.overlay import Directions, Overlay
from mtl.targets.pixel_map import PixelMap
from mtl.targets.target import Sample


class Normals(PixelMap):
    """Unit vectors along the picture's axes: x to the right, y down, z into the scene; NaN where unknown.

    A file with y up has the second component negated on reading; only quarter turns depend on it.
    """

    kind = "normals"
    form = "a unit vector for every pixel (float32 [3,H,W], NaN = unknown)"
    lead = (3,)

    @classmethod
    def of_numbers(cls, numbers: Tensor) -> Tensor:
        values_3HW = super().of_numbers(numbers)
        length_HW = values_3HW.norm(dim=0)
        # files of 8 bits are not quite of length 1; a vector that is far from it is no direction
        return torch.where(length_HW > 0.5, values_3HW / length_HW, torch.nan)

    def random_values(self, shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
        return F.normalize(torch.from_numpy(rng.normal(size=shape)).float(), dim=0)

    def perfect(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"normals": batch[self.task.name]}

    def overlay(
        self,
        predictions: Mapping[str, Tensor],
        index: int,
        batch: Mapping[str, Tensor] | None = None,
        min_score: float = 0.0,
    ) -> Overlay:
        true = None if batch is None else Directions(batch[self.task.name][index].float().cpu())
        return Overlay(Directions(predictions["normals"][index].detach().float().cpu()), true)

    def after_geometry(self, sample: Sample, move: Move) -> None:
        name = self.task.name
        x, y, z = sample[name].as_subclass(Tensor)
        x = -x if move.flip_horizontal else x
        y = -y if move.flip_vertical else y
        for _ in range(move.quarter_turns % 4):
            # counter-clockwise: what pointed right points up, what pointed down points right
            x, y = y, -x
        sample[name] = tv_tensors.wrap(torch.stack((x, y, z)), like=sample[name])
