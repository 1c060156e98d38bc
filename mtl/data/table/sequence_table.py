"""`SequenceTable`: base class of tables of which every row holds a sequence, such as a sentence or a recording."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mtl.batch import Sample
from mtl.data.csv_rows import Row, Rows
from mtl.data.folder.image_labels import ImageLabels
from mtl.data.label_check import LabelCount, count_by_reading
from mtl.data.module import JointDataModule
from mtl.data.sequence_set import SequenceSet
from mtl.data.table.csv_table import CsvTable
from mtl.data.table.module import INPUT
from mtl.targets.target import IGNORE_INDEX, target_of
from mtl.task import Task

BEGINS = "/begins"  # of a sample, until its labels are in their places


class SequenceTable(CsvTable):
    """The rows of a CSV file with a header: a sequence each, its labels, and numbers and categories if there are any.

    With `numeric` or `categorical` a model takes two inputs, which a backbone of `mtl/backbones/fusion` joins.

    Args:
        path: the file; relative paths are relative to the working directory.
        column_tasks: tasks by name; each says what its column means, `kind: tags`, `text` and `transcript` included.
            Classes that are left out are what the column holds.
        batch_tokens: most steps of a training step and process, padding included; no limit by default.
        **kwargs: arguments of `TableDataModule`.
    """

    only_numbers = False
    new_tables = False

    def __init__(
        self, path: str, column_tasks: dict[str, ImageLabels], batch_tokens: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(path, column_tasks, **kwargs)
        self.batch_tokens = batch_tokens

    @abstractmethod
    def read_sequences(self, rows: Rows, split: str) -> tuple[Rows, list[Sample]]:
        """The inputs of every row that are no numbers of it, and the rows without the ones that are left out.

        Where steps are pieces of words, `BEGINS` has the step at which each word begins.

        Args:
            rows: rows of this table, or of another one with the same columns.
            split: their split, for messages.
        """

    @abstractmethod
    def steps_of(self, sample: Sample) -> int:
        """How long a sequence is; batches are made of samples of similar length.

        Args:
            sample: the inputs of a row.
        """

    @abstractmethod
    def text_of(self, row: Row) -> str:
        """What people know a row by.

        Args:
            row: the row.
        """

    def make_set(self, rows: Rows, split: str) -> SequenceSet:
        rows, samples = self.read_sequences(rows, split)
        if INPUT in self.inputs:
            for sample, values in zip(samples, torch.from_numpy(self.encode(rows, split)), strict=True):
                sample[INPUT] = values
        lengths = [self.steps_of(sample) for sample in samples]
        begins = [sample.pop(BEGINS, None) for sample in samples]
        for name, values in self.labels_of(rows).items():
            for index, value in enumerate(values):
                if value is None:
                    continue
                if target_of(self.tasks[name]).of_steps:
                    words = lengths[index] if begins[index] is None else len(begins[index])
                    if len(value) != words:
                        raise ValueError(
                            f"{rows.source}, line {rows.lines[index]}: task {name!r} has {len(value)} tags for "
                            f"{words} steps; expected one a word of a sentence, with spaces between words and between "
                            "tags."
                        )
                    value = _at_steps(torch.as_tensor(value), begins[index], lengths[index])
                samples[index][name] = torch.as_tensor(value)
        return SequenceSet(samples, lengths, [self.text_of(row) for row in rows.rows], self.subgroups_of(rows))

    def training_values(self, name: str) -> Iterator[Any]:
        return iter(JointDataModule.training_values(self, name))

    def count_labels(self, split: str, tasks: Mapping[str, Task]) -> dict[str, LabelCount]:
        return count_by_reading(self.all_sets[split], tasks)


def _at_steps(values_T: Tensor, begins: Sequence[int] | None, steps: int) -> Tensor:
    """Labels of words at the first step of each; the other steps carry none."""
    if begins is None:
        return values_T
    none = torch.nan if values_T.is_floating_point() else IGNORE_INDEX
    placed = values_T.new_full((steps, *values_T.shape[1:]), none)
    placed[list(begins)] = values_T
    return placed
