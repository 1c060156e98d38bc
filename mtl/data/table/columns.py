"""`Columns`: numeric and categorical columns of a table as numbers, with what is missing.

Shapes: N rows, C numbers of a row.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mtl.data.csv_rows import Row, Rows
from mtl.errors import did_you_mean
from mtl.targets.numbers import number

MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "?")
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Columns:
    """The columns that a model reads.

    A numeric column gives its number (NaN where it is missing), a categorical one a 0 or 1 for each category; both give
    a 0 or 1 more that says whether the cell is missing.

    Args:
        numeric: columns of numbers.
        categorical: columns with the categories of each. Any other cell counts as missing.
        missing: cells that mean "not known", in every column.
        missing_in: more of them, by column: `chol: ["0"]`.
        may_lack: there may be no column, since the model reads something else too.

    Raises:
        ValueError: without columns, or if a column or a category occurs twice.
    """

    numeric: tuple[str, ...]
    categorical: Mapping[str, Sequence[str]] = field(default_factory=dict)
    missing: Sequence[str] = MISSING
    missing_in: Mapping[str, Sequence[str]] = field(default_factory=dict)
    may_lack: bool = False

    def __post_init__(self) -> None:
        if not self.used and not self.may_lack:
            raise ValueError("a table needs input columns; list them in `numeric` or `categorical`.")
        for column in self.used:
            if self.used.count(column) > 1:
                raise ValueError(f"column {column!r} stands twice among `numeric` and `categorical`; keep one.")
        for column, categories in self.categorical.items():
            if not categories or len(set(categories)) < len(categories):
                raise ValueError(f"categorical column {column!r} needs categories, each once; got {list(categories)}.")
        for column, cells in self.missing_in.items():
            if column not in self.used:
                raise ValueError(
                    f"`missing_in` names column {column!r}, which is no input.{did_you_mean(column, self.used)}"
                )
            if both := [cell for cell in cells if cell in self.categorical.get(column, ())]:
                raise ValueError(
                    f"{both[0]!r} is a category of column {column!r} and one of its cells in `missing_in`; keep one."
                )

    @property
    def used(self) -> list[str]:
        """The columns that are read."""
        return [*self.numeric, *self.categorical]

    @property
    def names(self) -> tuple[str, ...]:
        """What each of the C numbers is."""
        names = [name for column in self.numeric for name in (column, f"{column} missing")]
        for column, categories in self.categorical.items():
            names += [*(f"{column}={category}" for category in categories), f"{column} missing"]
        return tuple(names)

    def encode(self, rows: Rows) -> tuple[NDArray[np.float32], dict[tuple[str, str], int]]:
        """The rows as numbers.

        Args:
            rows: the table.

        Returns:
            The numbers [N,C], and how often which (column, cell) was no known category.

        Raises:
            ValueError: for a cell of a numeric column that is neither a number nor missing; names file and line.
        """
        values_NC = np.zeros((len(rows.rows), len(self.names)), np.float32)
        unknown: dict[tuple[str, str], int] = {}
        at = 0
        for column in self.numeric:
            numbers = self._numbers(rows, column)
            values_NC[:, at] = numbers
            values_NC[:, at + 1] = np.isnan(numbers)
            at += 2
        for column, categories in self.categorical.items():
            for index, row in enumerate(rows.rows):
                cell = row[column].strip()
                if cell in categories:
                    values_NC[index, at + list(categories).index(cell)] = 1
                    continue
                values_NC[index, at + len(categories)] = 1
                if not self._is_missing(column, cell):
                    unknown[column, cell] = unknown.get((column, cell), 0) + 1
            at += len(categories) + 1
        return values_NC, unknown

    def are_empty(self, values_NC: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which rows have nothing but missing cells, [N].

        Args:
            values_NC: what `encode` gives, [N,C].
        """
        widths = [2] * len(self.numeric) + [len(categories) + 1 for categories in self.categorical.values()]
        missing = np.cumsum(widths, dtype=int) - 1  # the last number of each column says whether its cell is missing
        return np.asarray((values_NC[:, missing] == 1).all(1))

    def faults(self, rows: Rows, categories: bool = False) -> dict[int, str]:
        """Why rows cannot be read, by their place: cells of numeric columns that are neither numbers nor missing.

        Args:
            rows: the table.
            categories: cells of other categories are faults as well.
        """
        found: dict[int, list[str]] = {}
        for column in self.numeric:
            marks = self._marks(column)
            for index, row in enumerate(rows.rows):
                try:
                    self._value(row, column, marks, f"column {column!r}")
                except ValueError as error:
                    reason = str(error).rsplit(" Correct the cell", 1)[0]
                    found.setdefault(index, []).append(reason.removesuffix("."))
        for column, known in self.categorical.items() if categories else ():
            for index, row in enumerate(rows.rows):
                cell = row[column].strip()
                if cell not in known and not self._is_missing(column, cell):
                    reason = f"column {column!r}: {cell!r} is not one of the categories {', '.join(known)}"
                    found.setdefault(index, []).append(reason)
        return {index: "; ".join(reasons) for index, reasons in sorted(found.items())}

    def _is_missing(self, column: str, cell: str) -> bool:
        return cell in self.missing or cell in self.missing_in.get(column, ())

    def _numbers(self, rows: Rows, column: str) -> NDArray[np.float64]:
        marks = self._marks(column)
        places = zip(rows.rows, rows.lines, strict=True)
        return np.array(
            [self._value(row, column, marks, f"{rows.source}, line {line}, column {column!r}") for row, line in places]
        )

    def _marks(self, column: str) -> set[float]:
        # a mark that is a number means that number, however it is written: -9, -9.0
        words = (*self.missing, *self.missing_in.get(column, ()))
        return {value for word in words if (value := _number(word)) is not None}

    def _value(self, row: Row, column: str, marks: Container[float], where: str) -> float:
        cell = row[column].strip()
        value = None if self._is_missing(column, cell) else number(cell, where)
        if value is not None and abs(value) > _LARGEST:
            raise ValueError(f"{where}: {cell!r} is too large for 32 bits. Use another unit, or leave it out.")
        return np.nan if value is None or value in marks else value


def _number(mark: str) -> float | None:
    try:
        value = float(mark)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
