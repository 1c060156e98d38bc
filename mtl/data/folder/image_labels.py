"""Image-level labels from the columns of a CSV: the meaning of each column, and its values as arrays.

Shapes: N pictures, C classes.
"""

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mtl.data.csv_rows import Row, read_csv
from mtl.data.folder.picture_names import is_file, plain_name, without_extension
from mtl.errors import did_you_mean
from mtl.targets.numbers import number
from mtl.targets.target import IGNORE_INDEX, Target, kinds, target_of
from mtl.task import Task

T = TypeVar("T")


@dataclass(frozen=True)
class ImageLabels:
    """How the CSV stores one image-level task.

    Args:
        kind: `classification` (a column with class names), `multilabel` (a column of 0 and 1 for each class, or one
            column with several class names), `regression` (a column of numbers), or a kind of your own that can
            `parse` cells.
        classes: class names in the order of their index. For `multilabel` with `columns` the columns' names by default.
        column: the column; named as the task by default.
        columns: for `multilabel`: one column of 0 and 1 for each class, in the order of the classes.
        separator: for `multilabel` in one column: what stands between the names.
        cells: for `classification`: what the cells hold for each class, in the order of the classes, if that is not the
            class's name: `classes: [healthy, ill]` with `cells: ["0", "1"]`.
        edges: for `classification` of a column of numbers: where one class ends and the next begins, ascending, one
            fewer than the classes. A number at an edge belongs to the class above it.
        only_where: rows that have a label, by another column: `site: [cleveland]`. The others count as not labelled.
        missing: cells that mean "not labelled". For `multilabel` in one column an empty cell may also mean "none of
            the classes": say `missing: []` then.
    """

    kind: str = "classification"
    classes: list[str] | None = None
    column: str | None = None
    columns: list[str] | None = None
    separator: str = "|"
    cells: list[str] | None = None
    edges: list[float] | None = None
    only_where: dict[str, list[str]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=lambda: ["", "NONE"])

    @classmethod
    def of(cls, spec: Any) -> "ImageLabels":
        """Create the specification from its form in a config: an instance, a mapping, or a namespace.

        Args:
            spec: keyword arguments in one of these forms.
        """
        return from_spec(cls, spec, "labels of a task")

    def task(self, name: str) -> Task:
        """The task of these labels.

        Args:
            name: name of the task.

        Raises:
            ValueError: if classes are missing or do not fit the kind.
        """
        classes = self.classes or self.columns or ()
        task = Task(name, self.kind, class_names=tuple(classes))
        kind = kinds().get(self.kind, Target)
        if kind is not Target and kind.parse is Target.parse:
            raise ValueError(f"task {name!r} is of kind {self.kind!r}, which no cell of a table can hold.")
        if not classes and kind.needs_classes:
            raise ValueError(f"task {name!r} of kind {self.kind!r} needs its `classes`: the names in the CSV.")
        target = target_of(task)
        if classes and not target.needs_classes:
            raise ValueError(f"task {name!r} is a {self.kind}, which has no `classes` or `columns`; remove them.")
        if self.columns and (not target.takes_columns or len(self.columns) != len(classes)):
            raise ValueError(
                f"task {name!r}: `columns` is for kind multilabel, one column per class; "
                f"got kind {self.kind!r}, {len(self.columns)} columns and {len(classes)} classes."
            )
        if self.cells is not None and (
            self.kind != "classification" or len(set(self.cells)) != len(classes) or len(self.cells) != len(classes)
        ):
            raise ValueError(
                f"task {name!r}: `cells` is for kind classification, one cell for each of its {len(classes)} classes "
                f"and each once; got kind {self.kind!r} and cells {', '.join(self.cells)}."
            )
        if self.edges is not None and (
            self.kind != "classification"
            or self.cells is not None
            or len(self.edges) != len(classes) - 1
            or sorted(set(self.edges)) != list(self.edges)
        ):
            raise ValueError(
                f"task {name!r}: `edges` is for kind classification without `cells`, ascending numbers, one fewer than "
                f"its {len(classes)} classes; got kind {self.kind!r} and edges {self.edges}."
            )
        return task

    def read_columns(self, name: str) -> list[str]:
        """The columns that the task is read from.

        Args:
            name: name of the task.
        """
        return list(self.columns or [self.column or name])

    def empty(self, name: str, count: int) -> NDArray[Any]:
        """An array of missing labels: int64 [N] of -100, or float32 [N] or [N,C] of NaN.

        Args:
            name: name of the task.
            count: number of pictures N.
        """
        return target_of(self.task(name)).empty(count)

    def value(self, name: str, row: Row) -> Any:
        """The label of one picture, or None if it is missing.

        Args:
            name: name of the task.
            row: the picture's row of the CSV.

        Raises:
            ValueError: for a cell that is neither a label nor one of `missing`.
        """
        if any(_cell(row, column, name) not in known for column, known in self.only_where.items()):
            return None
        cells = [_cell(row, column, name) for column in self.read_columns(name)]
        if self.edges is not None:
            value = None if cells[0] in self.missing else number(cells[0], f"task {name!r}")
            return None if value is None else bisect_right(self.edges, value)
        if self.cells is not None and cells[0] in self.cells:
            return self.cells.index(cells[0])
        if self.cells is not None and cells[0] not in self.missing:
            raise ValueError(
                f"task {name!r} has a label {cells[0]!r} that is not among its `cells` {', '.join(self.cells)}."
                f"{did_you_mean(cells[0], self.cells)} Add it, or list it in `missing`."
            )
        return target_of(self.task(name)).parse(cells, self.missing, self.separator)


