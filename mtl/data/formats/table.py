"""A CSV with a row for each picture: image-level labels, and perhaps the splits and groups."""

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from mtl.data.csv_rows import Row, Rows, read_csv
from mtl.data.folder.files.box_rows import find_columns, is_class_column
from mtl.data.folder.files.text_files import read_text
from mtl.data.folder.image_labels import read_tables
from mtl.data.formats.box_table import header_of
from mtl.data.formats.format import FolderFormat, Listing, Part, is_number
from mtl.data.formats.picture_column import last_part, picture_column, pictures_by_name
from mtl.data.formats.table_splits import split_of_cell
from mtl.errors import printable

MISSING = ("", "NONE", "None", "none", "nan", "NaN", "NA", "N/A", "null", "?")
# in small letters and without anything but letters; `_id` may follow
_GROUPS = (
    *("group", "sequence", "patient", "subject", "participant", "donor", "animal", "lesion", "case", "study", "slide"),
    *("video", "clip", "track", "series"),
)
_ROW_NUMBERS = ("", "Unnamed: 0")  # as data frames are saved
_MOST_CLASSES = 100
_FLAGS = ({"0", "1"}, {"0.0", "1.0"}, {"-1", "1"})
_FEWEST_FLAGS = 3  # columns of 0 and 1 that are the classes of one task
_SEPARATORS = ("|", ";")
_WEAK_SEPARATORS = (",", " ")
_LONGEST = 80  # letters of a row in a message
_RUN_LENGTHS = re.compile(r"rle|encoded.?pixels|run.?length", re.IGNORECASE)
_ANSWERS = "submission"  # a form of competitions, filled with the same answer for every picture


class LabelsTable(FolderFormat):
    """CSVs of which one column names the pictures; of several, those that call it alike."""

    gives = "labels"
    order = 6

    def find(self, files: Listing) -> Part | None:
        names = set(pictures_by_name(files))
        found: dict[str, tuple[str, Rows]] = {}
        answers: list[str] = []
        unread: list[str] = []
        for name in sorted(files.of_type(".csv", ".tsv"), key=lambda name: (name.count("/"), name)):
            if _ANSWERS in PurePosixPath(name).name.lower():
                answers.append(name)
                continue
            try:
                table = read_csv(files.root / name, [])
                if header_of(files, name, names):
                    continue  # rows of boxes, and no name of a column
            except ValueError as error:
                if "UTF-8" in str(error):  # a table, saved by a program that asks nobody; all others may be no tables
                    unread.append(f"{name} is left out: {error}")
                continue
            key = picture_column(table, names, once=True)
            if key is None and len(table.rows) >= len(files.pictures) / 2 and len(table.columns) > 1:
                unread.append(f"{_names_none(name, table, names)} It is not used.")
            of_boxes = set() if key is None else _of_boxes(table, key)
            if key is not None:
                all_columns, table = table.columns, _of_pictures(table, key, of_boxes)
                if not of_boxes and len(all_columns) > len(table.columns) == 1:
                    unread.append(f"{name} is not used: rows with the same name in column {key!r} agree in nothing.")
                if last_part(key) in names and not key.isalpha():
                    raise ValueError(
                        f"{name} has no header: its first line names the picture {key!r}. Write a line with the names "
                        "of the columns above it, such as image,label."
                    )
                if len(table.columns) > 1:
                    found[name] = key, table
        if not found:
            return Part("", {}, {}, notes=tuple(unread)) if unread else None
        # where tables disagree the largest counts: an example of answers has few rows
        found = dict(sorted(found.items(), key=lambda item: -len(item[1][1].rows)))
        key = next(iter(found.values()))[0]
        used = [name for name, (own, _) in found.items() if own == key]
        try:
            columns = [column for name in used for column in found[name][1].columns]
            rows = list(read_tables([files.root / name for name in used], key, columns).values())
        except ValueError:  # they disagree
            used = used[:1]
            rows = found[used[0]][1].rows
        columns = list(dict.fromkeys(column for name in used for column in found[name][1].columns))
        cells = {column: [row.get(column, "").strip() for row in rows] for column in columns}
        part = _part(used, key, cells)
        if part and (needed := [name for name in used if _columns_of(part) & {*found[name][1].columns}]) != used:
            used, part = needed, _part(needed, key, cells)
        others = [f"{name} names pictures as well; it is not used." for name in found if name not in used]
        others += [f"{name} is taken for a form of answers, not for labels; it is not used." for name in answers]
        return part and replace(part, notes=(*others, *unread))

    def hint(self, files: Listing) -> str:
        names = pictures_by_name(files)
        for name in files.of_type(".csv", ".tsv"):
            if _ANSWERS in PurePosixPath(name).name.lower():
                continue
            try:
                table = read_csv(files.root / name, [])
            except ValueError as error:
                return str(error)
            if any(column.startswith("region_shape") for column in table.columns):
                return f"{name} is a file of VIA: export the annotations as COCO JSON."
            if table.rows and picture_column(table, names) is None:
                return f"{_names_none(name, table, names)} Write the names as the files have them."
            if run_lengths := next((column for column in table.columns if _RUN_LENGTHS.search(column)), None):
                return (
                    f"Column {run_lengths!r} of {name} holds masks as numbers: save each as a PNG named as its picture."
                )
            if table.rows:
                return f"{name} names the pictures, but none of its columns {', '.join(table.columns)} holds labels."
        for name in files.of_type(".txt"):
            line = next(iter(read_text(files.root / name).splitlines()), "")
            if len(words := line.split()) > 1 and last_part(words[0]) in names:
                return (
                    f"{name} lists pictures: {printable(line, _LONGEST)!r}. Such lists are not read: export the "
                    "annotations as COCO JSON, or write a CSV with a line of names, such as image,label."
                )
        return ""


