"""Classification: one class for the whole sample.

Shapes: B samples.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mtl.targets.numbers import by_value
from mtl.targets.overlay import Answer, Overlay
from mtl.targets.target import IGNORE_INDEX, Sample, Target, reindex


class Classification(Target):
    """A class index; -100 in a batch where it is not annotated."""

    kind = "classification"
    judged_as = "classes"
    form = "one class index (int64 scalar)"
    needs_classes = True
    whole_sample = True

    def missing(self, batch: Mapping[str, Tensor]) -> Tensor:
        return torch.tensor(IGNORE_INDEX)

    def example(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return {self.task.name: torch.tensor(int(rng.integers(self.task.num_classes)))}

    def perfect(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        labels_B = batch[self.task.name]
        certain_BC = F.one_hot(labels_B, self.task.num_classes).float()
        return {"labels": labels_B, "scores": torch.ones(len(labels_B)), "probabilities": certain_BC}

    def overlay(
        self,
        predictions: Mapping[str, Tensor],
        index: int,
        batch: Mapping[str, Tensor] | None = None,
        min_score: float = 0.0,
    ) -> Overlay:
        label = int(predictions["labels"][index])
        score = float(predictions["scores"][index]) if "scores" in predictions else None
        true = int(batch[self.task.name][index]) if batch is not None else IGNORE_INDEX
        name = self.task.class_name(label)
        positive = None
        if self.task.num_classes == 2 and "probabilities" in predictions:
            positive = (self.task.class_name(1), float(predictions["probabilities"][index, 1]))
        if true < 0:
            return Overlay(answer=Answer(name, score=score, positive=positive))
        return Overlay(answer=Answer(name, self.task.class_name(true), score, label == true, positive))

    def correct(self, predictions: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        return predictions["labels"] == batch[self.task.name]

    def class_indices(self, sample: Sample) -> list[int]:
        return [int(sample[self.task.name])]

    def reindexed(self, sample: Sample, places: Tensor) -> Sample:
        return {self.task.name: reindex(sample[self.task.name], places)}

    def parse(self, cells: Sequence[str], missing: Sequence[str], separator: str) -> Any:
        (cell,) = cells
        # a class that is listed is a class, even if it is called NONE
        if cell in self.task.class_names:
            return self.task.class_names.index(cell)
        if cell in missing:
            return None
        raise self.unknown_class(cell)

    @classmethod
    def names_in(cls, cells: Iterable[str], separator: str) -> tuple[str, ...]:
        return by_value(cells)

    def views(self, batch: Mapping[str, Tensor], known_B: Tensor) -> list[Tensor]:
        return [torch.where(known_B, batch[self.task.name], -1)]
