"""`PixelMap`: the base of targets with a value for every pixel of the picture.

Shapes: B samples, H x W pixels.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from mtl.targets.target import Sample, Target


class PixelMap(Target):
    """Values as `tv_tensors.Mask`, as large as the picture; `unknown` in pixels without annotation."""

    lead: ClassVar[tuple[int, ...]] = ()  # shape before H and W, such as (3,) for vectors
    unknown: ClassVar[float] = torch.nan  # its type, int or float, is the type of the target

    def missing(self, batch: Mapping[str, Tensor]) -> Tensor:
        if "image" not in batch:
            raise ValueError(f"task {self.task.name!r} of kind {self.kind!r} needs an input called 'image'.")
        return torch.full((*self.lead, *batch["image"].shape[-2:]), self.unknown)

    @classmethod
    def of_numbers(cls, numbers: Tensor) -> Tensor:
        """The target of a picture from numbers that were read from a file, [*lead,H,W] float32.

        Args:
            numbers: [H,W] or [H,W,C], in the unit of the task; NaN where unknown.

        Raises:
            ValueError: for another number of channels than the kind has, or a value that it does not allow.
        """
        values = numbers.movedim(-1, 0) if numbers.ndim == 3 else numbers
        if tuple(values.shape[:-2]) != cls.lead:
            channels = " x ".join(map(str, cls.lead)) or "one"
            raise ValueError(
                f"a target of kind {cls.kind!r} has {channels} number(s) for every pixel; the file has "
                f"{values.shape[0] if values.ndim == 3 else 1} channel(s)."
            )
        return values.float()

    @abstractmethod
    def random_values(self, shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
        """A random target of this kind; tests of heads use it.

        Args:
            shape: of the target.
            rng: random numbers.
        """

    def example(self, sample: Sample, rng: np.random.Generator) -> Sample:
        values = self.random_values((*self.lead, *sample["image"].shape[-2:]), rng)
        return {self.task.name: tv_tensors.Mask(values)}

    def mosaic(self, samples: Sequence[Sample], height: int, width: int) -> Sample:
        parts = [sample[self.task.name] for sample in samples]
        rows = [torch.cat([parts[i], parts[i + 1]], -1) for i in (0, 2)]
        return {self.task.name: tv_tensors.wrap(torch.cat(rows, -2), like=parts[0])}