def _names_none(name: str, table: Rows, known: Collection[str]) -> str:
    row = printable(", ".join(table.rows[0].values()), _LONGEST)
    return (
        f"No column of {name} names the pictures: its first row is {row!r}, a picture is called {next(iter(known))!r}."
    )


def _columns_of(part: Part) -> set[str]:
    """The columns that a part reads."""
    specs = part.init_args.get("image_tasks", {})
    names = {name for task, spec in specs.items() for name in spec.get("columns", [spec.get("column", task)])}
    return {*names, *(column for column in (part.split_column, part.group_column) if column)}


def _of_boxes(table: Rows, key: str) -> set[str]:
    """The columns of a table that are of boxes, such as `xmin`; they are no labels of pictures."""
    columns = find_columns(table.columns, key)
    return set() if columns is None else columns.all() - {key}


def _of_pictures(table: Rows, key: str, of_boxes: set[str]) -> Rows:
    """The first row of each picture, and the columns that are not of boxes and agree in all its rows."""
    first: dict[str, Row] = {}
    agree = dict.fromkeys(column for column in table.columns if column not in of_boxes)
    for row in table.rows:
        known = first.setdefault(row[key].strip(), row)
        for column in [column for column in agree if column != key and row[column].strip() != known[column].strip()]:
            del agree[column]
    return replace(table, columns=tuple(agree), rows=list(first.values()))


def _part(names: list[str], key: str, table: dict[str, list[str]]) -> Part | None:
    columns = {column: cells for column, cells in table.items() if column not in (key, *_ROW_NUMBERS)}
    split = next((column for column, cells in columns.items() if _is_split(column, cells)), None)
    group = next((column for column in columns if _is_group(column)), None)
    flags = _flags({column: cells for column, cells in columns.items() if column not in (split, group)})
    tasks: dict[str, dict[str, Any]] = {"classes": {"kind": "multilabel", "columns": flags}} if flags else {}
    for column, cells in columns.items():
        if column not in (split, group, *flags) and (spec := _spec(cells, is_class_column(column))) is not None:
            tasks[_task_name(column, tasks)] = {**spec, "column": column}
    if not tasks and split is None:
        return None
    for task, spec in tasks.items():
        if spec.get("column") == task and spec["kind"] in ("classification", "multilabel", "regression"):
            del spec["column"]
    # a column of names says more than one of numbers, which often only counts something
    ranked = sorted(tasks, key=lambda task: _RANK[tasks[task]["kind"]] + 3 * _is_of_numbers(columns, tasks[task], task))
    arguments: dict[str, Any] = {"labels_csv": names[0] if len(names) == 1 else names}
    if key != "image":
        arguments["labels_key"] = key
    if ranked:
        arguments["image_tasks"] = {task: tasks[task] for task in ranked}
    kinds = {task: tasks[task]["kind"] for task in ranked}
    held = " and ".join(dict.fromkeys(PurePosixPath(name).name for name in names))
    text = f"{'labels' if ranked else 'splits'} of {held}"
    return Part(text, arguments, kinds, open_tasks=tuple(ranked[1:]), split_column=split, group_column=group)


