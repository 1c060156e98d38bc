"""Edges: for every pixel whether a boundary of an object runs through it.

Shapes: B samples, H x W pixels.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from mtl.targets.overlay import Overlay, ValueMap
from mtl.targets.pixel_map import PixelMap


class Edges(PixelMap):
    """1 on an edge and 0 beside it; NaN in pixels without annotation."""

    kind = "edges"
    form = "0 or 1 for every pixel (float32 [H,W], NaN = not annotated)"

    @classmethod
    def of_numbers(cls, numbers: Tensor) -> Tensor:
        values_HW = super().of_numbers(numbers)
        whole_HW = values_HW.round().clamp(0, 1)
        other_HW = ((values_HW - whole_HW).abs() > 1e-3) & values_HW.isfinite()
        if other_HW.any():
            raise ValueError(f"an edge is 0 or 1, not {values_HW[other_HW][0]:g}; 255 becomes 1 with scale 0.00392157.")
        return whole_HW

    def random_values(self, shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
        return torch.from_numpy(rng.random(shape) < 0.15).float()

    def perfect(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"probabilities": batch[self.task.name]}

    def overlay(
        self,
        predictions: Mapping[str, Tensor],
        index: int,
        batch: Mapping[str, Tensor] | None = None,
        min_score: float = 0.0,
    ) -> Overlay:
        true = None if batch is None else ValueMap(batch[self.task.name][index].float().cpu(), 0.0, 1.0)
        return Overlay(ValueMap(predictions["probabilities"][index].detach().float().cpu(), 0.0, 1.0), true)
