"""Points: a set of 2-D points of any number.

Shapes: B samples, P points of the fullest sample.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtl.features import MASK
from mtl.inputs.input import Input
from mtl.task import InputSpec


class PointsInput(Input):
    """Pads sets of points and passes them on with their mask.

    Args:
        spec: the input.
    """

    kind = "points"
    form = "points (float32 [P,2], at least one)"

    @classmethod
    def collate(cls, spec: InputSpec, values: Sequence[Any]) -> dict[str, Tensor]:
        cls.require(spec, values)
        most = max(len(value) for value in values)
        points, mask = torch.zeros(len(values), most, 2), torch.zeros(len(values), most, dtype=torch.bool)
        for row, value in enumerate(values):
            points[row, : len(value)] = torch.as_tensor(value)
            mask[row, : len(value)] = True
        return {spec.name: points, spec.name + MASK: mask}

    @classmethod
    def example(cls, spec: InputSpec, rng: np.random.Generator) -> Any:
        return torch.from_numpy(rng.normal(size=(int(rng.integers(2, 9)), 2))).float()

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {key: batch[key] for key in (self.spec.name, self.spec.name + MASK)}
