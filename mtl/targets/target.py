"""`Target`: one kind of target, from the sample to the picture. Each kind is one file beside this one.

A kind says what a sample holds, how a batch is padded, what a sample without a label looks like, what augmentation does
to it, how it is read from a table, and how predictions are shown. Nothing else names it.
Shapes: B samples.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtl.discovery import by_kind
from mtl.errors import did_you_mean
from mtl.targets.move import Move, mirrored
from mtl.targets.overlay import Overlay
from mtl.task import Task

Sample = dict[str, Any]
IGNORE_INDEX = -100  # a missing class index, the default of torch's losses


class Target(ABC):
    """One kind of target, for one task.

    Args:
        task: the task.

    Raises:
        ValueError: if the kind needs classes and the task has none.
    """

    kind: ClassVar[str]  # the word in `Task.kind`
    form: ClassVar[str]  # what one sample holds, for people
    needs_classes: ClassVar[bool] = False
    takes_columns: ClassVar[bool] = False  # a table may hold it in one column for each class
    whole_sample: ClassVar[bool] = False  # one answer for the sample: parts of several samples have none
    silence_denies: ClassVar[bool] = False  # a class that a label does not name is said not to be there
    of_steps: ClassVar[bool] = False  # one value for each step of a sequence, as the tag of each word
    open_names: ClassVar[bool] = False  # what no training sample names is the unknown word, and no error
    judged_as: ClassVar[str] = ""  # `boxes` or `classes`: pictures of the evaluation hold predictions against labels so

    def __init__(self, task: Task) -> None:
        if self.needs_classes and task.num_classes < 1:
            raise ValueError(f"task {task.name!r} is of kind {self.kind!r} and needs num_classes or class_names.")
        self.task = task

    @property
    def fields(self) -> tuple[str, ...]:
        """Keys of a sample that belong to this target; the first one is the task's name."""
        return (self.task.name,)

    def collate(self, samples: Sequence[Sample], present: Sequence[bool], batch: Mapping[str, Tensor]) -> Sample:
        """The target of a batch; one tensor of equal shapes unless a kind says otherwise.

        Args:
            samples: B samples.
            present: which of them carry a label.
            batch: the inputs of the batch, padded, for kinds whose shape follows an input.

        Returns:
            Batch entries, the missing ones filled in.
        """
        missing = self.missing(batch)
        name = self.task.name
        values = [
            torch.as_tensor(sample[name], dtype=missing.dtype) if here else missing
            for sample, here in zip(samples, present, strict=True)
        ]
        for value in values:
            if value.shape != missing.shape:
                raise ValueError(
                    f"task {name!r} of kind {self.kind!r} has a target of shape {list(value.shape)} in one sample; "
                    f"expected {list(missing.shape)}. A sample holds {self.form}."
                )
        return {name: torch.stack([value.as_subclass(Tensor) for value in values])}

    @abstractmethod
    def missing(self, batch: Mapping[str, Tensor]) -> Tensor:
        """What stands in a batch for a sample without a label: with the shape and type that every sample has.

        NaN, or -100 (`IGNORE_INDEX`) for integers; a kind with another word for it overrides `is_missing`.

        Args:
            batch: the inputs of the batch.
        """

    @abstractmethod
    def example(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """A random target that fits a sample's inputs, by its fields; tests of heads are made of it.

        Args:
            sample: the inputs.
            rng: random numbers.
        """

    @abstractmethod
    def perfect(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Predictions that are right: the form of what a head's `decode` returns, and what tests of metrics begin with.

        Args:
            batch: a batch in which every sample is labelled.
        """

    @abstractmethod
    def overlay(
        self,
        predictions: Mapping[str, Tensor],
        index: int,
        batch: Mapping[str, Tensor] | None = None,
        min_score: float = 0.0,
    ) -> Overlay:
        """What there is to show for one sample.

        Args:
            predictions: what the head's `decode` returned for a batch.
            index: which sample.
            batch: the batch, where its targets are known.
            min_score: leave out what is less certain.
        """

    def correct(self, predictions: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor | None:
        """Which samples are predicted without any error, bool [B]; None for kinds in which errors have a size.

        Args:
            predictions: what the head's `decode` returned.
            batch: the batch; what is said of an unlabelled sample means nothing.
        """
        return None

    def is_missing(self, sample: Sample) -> bool:
        """Whether a value that is there says that nothing is known.

        Args:
            sample: a sample with the fields of this target.
        """
        value = torch.as_tensor(sample[self.task.name])
        missing = value.isnan() if value.is_floating_point() else value == IGNORE_INDEX
        return bool(missing.all())

    def num_objects(self, sample: Sample) -> int | None:
        """How many objects a labelled sample holds; None for kinds that count none.

        Args:
            sample: a sample with the fields of this target.
        """
        return None

    def class_indices(self, sample: Sample) -> list[int]:
        """The class of every object of a labelled sample, for counts of classes; empty for kinds without classes.

        Args:
            sample: a sample with the fields of this target.
        """
        return []

    def sides_px(self, sample: Sample) -> list[float]:
        """The shorter side of every object of a labelled sample, in pixels of its picture; empty for most kinds.

        Args:
            sample: a sample with the fields of this target.
        """
        return []

    # augmentation of pictures

    def mosaic(self, samples: Sequence[Sample], height: int, width: int) -> Sample:
        """The target of four pictures in a 2 x 2 grid, by its fields; empty where there is none.

        Args:
            samples: the four, row by row, all labelled.
            height: of each picture, in pixels.
            width: of each picture, in pixels.
        """
        return {}

    def after_crop(self, before: Sample, sample: Sample, scale: float, min_visible: float) -> bool:
        """Repair a target after a crop and a resize that moved its tensors; returns whether an object was lost.

        Args:
            before: the sample before the crop.
            sample: the sample after it, changed in place.
            scale: factor on areas.
            min_visible: share of an object that must stay.
        """
        return False

    def after_geometry(self, sample: Sample, move: Move) -> None:
        """Change values that depend on scale or direction (depth, normals, left and right), in place.

        Here classes whose names differ in left and right only, such as `turn_left` and `turn_right`, change places.

        Args:
            sample: the sample after all moves.
            move: what was done.
        """
        places = mirrored(self.task.class_names)
        if move.mirrors and places != list(range(len(places))):
            sample |= self.reindexed(sample, torch.tensor(places))

    def negated(self, sample: Sample) -> Sample:
        """The fields of this target in a mirror image in which its numbers have the other sign; none for most kinds.

        Args:
            sample: a labelled sample.
        """
        return {}

    # data sets with other classes

    def reindexed(self, sample: Sample, places: Tensor) -> Sample:
        """The fields of this target with each class at another index, for data sets that are mixed.

        Args:
            sample: a labelled sample; the classes in it belong to another task.
            places: the new index of every old class, int64.

        Raises:
            ValueError: for a kind that says nothing about it.
        """
        if not self.needs_classes:
            return {field: sample[field] for field in self.fields}
        raise ValueError(
            f"task {self.task.name!r} of kind {self.kind!r} cannot change the order of its classes; give all data sets "
            "the same classes in the same order, or write `reindexed` for that kind."
        )

    # tables

    def parse(self, cells: Sequence[str], missing: Sequence[str], separator: str) -> Any:
        """One sample's target from the cells of a table; None where it is missing.

        Args:
            cells: one cell, or one for each class.
            missing: cells that mean "not labelled".
            separator: what stands between several names in one cell.

        Raises:
            ValueError: for a cell that means nothing, or a kind that no table holds.
        """
        raise ValueError(f"a target of kind {self.kind!r} is not read from a table.")

    @classmethod
    def names_in(cls, cells: Iterable[str], separator: str) -> tuple[str, ...]:
        """The class names that cells of a table hold, for a task without classes; none where cells cannot tell.

        Args:
            cells: the labelled cells of the column.
            separator: what stands between several names in one cell.
        """
        return ()

    def empty(self, count: int) -> NDArray[Any]:
        """Targets of several samples as an array, all missing; for data sets that keep them so.

        Args:
            count: number of samples.
        """
        missing = self.missing({}).numpy()
        if missing.shape == (0,):
            raise ValueError(
                f"task {self.task.name!r} is of kind {self.kind!r}, whose samples are of any length; only tables of "
                "sentences or recordings hold it."
            )
        return np.broadcast_to(missing, (count, *missing.shape)).copy()

    # what a target says without a network

    def views(self, batch: Mapping[str, Tensor], known_B: Tensor) -> list[Tensor]:
        """Targets as one class (int, -1 = unknown) or one number (float, NaN = unknown) of each sample, [B] each.

        Args:
            batch: the batch.
            known_B: which samples carry a label.
        """
        return []

    def row(self, shown: Overlay) -> dict[str, Any]:
        """A prediction as columns of a table.

        Args:
            shown: what `overlay` made of it.
        """
        answer = shown.answer
        if answer is None:
            return {}
        score = {} if answer.score is None else {f"{self.task.name}_score": round(answer.score, 5)}
        if answer.positive is not None:
            score[f"{self.task.name}_probability_{answer.positive[0]}"] = round(answer.positive[1], 5)
        return {self.task.name: answer.predicted, **score}

    def readable(self, answer: str, words: Sequence[str]) -> str:
        """An answer about a sentence as people read it beside the sentence.

        Args:
            answer: predicted or true, as `overlay` gives it.
            words: of the sentence.
        """
        return answer

    def unknown_class(self, cell: str) -> ValueError:
        """The error for a name that is no class of the task.

        Args:
            cell: the name.
        """
        names = self.task.class_names
        return ValueError(
            f"task {self.task.name!r} has a label {cell!r} that is not among its classes {', '.join(names)}."
            f"{did_you_mean(cell, names)} Add it to `classes`, or list it in `missing`."
        )


def reindex(labels: Any, places: Tensor) -> Tensor:
    """Class indices replaced by others; numbers below 0, which mean that nothing is known, stay.

    Args:
        labels: class indices of any shape.
        places: the new index of every old one.
    """
    labels = torch.as_tensor(labels)
    return torch.where(labels >= 0, places[labels.clamp(min=0).long()], labels)


@lru_cache(maxsize=1024)
def target_of(task: Task) -> Target:
    """The target of a task, by the word in its `kind`.

    Args:
        task: the task.

    Raises:
        ValueError: for a kind that no imported file serves.
    """
    known = kinds()
    if task.kind not in known:
        raise ValueError(
            f"task {task.name!r} is of kind {task.kind!r}, which no file of mtl/targets serves."
            f"{did_you_mean(task.kind, known)} There are {', '.join(known)}. Write a subclass of Target with "
            f"kind = {task.kind!r}, in mtl/targets or imported by your own package."
        )
    return known[task.kind](task)


def kinds() -> dict[str, type[Target]]:
    """Every kind of target that is imported, by its word."""
    return by_kind(Target)  # type: ignore[type-abstract]
