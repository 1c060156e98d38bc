"""Class names that a config leaves out, read from the annotations of a data set."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mtl.data.csv_rows import Rows, read_csv
from mtl.data.folder.files.coco_json import coco_lists
from mtl.data.folder.files.voc_xml import parse_xml
from mtl.data.folder.image_labels import ImageLabels
from mtl.data.table.columns import MISSING
from mtl.targets.target import Target, kinds


def voc_names(folder: Path) -> list[str]:
    """All names of objects in the VOC XML files below a folder, in alphabetical order.

    Args:
        folder: the folder.

    Raises:
        ValueError: if no file has an object, or one is no XML.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".xml")
    names = {(item.findtext("name") or "").strip() for file in files for item in parse_xml(file).iter("object")}
    names.discard("")
    if not names:
        raise ValueError(
            f"{len(files)} XML files below {str(folder)!r} name no object, so there are no class names. Correct "
            "`annotations`, or set `box_classes`."
        )
    return sorted(names)


def coco_names(files: Sequence[Path]) -> list[str]:
    """The categories of COCO JSON files, in the order of their ids.

    A category that no box has and that is only the supercategory of others is left out: Roboflow writes one.

    Args:
        files: the JSON files; they share one list of categories.

    Raises:
        ValueError: if a file is missing or no COCO JSON, or there is no category.
    """
    names: dict[str, Any] = {}
    used: set[str] = set()
    parents: set[str] = set()
    for file in files:
        if not file.is_file():
            raise ValueError(f"no COCO file {str(file)!r}. Correct `root`, or name the file in `annotations`.")
        _, annotations, categories = coco_lists(file)
        own = {str(entry.get("id")): str(entry.get("name")).strip() for entry in categories if isinstance(entry, dict)}
        for entry in sorted((entry for entry in categories if isinstance(entry, dict)), key=_by_id):
            names.setdefault(str(entry.get("name")).strip())
            if (parent := str(entry.get("supercategory")).strip()) != str(entry.get("name")).strip():
                parents.add(parent)
        used |= {own.get(str(one.get("category_id")), "") for one in annotations if isinstance(one, dict)}
    found = [name for name in names if name in used or name not in parents]
    if not found:
        raise ValueError(f"{str(files[0])!r} lists no category, so there are no class names. Set `box_classes`.")
    return found


def with_classes(tasks: Mapping[str, Any] | None, tables: Sequence[Path]) -> Mapping[str, Any] | None:
    """Image-level tasks with the class names that their column holds, where these are left out.

    Args:
        tasks: `ImageLabels` or their settings, by name.
        tables: the tables.

    Returns:
        The tasks themselves if nothing is left out, or a table is missing; else a copy.

    Raises:
        ValueError: for a table without the column.
    """
    specs = {name: ImageLabels.of(spec) for name, spec in (tasks or {}).items()}
    open_tasks = [name for name, spec in specs.items() if lacks_names(spec)]
    if tasks is None or not open_tasks or not tables or not all(file.is_file() for file in tables):
        return tasks
    known = dict(tasks)
    for name in open_tasks:
        classes = cell_names(tables, name, specs[name])
        given = tasks[name]
        if isinstance(given, ImageLabels):
            known[name] = replace(given, classes=classes)
        elif isinstance(given, Mapping) and "init_args" in given:
            known[name] = {**given, "init_args": {**given["init_args"], "classes": classes}}
        else:
            known[name] = {**(given if isinstance(given, Mapping) else vars(given)), "classes": classes}
    return known


def lacks_names(spec: ImageLabels) -> bool:
    """Whether a task has no classes and one column could tell them all.

    Args:
        spec: what the column means.
    """
    kind = kinds().get(spec.kind, Target)
    tells = kind.names_in.__func__ is not Target.names_in.__func__  # type: ignore[attr-defined]
    return tells and not kind.open_names and not (spec.classes or spec.columns or spec.cells or spec.edges)


def cell_names(tables: Sequence[Path], task: str, spec: ImageLabels) -> list[str]:
    """The labels that a column holds, in alphabetical order; numbers by their value.

    Args:
        tables: the tables; of several, one need not have the column.
        task: name of the task.
        spec: what its column means.

    Raises:
        ValueError: if the column is missing or holds no label.
    """
    (column,) = spec.read_columns(task)
    read = [read_csv(file, [column] if len(tables) == 1 else [], "Set `column` of the task.") for file in tables]
    holding = [one for one in read if column in one.columns]
    if not holding:
        columns = ", ".join(name for one in read for name in one.columns)
        raise ValueError(
            f"no file of labels_csv has a column {column!r}; they have {columns}. Set `column` of the task."
        )
    cells = {cell for one in holding for cell in labelled_cells(one, column, spec)}
    if unclear := sorted(cells & set(MISSING)):
        raise ValueError(
            f"column {column!r} of {holding[0].source!r} has {unclear[0]!r}, which may be a class of task {task!r} or "
            f"mean that nothing is known. List it in `missing` of the task, or write the task's `classes`."
        )
    names = [name for name in kinds()[spec.kind].names_in(cells, spec.separator) if name not in spec.missing]
    if not names:
        raise ValueError(
            f"column {column!r} of {holding[0].source!r} holds no label for task {task!r}. Correct `column`."
        )
    return names


def labelled_cells(rows: Rows, column: str, spec: ImageLabels) -> list[str]:
    """The cells of a column that are labels.

    Args:
        rows: the table.
        column: the column.
        spec: what it means. Of `only_where`, columns of other tables do not count.
    """
    wanted = {key: known for key, known in spec.only_where.items() if key in rows.columns}
    cells = [
        row[column].strip() for row in rows.rows if all(row[key].strip() in known for key, known in wanted.items())
    ]
    return [cell for cell in cells if cell not in spec.missing]


def _by_id(entry: Mapping[str, Any]) -> tuple[bool, float, str]:
    text = str(entry.get("id"))
    try:
        return False, float(text), text
    except ValueError:
        return True, 0.0, text
