"""Sequence regression: a number for every step of a sequence, such as the pitch of a voice or an emotion over time.

Shapes: B samples, L steps of the longest target rounded up.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mtl.functional.steps import at_steps
from mtl.targets.overlay import Answer, Overlay
from mtl.targets.target import Sample, Target
from mtl.targets.text import LENGTH_MULTIPLE


class SequenceRegression(Target):
    """Numbers [L] that cover the whole input evenly, at any rate; NaN in steps that are not annotated.

    In a batch `<task>_steps` says how many of the L steps a sample has: 0 for one without a label.
    """

    kind = "sequence_regression"
    form = "numbers that cover the input evenly (float32 [L], of any length, NaN = not annotated)"

    @property
    def steps_name(self) -> str:
        """Key of the number of steps in a batch."""
        return f"{self.task.name}_steps"

    def missing(self, batch: Mapping[str, Tensor]) -> Tensor:
        return torch.full((0,), torch.nan)

    def is_missing(self, sample: Sample) -> bool:
        return bool(torch.as_tensor(sample[self.task.name]).isnan().all())

    def collate(self, samples: Sequence[Sample], present: Sequence[bool], batch: Mapping[str, Tensor]) -> Sample:
        name = self.task.name
        rows = [
            torch.as_tensor(sample[name], dtype=torch.float32) if here else self.missing(batch)
            for sample, here in zip(samples, present, strict=True)
        ]
        for row in rows:
            if row.ndim != 1 or row.isinf().any():
                found = f"of shape {list(row.shape)}" if row.ndim != 1 else "with infinite values"
                raise ValueError(f"task {name!r} has a target {found}; a sample holds {self.form}.")
        length = -(-max(1, *map(len, rows)) // LENGTH_MULTIPLE) * LENGTH_MULTIPLE
        values_BL = torch.full((len(rows), length), torch.nan)
        for index, row in enumerate(rows):
            values_BL[index, : len(row)] = row
        return {name: values_BL, self.steps_name: torch.tensor([len(row) for row in rows])}

    def example(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return {self.task.name: torch.from_numpy(rng.normal(size=int(rng.integers(2, 12)))).float()}

    def perfect(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"values": batch[self.task.name].nan_to_num(0.0), "steps": batch[self.steps_name]}

    def overlay(
        self,
        predictions: Mapping[str, Tensor],
        index: int,
        batch: Mapping[str, Tensor] | None = None,
        min_score: float = 0.0,
    ) -> Overlay:
        values_L = predictions["values"][index, : int(predictions["steps"][index])].float().cpu()
        if batch is None:
            return Overlay(answer=Answer(_course(values_L)))
        true_L = batch[self.task.name][index].cpu()
        true_L = true_L[: int(batch[self.steps_name][index])]
        return Overlay(answer=Answer(_course(values_L), _course(true_L)))

    def at_target(self, predictions: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        """Predictions at the steps of the targets, [B,L].

        Args:
            predictions: `values` [B,T] and `steps` [B], as the head's `decode` returns them.
            batch: the batch.
        """
        length = batch[self.task.name].shape[1]
        return at_steps(predictions["values"], predictions["steps"], batch[self.steps_name], length)


def _course(values_L: Tensor) -> str:
    """Five numbers that tell how a curve runs: means of fifths of its known steps."""
    known = values_L[values_L.isfinite()]
    return " ".join(f"{float(part.mean()):.3g}" for part in known.tensor_split(min(5, max(1, len(known)))) if len(part))