def from_spec(cls: type[T], spec: Any, what: str) -> T:
    """A dataclass from whatever a config holds: itself, a mapping, or a namespace.

    Args:
        cls: the dataclass.
        spec: keyword arguments in any of these forms.
        what: it stands for, for the message.

    Raises:
        ValueError: for a field that it has not.
    """
    if isinstance(spec, cls):
        return spec
    values = dict(spec) if isinstance(spec, Mapping) else dict(vars(spec))
    if "class_path" in values:
        # the form that jsonargparse gives to classes
        return from_spec(cls, values.get("init_args") or {}, what)
    known = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise ValueError(f"{what} has a field {name!r}; there are {', '.join(known)}.{did_you_mean(name, known)}")
    return cls(**values)


def read_rows(path: Path, key: str, columns: Collection[str] | None = None) -> dict[str, Row]:
    """Rows of a CSV by picture name; of several rows of one picture that agree, the first.

    Args:
        path: the CSV file, with a header.
        key: column with the picture's name, with or without the extension of the file.
        columns: columns in which rows of one picture must agree; all by default. A table of boxes has several rows of
            one picture.

    Raises:
        ValueError: if the file or the column is missing, two rows of one picture disagree, or a row's number of cells
            differs from the header's.
    """
    if not path.is_file():
        raise ValueError(f"labels_csv {str(path)!r} is not a file. Correct the path, or remove labels_csv.")
    rows: dict[str, Row] = {}
    for row in read_csv(path, [key], "Set labels_key to the column with the names of the pictures.").rows:
        name = row[key].strip()
        first = rows.setdefault(name, row)
        for column in row if columns is None else columns:
            if column != key and row.get(column, "").strip() != first.get(column, "").strip():
                raise ValueError(
                    f"{str(path)!r} has two rows for {name!r}, with {first[column]!r} and {row[column]!r} in column "
                    f"{column!r}; keep one of them."
                )
    return rows


def tables_of(root: Path, labels_csv: str | Sequence[str] | None) -> list[Path]:
    """The tables that `labels_csv` names.

    Args:
        root: folder of the data set.
        labels_csv: one file relative to it, several, or none.
    """
    return [root / file for file in ([labels_csv] if isinstance(labels_csv, str) else labels_csv or [])]


def read_tables(paths: Sequence[Path], key: str, columns: Collection[str] | None = None) -> dict[str, Row]:
    """Rows of one or more CSVs by picture name; rows of one picture in several files are joined.

    Args:
        paths: the files: other pictures in each, or other columns.
        key: column with the picture's name in all of them.
        columns: columns in which rows of one picture must agree; all by default.

    Raises:
        ValueError: as `read_rows`, and if two files have different values in a column for one picture.
    """
    if len(paths) == 1:
        return read_rows(paths[0], key, columns)
    joined: dict[str, Row] = {}
    for path in paths:
        for text, row in read_rows(path, key, columns).items():
            known = joined.setdefault(_full_name(path, text), {})
            for column, cell in row.items():
                matters = column != key and (columns is None or column in columns)
                if matters and known.get(column, cell).strip() != cell.strip():
                    raise ValueError(
                        f"{str(path)!r} has {cell!r} in column {column!r} for picture {text!r}, another file of "
                        f"labels_csv has {known[column]!r}. Correct one of them, or rename the column."
                    )
            known.update(row)
    return joined


def _full_name(table: Path, text: str) -> str:
    """The name that a table writes; with a folder where it is beside the table: train/labels.csv, test/labels.csv."""
    folder = f"{table.parent.name}/" if is_file(table.parent / text) else ""
    return folder + without_extension(plain_name(text))


def names_in(table: Path, key: str) -> list[str]:
    """The names of pictures in one of several tables, as `read_tables` has them.

    Args:
        table: the file.
        key: column with the names.
    """
    return [_full_name(table, text) for text in read_rows(table, key, ())]


def is_labelled(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which pictures have a label, bool [N].

    Args:
        values: labels in the form of `ImageLabels.empty`, [N] or [N,C].
    """
    missing = values == IGNORE_INDEX if values.dtype == np.int64 else np.isnan(values)
    labelled: NDArray[np.bool_] = ~missing.reshape(len(values), -1).any(1)
    return labelled


def _cell(row: Row, column: str, task: str) -> str:
    cell = row.get(column)
    if cell is None:
        raise ValueError(
            f"task {task!r} reads column {column!r}, but the CSV has {', '.join(row)}."
            f"{did_you_mean(column, row)} Set `column` of the task."
        )
    return cell.strip()