def _is_of_numbers(columns: dict[str, list[str]], spec: dict[str, Any], task: str) -> bool:
    if "columns" in spec:
        return False
    return all(is_number(cell) for cell in columns[spec.get("column", task)] if cell not in MISSING)


_RANK = {"classification": 0, "multilabel": 1, "regression": 2}


def _is_group(column: str) -> bool:
    return "".join(filter(str.isalpha, column.lower())).removesuffix("id") in _GROUPS


def _flags(columns: dict[str, list[str]]) -> list[str]:
    """The columns of 0 and 1, or of -1 and 1, as tables have for each class; none where they are few."""
    numbers = {column: {cell for cell in cells if cell not in MISSING} for column, cells in columns.items()}
    found = [column for column, cells in numbers.items() if cells in _FLAGS]
    if found and all(any(cells <= flags for flags in _FLAGS) for cells in numbers.values()):
        found = list(columns)  # in a table of nothing else a class may have no picture, or all of them
    return found if len(found) >= _FEWEST_FLAGS else []


def _is_split(column: str, cells: list[str]) -> bool:
    return len(set(cells)) > 1 and all(not cell or split_of_cell(column, cell) for cell in cells)


def _spec(cells: list[str], of_classes: bool) -> dict[str, Any] | None:
    """What a column may mean; None for names, constants, JSON and free text.

    Whole numbers are classes where the column is called so (`of_classes`), as in `label`: 0, 1, 2, ...
    """
    missing = sorted({cell for cell in cells if cell in MISSING})
    known = Counter(cell for cell in cells if cell not in MISSING)
    more: dict[str, Any] = {"missing": missing} if set(missing) - {"", "NONE"} else {}
    if len(known) < 2 or all(cell.startswith(("{", "[")) for cell in known):
        return None
    repeated = len(known) <= min(_MOST_CLASSES, len(cells) // 2)
    if all(is_number(cell) for cell in known):
        if any(set(known) <= flags for flags in _FLAGS) or (
            of_classes and repeated and all(cell.isdecimal() for cell in known)
        ):
            return {"kind": "classification", **more}
        return {"kind": "regression", **more}
    for mark in _SEPARATORS:
        if any(mark in cell for cell in known):
            parts = {part.strip() for cell in known for part in cell.split(mark)}
            if len(parts) <= _MOST_CLASSES and len(parts) < len(cells):
                other = {} if mark == "|" else {"separator": mark}
                return {"kind": "multilabel", **other, **more}
            return None
    for mark in _WEAK_SEPARATORS:
        parts = {part.strip() for cell in known for part in cell.split(mark)}
        # blanks and commas are in names of classes, too: parts must be few, and in several combinations
        if len(parts) <= _MOST_CLASSES and len(parts) < len(known) and (mark == "," or not repeated):
            return {"kind": "multilabel", "separator": mark, **more}
    return {"kind": "classification", **more} if repeated else None


def _task_name(column: str, taken: Any) -> str:
    name = "".join(letter if letter.isalnum() or letter == "_" else "_" for letter in column).strip("_") or "label"
    name = f"label_{name}" if name[0].isdigit() or name in ("class", "boxes", "image") else name
    while name in taken:
        name += "_"
    return name
