"""Tables: one row of numbers for each sample.

Shapes: B samples of a batch, N training samples, C columns.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtl.inputs.input import Input
from mtl.task import InputSpec


class TableInput(Input):
    """Standardises numbers by the training samples; a missing number (NaN) becomes the mean.

    Columns of 0 and 1 stay as they are, so that a missing one becomes the share of ones. A column that has one value in
    all training samples becomes 0: its weights learn nothing, so that another value would only add noise.

    Args:
        spec: the input; its `channels` are the columns.
        mean: mean of every column; of the training samples by default.
        std: standard deviation of every column; of the training samples by default.

    Raises:
        ValueError: if only one of both is given, if they are not as many numbers as columns, or if a deviation is not
            above 0.
    """

    kind = "table"
    form = "one number for each column (float32 [C], NaN = missing)"
    mean: Tensor
    scale: Tensor
    known_mean: Tensor  # what stands for a missing number; `mean`, which is subtracted, is 0 for flags

    def __init__(
        self, spec: InputSpec, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
    ) -> None:
        super().__init__(spec)
        if (mean is None) != (std is None):
            raise ValueError(f"input {spec.name!r}: give both `mean` and `std`, or neither.")
        self.is_given = mean is not None
        mean, std = mean or [0.0] * spec.channels, std or [1.0] * spec.channels
        if len(mean) != spec.channels or len(std) != spec.channels or min(std) <= 0:
            raise ValueError(
                f"input {spec.name!r} has {spec.channels} columns; mean has {len(mean)} numbers and std {len(std)}; "
                "give as many, std above 0."
            )
        self.register_buffer("mean", torch.tensor([float(value) for value in mean]))
        self.register_buffer("known_mean", self.mean.clone())
        self.register_buffer("scale", 1 / torch.tensor([float(value) for value in std]))

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

    def adapt(self, values: Iterable[Any]) -> None:
        if self.is_given:
            return
        rows_NC = torch.stack([torch.as_tensor(value, dtype=torch.float64) for value in values])
        known_NC = ~rows_NC.isnan()
        filled_NC = rows_NC.nan_to_num()
        count_C = known_NC.sum(0).clamp(min=1)
        mean_C = filled_NC.sum(0) / count_C
        std_C = (((filled_NC - mean_C) * known_NC).square().sum(0) / count_C).sqrt()
        low_C = rows_NC.masked_fill(~known_NC, torch.inf).amin(0)
        high_C = rows_NC.masked_fill(~known_NC, -torch.inf).amax(0)
        # compared, not measured: the deviation of equal numbers is a rounding error and not 0
        constant_C = low_C >= high_C
        flag_C = ((filled_NC == 0) | (filled_NC == 1)).all(0)
        scale_C = torch.where(flag_C, 1.0, 1 / std_C).masked_fill(constant_C, 0.0)
        self.mean.copy_(torch.where(flag_C, 0.0, mean_C))
        self.known_mean.copy_(mean_C)
        self.scale.copy_(scale_C)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        rows_BC = batch[self.spec.name]
        rows_BC = torch.where(rows_BC.isnan(), self.known_mean, rows_BC)
        return {self.spec.name: (rows_BC - self.mean) * self.scale}

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # checkpoints without it have learned from a 0 in place of a missing flag
        if f"{prefix}mean" in state_dict:
            state_dict.setdefault(f"{prefix}known_mean", state_dict[f"{prefix}mean"])
        super()._load_from_state_dict(state_dict, prefix, *args)
