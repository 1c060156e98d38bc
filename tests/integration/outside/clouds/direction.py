"""Direction: a unit vector for the whole sample. The kind of target."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from mtl.targets.overlay import Answer, Overlay
from mtl.targets.target import Sample, Target


class Direction(Target):
    """A unit vector; NaN in a batch where it is not annotated."""

    kind = "direction"
    form = "a unit vector (float32 [2])"
    whole_sample = True

    def missing(self, batch: Mapping[str, Tensor]) -> Tensor:
        return torch.full((2,), torch.nan)

    def example(self, sample: Sample, rng: np.random.Generator) -> Sample:
        angle = rng.uniform(0, 2 * math.pi)
        return {self.task.name: torch.tensor([math.cos(angle), math.sin(angle)])}

    def perfect(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"directions": batch[self.task.name]}

    def overlay(
        self,
        predictions: Mapping[str, Tensor],
        index: int,
        batch: Mapping[str, Tensor] | None = None,
        min_score: float = 0.0,
    ) -> Overlay:
        true = None if batch is None else _degrees(batch[self.task.name][index])
        return Overlay(answer=Answer(_degrees(predictions["directions"][index]), true))


def _degrees(direction: Tensor) -> str:
    x, y = direction.tolist()
    return f"{math.degrees(math.atan2(y, x)):.0f} degrees"
