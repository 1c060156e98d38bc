"""Multi-label classification: for each class whether the sample has it.

Shapes: B samples, C classes.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtl.targets.numbers import by_value, number
from mtl.targets.overlay import Answer, Overlay
from mtl.targets.target import Sample, Target


class Multilabel(Target):
    """A 0 or 1 for each class; NaN in a batch where the sample is not annotated."""

    kind = "multilabel"
    form = "one 0/1 per class (float32 [C])"
    needs_classes = True
    takes_columns = True
    whole_sample = True

    def missing(self, batch: Mapping[str, Tensor]) -> Tensor:
        return torch.full((self.task.num_classes,), torch.nan)

    def example(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return {self.task.name: torch.from_numpy(rng.integers(2, size=self.task.num_classes)).float()}

    def perfect(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"labels": batch[self.task.name].long(), "probabilities": batch[self.task.name]}

    def overlay(
        self,
        predictions: Mapping[str, Tensor],
        index: int,
        batch: Mapping[str, Tensor] | None = None,
        min_score: float = 0.0,
    ) -> Overlay:
        chosen = predictions["labels"][index].bool().cpu()
        if batch is None or not bool(batch[self.task.name][index].isfinite().all()):
            return Overlay(answer=Answer(self._listed(chosen)))
        true = batch[self.task.name][index].cpu() > 0.5
        return Overlay(answer=Answer(self._listed(chosen), self._listed(true), None, torch.equal(chosen, true)))

    def class_indices(self, sample: Sample) -> list[int]:
        return [index for index, flag in enumerate(torch.as_tensor(sample[self.task.name]).tolist()) if flag == 1]

    def reindexed(self, sample: Sample, places: Tensor) -> Sample:
        # a class that the other data set does not know is unknown, not absent
        values = torch.full((self.task.num_classes,), torch.nan)
        values[places] = torch.as_tensor(sample[self.task.name]).float()
        return {self.task.name: values}

    def parse(self, cells: Sequence[str], missing: Sequence[str], separator: str) -> Any:
        if any(cell in missing for cell in cells):
            return None
        if len(cells) > 1:  # a column for each class
            values = [number(cell, f"task {self.task.name!r}") for cell in cells]
            return None if None in values else [float(value > 0) for value in values if value is not None]
        present = [part.strip() for part in cells[0].split(separator) if part.strip()]
        for part in present:
            if part not in self.task.class_names:
                raise self.unknown_class(part)
        return [float(name in present) for name in self.task.class_names]

    @classmethod
    def names_in(cls, cells: Iterable[str], separator: str) -> tuple[str, ...]:
        return by_value(part.strip() for cell in cells for part in cell.split(separator) if part.strip())

    def views(self, batch: Mapping[str, Tensor], known_B: Tensor) -> list[Tensor]:
        return [torch.where(known_B, as_number(batch[self.task.name] > 0.5), -1)]

    def _listed(self, chosen: Tensor) -> str:
        return " ".join(self.task.class_name(int(index)) for index in chosen.nonzero().flatten()) or "none"


def as_number(flags_BC: Tensor) -> Tensor:
    """A number for every set of flags, [B]; more than 60 of them fold, which only makes two sets alike.

    Args:
        flags_BC: bool.
    """
    powers_C = 2 ** (torch.arange(flags_BC.shape[1], device=flags_BC.device) % 60)
    return (flags_BC.long() * powers_C).sum(1)
