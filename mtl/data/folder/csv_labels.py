"""`CsvLabels`: the image-level labels of a data set of picture files, from the rows of a CSV."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mtl.data.folder.annotations import AnnotatedImage
from mtl.data.folder.findings import DataReport
from mtl.data.folder.image_labels import ImageLabels, Row, read_rows
from mtl.data.folder.picture_names import match_names


class CsvLabels:
    """Rows of a CSV, found by the names of pictures.

    Args:
        path: the CSV file.
        key: its column that names the pictures: with or without extension and folders.
        tasks: image-level tasks by name; each says what its column means.
        annotated_column: its column of 0 and 1 that says whose boxes are annotated.
    """

    def __init__(
        self, path: Path, key: str, tasks: Mapping[str, ImageLabels], annotated_column: str | None = None
    ) -> None:
        self.path = path
        self.key = key
        self.tasks = tasks
        self.annotated_column = annotated_column
        self.rows: dict[str, Row] = {}
        self._first = ""  # what the first row calls its picture

    def read(self, names: Collection[str], report: DataReport) -> None:
        """Read the file and give each row to its picture.

        Args:
            names: names of all pictures.
            report: takes the rows that are of no picture, and the names that had to be guessed.

        Raises:
            ValueError: as `read_rows`, and if two rows are of one picture, or none where it says whose boxes count.
        """
        rows = read_rows(self.path, self.key)
        self._first = next(iter(rows), "")
        matches = match_names(rows, names)
        written: dict[str, str] = {}
        for text, row in rows.items():
            match = matches.get(text)
            if match is None:
                report.add("row_without_image", "", text, f"in {self.path.name}", "skipped")
            elif match.name in written:
                both = f"{written[match.name]!r} and {text!r}"
                raise ValueError(
                    f"{str(self.path)!r} has two rows for picture {match.name!r}: {both}; keep one of them."
                )
            else:
                self.rows[match.name], written[match.name] = row, text
                if not match.sure:
                    report.add("name_differs", "", match.name, f"{text!r} in {self.path.name}", "matched")
        if self.annotated_column and rows and not self.rows:
            raise ValueError(
                f"annotated_column {self.annotated_column!r} of {str(self.path)!r} says whose boxes are annotated, and "
                f"none of its {len(rows)} rows names a picture: the first is {self._first!r}, a picture is "
                f"{next(iter(sorted(names)), None)!r}. Correct the names, or set labels_key to their column."
            )

    def add_to(self, records: Iterable[AnnotatedImage], split: str, report: DataReport) -> None:
        """Add the labels of its row to each record.

        Args:
            records: the pictures.
            split: their split, for the report.
            report: takes what is missing.

        Raises:
            ValueError: for a cell that is neither a label nor a mark of a missing one, naming file and picture.
        """
        for record in records:
            row = self.rows.get(record.name)
            if row is None:
                report.add("no_row", split, record.name, f"in {self.path.name}", "not labelled")
                continue
            for task, spec in self.tasks.items():
                value = self._value(spec, task, row, record.name)
                if value is None:
                    report.add(f"no_{task}", split, record.name, "", "not labelled")
                else:
                    record.labels[task] = value
            if self.annotated_column:
                record.annotated &= self._is_annotated(row, record.name)

    def explain(self, task: str, names: Sequence[str]) -> str:
        """Why no picture of a split has a label of this task; empty where it is not for the CSV.

        Args:
            task: an image-level task, or `boxes`.
            names: the pictures of the split.
        """
        mine = [name for name in names if name in self.rows]
        if not mine and task in self.tasks:
            first = f"the file's first row is {self._first!r}" if self._first else "the file has no row"
            return f"No row of {str(self.path)!r} names a picture of the split: its first is {names[0]!r}, {first}."
        if task in self.tasks:
            spec = self.tasks[task]
            columns = ", ".join(spec.columns or [spec.column or task])
            return (
                f"Column {columns} of {str(self.path)!r} is missing in all {len(mine)} of its rows: each cell there is "
                f"NaN or one of {spec.missing} (`missing` of the image task)."
            )
        if mine and self.annotated_column and not any(self._is_annotated(self.rows[name], name) for name in mine):
            return (
                f"Column {self.annotated_column!r} of {str(self.path)!r} (annotated_column) is 1 in none of its "
                f"{len(mine)} rows."
            )
        return ""

    def _is_annotated(self, row: Row, name: str) -> bool:
        spec = ImageLabels("regression", column=self.annotated_column)
        return bool(self._value(spec, "boxes", row, name) == 1)

    def _value(self, spec: ImageLabels, task: str, row: Row, name: str) -> Any:
        try:
            return spec.value(task, row)
        except ValueError as error:
            raise ValueError(f"{self.path.name}, picture {name!r}: {error}") from error


def image_targets(specs: Mapping[str, ImageLabels], records: Sequence[AnnotatedImage]) -> dict[str, NDArray[Any]]:
    """The image-level labels of N records as arrays: int64 [N] (-100 = missing), float32 [N] or [N,C] (NaN = missing).

    Args:
        specs: form of every image-level task, by name.
        records: the pictures.
    """
    targets = {}
    for name, spec in specs.items():
        targets[name] = spec.empty(name, len(records))
        for i, record in enumerate(records):
            if name in record.labels:
                targets[name][i] = record.labels[name]
    return targets
