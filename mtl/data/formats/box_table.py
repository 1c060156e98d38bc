"""A CSV with a row for each box: one for all pictures, or one for each split."""

import csv
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mtl.data.csv_rows import OTHER_SEPARATORS, Rows, read_csv
from mtl.data.folder.files.box_rows import BoxColumns, boxes_of, find_columns
from mtl.data.folder.files.text_files import read_text
from mtl.data.formats.format import FolderFormat, Listing, Part, file_of_each_split, is_number, sample
from mtl.data.formats.lists import part_of_lists
from mtl.data.formats.picture_column import last_part, picture_column, pictures_by_name
from mtl.data.images import read_header

_TRIED = 500
_DEFAULTS = {"annotations": "annotations.csv", "images": "images"}
_MOST_CLASSES = 1000
# columns of files without a line of names: `#` stands for a number
_HEADERS = (
    ("image", "#xmin", "#ymin", "#xmax", "#ymax", "class"),
    ("image", "#xmin", "#ymin", "#xmax", "#ymax", "class", "#width", "#height"),
    ("image", "class", "#xmin", "#ymin", "#xmax", "#ymax"),
    ("image", "#width", "#height", "class", "#xmin", "#ymin", "#xmax", "#ymax"),
    ("class", "#x", "#y", "#w", "#h", "image", "#width", "#height"),
    ("set", "image", "class", "#xmin", "#ymin", "", "", "#xmax", "#ymax", "", ""),
)


@dataclass(frozen=True)
class _Table:
    """A table of boxes: what its columns mean, what a config must say about them, and its pictures."""

    columns: BoxColumns
    arguments: dict[str, Any]
    names: frozenset[str]


class RowsOfBoxes(FolderFormat):
    """CSVs of which one column names the pictures, and four hold the numbers of a box."""

    gives = "objects"
    order = 3

    def find(self, files: Listing) -> Part | None:
        known = pictures_by_name(files)
        found = {name: table for name in files.of_type(".csv", ".tsv") if (table := _read(files, name, known))}
        if not found:
            return None
        chosen = file_of_each_split({name: len(table.names) for name, table in found.items()})
        if len({str(found[name].arguments) for name in chosen.values()}) > 1:  # they call their columns differently
            chosen = {"": max(chosen.values(), key=lambda name: len(found[name].names))}
        first = found[next(iter(chosen.values()))]
        without = "no column of the table names classes: all boxes are of one class, `object`."
        notes = [without] if first.columns.label is None else []
        lists = {name: table.names for name, table in found.items()}
        words = ("CSV of boxes", "CSVs of boxes")
        return part_of_lists(files, lists, chosen, words, _DEFAULTS, "BoxTable", first.arguments, notes)


def header_of(files: Listing, name: str, known: Collection[str]) -> list[str] | None:
    """Names for the columns of a file whose first line is a row already; None if it has a line of names.

    Args:
        files: the files of the folder.
        name: the table.
        known: names of pictures, without folders and extensions.
    """
    text = read_text(files.root / name)
    first = next((line for line in text.splitlines() if line.strip()), "")
    mark = next((mark for mark in OTHER_SEPARATORS if mark in first and "," not in first), ",")
    try:
        lines = sample(csv.reader(text.splitlines(), delimiter=mark), _TRIED)
    except csv.Error:  # a cell of more letters than the module takes; `read_csv` names its line
        return None
    if not lines or not any(last_part(cell) in known for cell in lines[0] if cell.strip()):
        return None
    for header in _HEADERS:
        if all(len(cells) == len(header) and _fits(cells, header, known) for cells in lines if cells):
            plain = [column.removeprefix("#") for column in header]
            corners = [plain.index(column) for column in ("xmin", "ymin", "xmax", "ymax") if column in plain]
            if corners and not all(_is_box([cells[place] for place in corners]) for cells in lines if cells):
                other = dict(zip(("xmin", "ymin", "xmax", "ymax"), ("x", "y", "w", "h"), strict=True))
                plain = [other.get(column, column) for column in plain]
            return plain
    return None


def _read(files: Listing, name: str, known: dict[str, str]) -> _Table | None:
    try:
        header = header_of(files, name, known)
        rows = read_csv(files.root / name, [], header=header)
    except ValueError:
        return None  # no table
    image = picture_column(rows, known)
    columns = image and find_columns(rows.columns, image)
    if not image or not columns or not any(any(boxes_of(row, columns)) for row in rows.rows):
        return None
    arguments: dict[str, Any] = {"header": header} if header else {}
    usual = find_columns(rows.columns)
    if usual is None or usual.image != image:
        arguments["image_column"] = image
    if columns.label is None and (label := _class_column(rows, columns)) is not None:
        columns = replace(columns, label=label)
        arguments["class_column"] = label
    if len(columns.boxes) == 1 and (form := _form_of_one_column(files, rows, columns, known)) != columns.form:
        columns = replace(columns, form=form)
        arguments["box_form"] = form
    return _Table(columns, arguments, frozenset(last_part(row[image]) for row in rows.rows))


def _fits(cells: Sequence[str], header: Sequence[str], known: Collection[str]) -> bool:
    for cell, column in zip(cells, header, strict=True):
        if column == "image" and last_part(cell) not in known:
            return False
        if column.startswith("#") and cell.strip() and not is_number(cell):
            return False
        if not column and cell.strip():
            return False
    return True


def _is_box(cells: Sequence[str]) -> bool:
    """Whether the cells may be two corners; empty ones may."""
    if not all(cell.strip() for cell in cells):
        return True
    x0, y0, x1, y1 = map(float, cells)
    return x1 >= x0 and y1 >= y0


def _class_column(rows: Rows, columns: BoxColumns) -> str | None:
    """The first column of names that differ between boxes of one picture, whatever it is called."""
    for column in (column for column in rows.columns if column and column not in columns.all()):
        by_picture: defaultdict[str, set[str]] = defaultdict(set)
        for row in rows.rows:
            by_picture[row[columns.image]].add(row[column].strip())
        cells = {cell for inside in by_picture.values() for cell in inside if cell}
        several = any(len(inside - {""}) > 1 for inside in by_picture.values())
        if several and len(cells) <= min(_MOST_CLASSES, len(rows.rows) // 2) and not all(map(is_number, cells)):
            return column
    return None


def _form_of_one_column(files: Listing, rows: Rows, columns: BoxColumns, known: dict[str, str]) -> Any:
    """`xyxy` or `xywh`, whichever fits into the pictures; the usual one if both do."""
    fits = {"xyxy": True, "xywh": True}
    for row in sample(rows.rows, _TRIED):
        picture = known.get(last_part(row[columns.image]))
        try:
            header = read_header(files.root / picture) if picture else None
        except ValueError:
            continue
        for box in boxes_of(row, replace(columns, form="xyxy")):
            if header is None or isinstance(box, str):
                continue
            a, b, c, d = box
            fits["xyxy"] &= c >= a and d >= b
            fits["xywh"] &= a + c <= header.width + 1 and b + d <= header.height + 1
    if all(fits.values()) or not any(fits.values()):
        return columns.form
    return next(form for form, fit in fits.items() if fit)
