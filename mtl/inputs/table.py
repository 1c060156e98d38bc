"""Tables: one row of numbers for each sample.

Shapes: B samples, C columns.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtl.inputs.input import Input
from mtl.task import InputSpec


class TableInput(Input):
    """Standardises numbers; a missing number (NaN) becomes the mean.

    Args:
        spec: the input; its `channels` are the columns.
        mean: mean of every column, of the training samples; 0 by default.
        std: standard deviation of every column, of the training samples; 1 by default.

    Raises:
        ValueError: if there are not as many numbers as columns, or a deviation is not above 0.
    """

    kind = "table"
    form = "one number for each column (float32 [C], NaN = missing)"
    mean: Tensor
    std: Tensor

    def __init__(
        self, spec: InputSpec, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
    ) -> None:
        super().__init__(spec)
        mean, std = mean or [0.0] * spec.channels, std or [1.0] * spec.channels
        if len(mean) != spec.channels or len(std) != spec.channels or min(std) <= 0:
            raise ValueError(
                f"input {spec.name!r} has {spec.channels} columns; mean has {len(mean)} numbers and std {len(std)}; "
                "give as many, std above 0."
            )
        self.register_buffer("mean", torch.tensor(list(mean)), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)), persistent=False)

    @classmethod
    def collate(cls, spec: InputSpec, values: Sequence[Any]) -> dict[str, Tensor]:
        cls.require(spec, values)
        rows = torch.stack([torch.as_tensor(value, dtype=torch.float32) for value in values])
        if rows.shape[1:] != (spec.channels,):
            raise ValueError(f"input {spec.name!r} is declared with {spec.channels} columns; found {rows.shape[1:]}.")
        return {spec.name: rows}

    @classmethod
    def example(cls, spec: InputSpec, rng: np.random.Generator) -> Any:
        return torch.from_numpy(rng.normal(size=spec.channels)).float()

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        rows = (batch[self.spec.name] - self.mean) / self.std
        return {self.spec.name: torch.nan_to_num(rows)}
