"""Depth: the distance of every pixel along the optical axis.

Shapes: B samples, H x W pixels.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from mtl.targets.move import Move
from mtl.targets.overlay import Overlay, ValueMap
from mtl.targets.pixel_map import PixelMap
from mtl.targets.target import Sample


class Depth(PixelMap):
    """Distances above 0 in metres, or any unit that all samples share; NaN in pixels without a measurement.

    An object that appears z times larger is taken to be z times nearer.
    """

    kind = "depth"
    form = "a distance above 0 for every pixel (float32 [H,W], NaN = not measured)"

    @classmethod
    def of_numbers(cls, numbers: Tensor) -> Tensor:
        values_HW = super().of_numbers(numbers)
        return torch.where(values_HW > 0, values_HW, torch.nan)

    def random_values(self, shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
        return torch.from_numpy(rng.uniform(0.5, 8, shape)).float()

    def perfect(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"values": batch[self.task.name]}

    def overlay(
        self,
        predictions: Mapping[str, Tensor],
        index: int,
        batch: Mapping[str, Tensor] | None = None,
        min_score: float = 0.0,
    ) -> Overlay:
        found_HW = predictions["values"][index].detach().float().cpu()
        if batch is None:
            return Overlay(ValueMap(found_HW, *_limits(found_HW)))
        true_HW = batch[self.task.name][index].float().cpu()
        # both in the colours of the truth, so that a wrong scale shows
        limits = _limits(true_HW)
        return Overlay(ValueMap(found_HW, *limits), ValueMap(true_HW, *limits))

    def after_geometry(self, sample: Sample, move: Move) -> None:
        self.scale(sample, 1 / move.zoom)

    def scale(self, sample: Sample, factor: float) -> None:
        """Multiply the values of a sample, in place.

        Args:
            sample: the sample.
            factor: above 0.
        """
        if factor != 1:
            values = sample[self.task.name]
            sample[self.task.name] = tv_tensors.wrap(values.as_subclass(Tensor) * factor, like=values)


def _limits(values_HW: Tensor) -> tuple[float, float]:
    known = values_HW[values_HW.isfinite()]
    return (float(known.min()), float(known.max())) if known.numel() else (0.0, 1.0)
