"""Series: a row of numbers for each step, such as the track of a pedestrian or readings of sensors.

Shapes: B samples, T steps, C numbers of a step.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtl.features import MASK
from mtl.inputs.table import TableInput
from mtl.task import InputSpec


class SeriesInput(TableInput):
    """Standardises numbers by the steps of the training samples; a missing number (NaN) becomes the mean.

    Args:
        spec: the input; its `channels` are the numbers of a step.
        mean: mean of every number; of the training samples by default.
        std: standard deviation of every number; of the training samples by default.
    """

    kind = "series"
    form = "numbers of every step (float32 [T,C], NaN = missing)"

    @classmethod
    def collate(cls, spec: InputSpec, values: Sequence[Any]) -> dict[str, Tensor]:
        cls.require(spec, values)
        series = [torch.as_tensor(value, dtype=torch.float32) for value in values]
        for value in series:
            if value.ndim != 2 or value.shape[1] != spec.channels or not len(value):
                raise ValueError(
                    f"input {spec.name!r} is declared with {spec.channels} numbers a step, so that a sample is "
                    f"[T,{spec.channels}] with at least one step; found {list(value.shape)}."
                )
        longest = max(len(value) for value in series)
        padded_BTC = torch.zeros(len(series), longest, spec.channels)
        mask_BT = torch.zeros(len(series), longest, dtype=torch.bool)
        for row, value in enumerate(series):
            padded_BTC[row, : len(value)], mask_BT[row, : len(value)] = value, True
        return {spec.name: padded_BTC, spec.name + MASK: mask_BT}

    @classmethod
    def example(cls, spec: InputSpec, rng: np.random.Generator) -> Any:
        return torch.from_numpy(rng.normal(size=(int(rng.integers(3, 9)), spec.channels))).float()

    def adapt(self, values: Iterable[Any]) -> None:
        super().adapt(step for value in values for step in torch.as_tensor(value))

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        mask_BT = batch[self.spec.name + MASK]
        values_BTC = super().forward(batch)[self.spec.name] * mask_BT[..., None]
        return {self.spec.name: values_BTC, self.spec.name + MASK: mask_BT}
