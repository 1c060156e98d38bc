"""`TableDataModule`: base class of data sets that are one table: columns by role, splits, missing values.

Shapes: N rows, C numbers of a row.
"""

import logging
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from mtl.batch import Sample
from mtl.data.csv_rows import Rows
from mtl.data.folder.image_labels import ImageLabels, is_labelled
from mtl.data.label_check import LabelCount
from mtl.data.module import JointDataModule
from mtl.data.table.columns import MISSING, Columns
from mtl.data.table.splits import check_settings, splits_of
from mtl.data.table.subgroups import subgroups_of
from mtl.errors import did_you_mean
from mtl.task import Inputs, InputSpec, Task

log = logging.getLogger(__name__)
INPUT = "row"  # name of the input
_STAGES = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",), "predict": ("test",)}


class TableDataModule(JointDataModule):
    """Rows of a table: some columns are inputs, some are labels, one may name the split.

    Args:
        column_tasks: tasks by name; each says what its column means.
        numeric: input columns of numbers. The model standardises them by the training rows.
        categorical: input columns with the categories of each, such as `sex: [female, male]`.
        split_column: column with `train`, `val` or `test`; a row with an empty cell is left out.
        split_cells: the cells of each split, if the column does not name it: with `split_column: hospital`,
            `train: [north, south]` and `test: [west]` keep each hospital in one split. Other rows are left out.
        fractions: shares of train, val and test of a random split, in place of `split_column`.
        split_seed: seed of the random split; separate from `seed`, so runs with other seeds share the test rows.
        stratify: column whose values get equal shares in every split of a random split.
        group: column whose values, such as a patient, are never divided over two splits.
        subgroups: columns by whose values results are also given, such as `sex: null`; a column of numbers with the
            edges of its groups, `age: [50, 65]`. They are no inputs unless they are listed there too.
        missing: cells that mean "not known" in every input column.
        missing_in: more of them, by column: `chol: ["0"]`.
        on_unknown_category: for a cell with another category: `error`, or `missing`, which counts it as not
            known. By default `error` in training rows and `missing`, with a warning, in others.
        **kwargs: arguments of `JointDataModule`.
    """

    only_numbers: ClassVar[bool] = True  # the numbers of a row are all that a model reads
    new_tables: ClassVar[bool] = True  # `new_rows` reads other tables

    def __init__(
        self,
        column_tasks: dict[str, ImageLabels],
        numeric: list[str] | None = None,
        categorical: dict[str, list[str]] | None = None,
        split_column: str | None = None,
        split_cells: dict[str, list[str]] | None = None,
        fractions: list[float] | None = None,
        split_seed: int = 0,
        stratify: str | None = None,
        group: str | None = None,
        subgroups: dict[str, list[float] | None] | None = None,
        missing: list[str] | None = None,
        missing_in: dict[str, list[str]] | None = None,
        on_unknown_category: Literal["error", "missing"] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(self.declare_tasks(column_tasks=column_tasks), **kwargs)
        self.split_settings: dict[str, Any] = {
            "split_column": split_column,
            "split_cells": split_cells,
            "fractions": fractions,
            "split_seed": split_seed,
            "stratify": stratify,
            "group": group,
        }
        check_settings(**self.split_settings)
        self.specs = {name: ImageLabels.of(spec) for name, spec in column_tasks.items()}
        self.columns = Columns(
            tuple(numeric or ()),
            dict(categorical or {}),
            tuple(MISSING if missing is None else missing),
            missing_in or {},
            may_lack=not self.only_numbers,
        )
        self.inputs = self.numbers_input(self.columns)
        for name, spec in self.specs.items():
            for column in spec.read_columns(name):
                if column in self.columns.used:
                    raise ValueError(
                        f"column {column!r} is an input and the label of task {name!r}, so the model would read the "
                        "answer. Remove it from `numeric` and `categorical`, or remove the task."
                    )
        self.subgroups = dict(subgroups or {})
        self.on_unknown_category = on_unknown_category
        self.all_sets: dict[str, Any] = {}

    @classmethod
    def declare_tasks(cls, *, column_tasks: Mapping[str, Any] | None = None, **_: Any) -> dict[str, Task]:
        return {name: ImageLabels.of(spec).task(name) for name, spec in (column_tasks or {}).items()}

    @classmethod
    def declare_inputs(
        cls,
        *,
        numeric: Sequence[str] | None = None,
        categorical: Mapping[str, Sequence[str]] | None = None,
        **_: Any,
    ) -> Inputs:
        columns = Columns(tuple(numeric or ()), dict(categorical or {}), may_lack=not cls.only_numbers)
        return cls.numbers_input(columns)

    @classmethod
    def numbers_input(cls, columns: Columns) -> Inputs:
        """The input that the columns of numbers and categories give; none without such columns.

        Args:
            columns: the columns.
        """
        return {INPUT: InputSpec(INPUT, "table", names=columns.names)} if columns.used else {}

    @abstractmethod
    def read(self, required: Sequence[str]) -> Rows:
        """The whole table.

        Args:
            required: columns that it must have.
        """

    def encode(self, rows: Rows, split: str = "") -> NDArray[np.float32]:
        """The input columns of some rows as the samples hold them, [N,C].

        Args:
            rows: the rows.
            split: their split, for the message about unknown categories.

        Raises:
            ValueError: for a cell that is no number in a numeric column, or an unknown category in a training row.
        """
        values_NC, unknown = self.columns.encode(rows)
        if not unknown:
            return values_NC
        column, cell = next(iter(unknown))
        known = self.columns.categorical[column]
        text = (
            f"{rows.source}: {sum(unknown.values())} cells{f' of split {split!r}' if split else ''} are none of the "
            f"categories, the first {cell!r} in column {column!r} (`categorical`: {', '.join(known)})."
        )
        how = self.on_unknown_category or ("error" if split == "train" else "missing")
        if how == "error":
            raise ValueError(
                f"{text}{did_you_mean(cell, known)} Add the category, list the cell in `missing_in`, or set "
                "on_unknown_category: missing."
            )
        log.warning("%s They count as missing.", text)
        return values_NC

    def faults(self, rows: Rows) -> dict[int, str]:
        """Why rows of a new table cannot be predicted, by their place.

        Args:
            rows: the rows.
        """
        return self.columns.faults(rows, categories=self.on_unknown_category == "error")

    def setup(self, stage: str) -> None:
        if not self.all_sets:
            self.all_sets = self._read_sets()
        for split in _STAGES[stage]:
            if split not in self.all_sets:
                raise ValueError(
                    f"{type(self).__name__} has no split {split!r}, which stage {stage!r} needs; it has "
                    f"{', '.join(self.all_sets)}. Name rows {split!r} in the split column, or add a share to "
                    "`fractions`."
                )
            setattr(self, f"{split}_set", self.all_sets[split])

    def training_values(self, name: str) -> Iterator[Any]:
        yield from self.all_sets["train"].values

    def count_labels(self, split: str, tasks: Mapping[str, Task]) -> dict[str, LabelCount]:
        rows = self.all_sets[split]
        counted = {name: int(is_labelled(rows.targets[name]).sum()) for name in tasks}
        return {name: LabelCount(count, len(rows), len(rows)) for name, count in counted.items()}

    def explain_unlabelled(self, split: str, task: Task) -> str:
        spec = self.specs[task.name]
        where = "".join(f" where {column} is {' or '.join(cells)}" for column, cells in spec.only_where.items())
        return f"No row{where} has a value in column {', '.join(spec.read_columns(task.name))}: {spec.missing}."

    def _read_sets(self) -> dict[str, Any]:
        roles = [self.split_settings[role] for role in ("split_column", "stratify", "group")]
        roles = [*filter(None, roles), *self.subgroups, *self.more_columns()]
        labels = [c for name, spec in self.specs.items() for c in (*spec.read_columns(name), *spec.only_where)]
        rows = self.read([*self.columns.used, *labels, *roles])
        if not rows.rows:
            raise ValueError(f"{rows.source} has no row below its header.")
        sets: dict[str, Any] = {}
        for split, indices in splits_of(rows, **self.split_settings).items():
            sets[split] = self.make_set(rows.at(indices.tolist()), split)
        return sets

    def more_columns(self) -> list[str]:
        """Columns that a subclass reads beside numbers, categories and labels."""
        return []

    def make_set(self, rows: Rows, split: str) -> Dataset[Sample]:
        """The samples of a split.

        Args:
            rows: its rows.
            split: `train`, `val` or `test`.
        """
        return TableSet(self.encode(rows, split), self.targets_of(rows), self.subgroups_of(rows))

    def new_rows(self, rows: Rows) -> Dataset[Sample]:
        """Rows of a new table as samples without labels.

        Args:
            rows: the rows, without the ones that `faults` names.
        """
        return TableSet(self.encode(rows), {})

    def targets_of(self, rows: Rows) -> dict[str, NDArray[Any]]:
        """The labels of every row by task, in arrays as `ImageLabels.empty` makes them.

        Args:
            rows: the rows.
        """
        targets = {}
        for name, values in self.labels_of(rows).items():
            targets[name] = self.specs[name].empty(name, len(values))
            for index, value in enumerate(values):
                if value is not None:
                    targets[name][index] = value
        return targets

    def subgroups_of(self, rows: Rows) -> dict[str, list[str]]:
        """For each column of `subgroups` the name of each row's group.

        Args:
            rows: the rows.
        """
        return {column: subgroups_of(rows, column, edges) for column, edges in self.subgroups.items()}

    def labels_of(self, rows: Rows) -> dict[str, list[Any]]:
        """The label of every row by task, None where it has none.

        Args:
            rows: the rows.

        Raises:
            ValueError: for a cell that is no label; names file and line.
        """
        labels: dict[str, list[Any]] = {name: [] for name in self.specs}
        for name, spec in self.specs.items():
            for row, line in zip(rows.rows, rows.lines, strict=True):
                try:
                    labels[name].append(spec.value(name, row))
                except ValueError as error:
                    raise ValueError(f"{rows.source}, line {line}: {error}") from error
        return labels


class TableSet(Dataset[Sample]):
    """The rows of one split; a task that is not labelled is left out of the sample.

    Args:
        values_NC: the inputs, NaN = missing, [N,C].
        targets: labels by task as `ImageLabels.empty` makes them, [N] or [N,K].
        subgroups: for each column of subgroups the name of each row's group; "" where it is not known.
    """

    def __init__(
        self,
        values_NC: NDArray[np.float32],
        targets: Mapping[str, NDArray[Any]],
        subgroups: Mapping[str, list[str]] | None = None,
    ) -> None:
        self.subgroups = dict(subgroups or {})
        self.values = torch.from_numpy(values_NC)
        self.targets = dict(targets)
        self.labelled = {name: is_labelled(values) for name, values in targets.items()}

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> Sample:
        sample: Sample = {INPUT: self.values[index]}
        for name, values in self.targets.items():
            if self.labelled[name][index]:
                sample[name] = torch.as_tensor(values[index])
        return sample
