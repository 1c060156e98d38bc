"""Rows of a CSV file with a header, checked: the columns that are needed, and as many cells as the header has."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mtl.data.folder.files.text_files import read_text
from mtl.data.sources.fetch import how_to_fetch
from mtl.errors import did_you_mean, printable

Row = dict[str, str]
OTHER_SEPARATORS = ";\t|"


@dataclass(frozen=True)
class Rows:
    """The rows of a table as text.

    Args:
        source: what they come from, for messages.
        columns: names of the columns, in order.
        rows: cells by column, N rows.
        lines: line of each row in its file, N numbers.
    """

    source: str
    columns: tuple[str, ...]
    rows: list[Row]
    lines: list[int]

    def at(self, places: Sequence[int]) -> "Rows":
        """Some of the rows.

        Args:
            places: which ones, from 0.
        """
        return Rows(self.source, self.columns, [self.rows[i] for i in places], [self.lines[i] for i in places])


def read_csv(
    path: Path,
    required: Sequence[str],
    advice: str = "",
    uneven: dict[int, str] | None = None,
    header: Sequence[str] | None = None,
) -> Rows:
    """All rows of a file that are not empty.

    Args:
        path: the file: a header, then rows, separated by commas; or by semicolons, tabs or bars, if the header has one
            of these and no comma.
        required: columns that must be there.
        advice: end of the message about a column that is not there.
        uneven: where to write what is wrong with rows of more or fewer cells than the header, by line; such rows stay
            then, with empty cells at the end.
        header: names of the columns of a file without a header, whose first line is a row.

    Raises:
        ValueError: if the file is missing, a column is missing or occurs twice, or, without `uneven`, a row's number of
            cells differs from the header's.
    """
    if not path.exists() and (fetched := how_to_fetch(path)):
        raise ValueError(f"there is no file {str(path)!r}.{fetched}")
    # a cell may hold several lines, which end as the rows of its file do
    text, separator = _without_separator(read_text(path).replace("\r\n", "\n").replace("\r", "\n"))
    # a blank after the comma, as people write it, would make a quote part of the cell
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    rows, lines = [], []
    try:
        first = header or next((cells for cells in reader if any(cell.strip() for cell in cells)), [])
        columns = _columns(first, path)
        for column in required:
            _require(column, columns, path, advice)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) < len(columns) or any(cell.strip() for cell in cells[len(columns) :]):
                wrong = f"the row has {len(cells)} cells, the header {len(columns)}"
                if uneven is None:
                    raise ValueError(
                        f"{str(path)!r}, line {reader.line_num}: {wrong}. Correct the row; a cell that contains a "
                        "comma needs quotes."
                    )
                uneven[reader.line_num] = wrong
                cells += [""] * (len(columns) - len(cells))
            rows.append(dict(zip(columns, cells, strict=False)))
            lines.append(reader.line_num)
    except csv.Error as error:
        raise ValueError(f"{str(path)!r}, line {reader.line_num}: {error}. Correct the line.") from error
    return Rows(str(path), tuple(columns), rows, lines)


def _without_separator(text: str) -> tuple[str, str]:
    """The text without the first line `sep=;` that Excel writes and reads, and its separator.

    Without that line it is a comma, or what the header holds in place of one: spreadsheets of languages with a decimal
    comma write semicolons.
    """
    if text[:4].lower() == "sep=" and text[5:6] == "\n" and text[4] not in '\n"':
        return text[5:], text[4]  # lines keep their numbers
    header = next((line for line in text.splitlines() if line.strip()), "")
    marks = [mark for mark in OTHER_SEPARATORS if mark in header]
    return text, marks[0] if len(marks) == 1 and "," not in header else ","


def _columns(header: Sequence[str], path: Path) -> list[str]:
    columns = [cell.strip() for cell in header]
    while columns and not columns[-1]:
        columns.pop()
    for column in columns:
        if column and columns.count(column) > 1:
            raise ValueError(f"{str(path)!r} has two columns called {column!r}; rename one of them.")
    return columns


def _require(column: str, columns: Sequence[str], path: Path, advice: str) -> None:
    if column in columns:
        return
    state = f"it has {printable(', '.join(columns))}." if columns else "it is empty."
    hint = did_you_mean(column, columns)
    if any(mark in name for name in columns for mark in OTHER_SEPARATORS):
        hint = " Its separator is not a comma: save it with commas."
    raise ValueError(f"{str(path)!r} has no column {column!r}; {state}{hint} {advice}".rstrip())
