"""`CsvLabels`: image-level labels of picture files, from the rows of a CSV."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mtl.data.csv_rows import Row
from mtl.data.folder.annotations import AnnotatedImage
from mtl.data.folder.findings import DataReport
from mtl.data.folder.image_labels import ImageLabels, read_tables
from mtl.data.folder.picture_names import match_names


class CsvLabels:
    """Rows of a CSV, matched to pictures by name.

    Args:
        paths: the CSV file, or several.
        key: column with the names of the pictures, with or without extension and folders.
        tasks: image-level tasks by name, each with the meaning of its column.
        annotated_column: column of 0 and 1: whether the boxes of the picture are annotated.
    """

    def __init__(
        self, paths: Sequence[Path], key: str, tasks: Mapping[str, ImageLabels], annotated_column: str | None = None
    ) -> None:
        self.paths = paths
        self.name = " and ".join(path.name for path in paths)
        self.key = key
        self.tasks = tasks
        self.annotated_column = annotated_column
        self.rows: dict[str, Row] = {}
        self._first = ""  # picture name in the first row
        self._columns: set[str] = set()
        self._full_names = " and ".join(repr(str(path)) for path in paths)

    def read(self, names: Collection[str], report: DataReport) -> None:
        """Read the file and match each row to a picture.

        Args:
            names: names of all pictures.
            report: receives the rows without a picture, and the names that had to be guessed.

        Raises:
            ValueError: as `read_tables`; if two rows match one picture; or if no row matches and `annotated_column` is
                set.
        """
        used = {column for task, spec in self.tasks.items() for column in (*spec.read_columns(task), *spec.only_where)}
        rows = read_tables(self.paths, self.key, {*used, *([self.annotated_column] if self.annotated_column else [])})
        self._first = next(iter(rows), "")
        self._columns = {column for row in rows.values() for column in row}
        matches = match_names(rows, names)
        written: dict[str, str] = {}
        for text, row in rows.items():
            match = matches.get(text)
            if match is None:
                report.add("row_without_image", "", text, f"in {self.name}", "skipped")
            elif match.name in written:
                both = f"{written[match.name]!r} and {text!r}"
                raise ValueError(
                    f"{self._full_names} has two rows for picture {match.name!r}: {both}; keep one of them."
                )
            else:
                self.rows[match.name], written[match.name] = row, text
                if not match.sure:
                    report.add("name_differs", "", match.name, f"{text!r} in {self.name}", "matched")
        if self.annotated_column and rows and not self.rows:
            raise ValueError(
                f"annotated_column {self.annotated_column!r} of {self._full_names} marks pictures with annotated "
                f"boxes, but none of its {len(rows)} rows names a picture: the first row names {self._first!r}, a "
                f"picture is {next(iter(sorted(names)), None)!r}. Correct the names, or set labels_key to their column."
            )

    def add_to(self, records: Iterable[AnnotatedImage], split: str, report: DataReport) -> None:
        """Add to each record the labels of its row.

        Args:
            records: the pictures.
            split: their split, for the report.
            report: receives missing labels.

        Raises:
            ValueError: for a cell that is neither a label nor a missing value; names file and picture.
        """
        for record in records:
            row = self.rows.get(record.name)
            if row is None:
                report.add("no_row", split, record.name, f"in {self.name}", "not labelled")
                continue
            for task, spec in self.tasks.items():
                # a column of one file need not be in the others
                elsewhere = (set(spec.read_columns(task)) - row.keys()) & self._columns
                value = None if elsewhere else self._value(spec, task, row, record.name)
                if value is None:
                    report.add(f"no_{task}", split, record.name, "", "not labelled")
                else:
                    record.labels[task] = value
            if self.annotated_column:
                record.annotated &= self._is_annotated(row, record.name)

    def explain(self, task: str, names: Sequence[str]) -> str:
        """Explain why no picture of a split has a label of this task; empty if the CSV is not the cause.

        Args:
            task: an image-level task, or `boxes`.
            names: names of the pictures of the split.
        """
        mine = [name for name in names if name in self.rows]
        if not mine and task in self.tasks:
            first = f"the first row names {self._first!r}" if self._first else "the file has no row"
            return f"No row of {self._full_names} names a picture of the split: it starts with {names[0]!r}, {first}."
        if task in self.tasks:
            spec = self.tasks[task]
            columns = ", ".join(spec.columns or [spec.column or task])
            return (
                f"All {len(mine)} rows of the split have a missing value in column {columns} of {self._full_names}: "
                f"each cell is NaN or one of {spec.missing} (`missing` of the task)."
            )
        if mine and self.annotated_column and not any(self._is_annotated(self.rows[name], name) for name in mine):
            return (
                f"Column {self.annotated_column!r} of {self._full_names} (annotated_column) is 1 in none of the "
                f"{len(mine)} rows of the split."
            )
        return ""

    def _is_annotated(self, row: Row, name: str) -> bool:
        spec = ImageLabels("regression", column=self.annotated_column)
        return bool(self._value(spec, "boxes", row, name) == 1)

    def _value(self, spec: ImageLabels, task: str, row: Row, name: str) -> Any:
        try:
            return spec.value(task, row)
        except ValueError as error:
            raise ValueError(f"{self.name}, picture {name!r}: {error}") from error


def image_targets(specs: Mapping[str, ImageLabels], records: Sequence[AnnotatedImage]) -> dict[str, NDArray[Any]]:
    """The image-level labels of N records as arrays: int64 [N] (-100 = missing), float32 [N] or [N,C] (NaN = missing).

    Args:
        specs: specification of each image-level task, by name.
        records: the pictures.
    """
    targets = {}
    for name, spec in specs.items():
        targets[name] = spec.empty(name, len(records))
        for i, record in enumerate(records):
            if name in record.labels:
                targets[name][i] = record.labels[name]
    return targets
