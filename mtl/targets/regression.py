"""Regression: one number for the whole sample."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtl.targets.numbers import number
from mtl.targets.overlay import Answer, Overlay
from mtl.targets.target import Sample, Target


class Regression(Target):
    """A number; NaN in a batch where it is not annotated."""

    kind = "regression"
    form = "one number (float32 scalar)"
    whole_sample = True

    def missing(self, batch: Mapping[str, Tensor]) -> Tensor:
        return torch.tensor(torch.nan)

    def example(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return {self.task.name: torch.tensor(rng.normal(), dtype=torch.float32)}

    def perfect(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"values": batch[self.task.name]}

    def overlay(
        self,
        predictions: Mapping[str, Tensor],
        index: int,
        batch: Mapping[str, Tensor] | None = None,
        min_score: float = 0.0,
    ) -> Overlay:
        value = f"{float(predictions['values'][index]):g}"  # of any unit: six digits, as of the annotation
        true = float(batch[self.task.name][index]) if batch is not None else torch.nan
        return Overlay(answer=Answer(value, f"{true:g}" if np.isfinite(true) else None))

    def negated(self, sample: Sample) -> Sample:
        return {self.task.name: -torch.as_tensor(sample[self.task.name])}

    def parse(self, cells: Sequence[str], missing: Sequence[str], separator: str) -> Any:
        (cell,) = cells
        return None if cell in missing else number(cell, f"task {self.task.name!r}")

    def views(self, batch: Mapping[str, Tensor], known_B: Tensor) -> list[Tensor]:
        return [torch.where(known_B, batch[self.task.name].float(), torch.nan)]
