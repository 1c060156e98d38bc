"""Run an exported model on the rows of a table without PyTorch: python infer.py model.onnx table.csv

Needs onnxruntime and numpy. Prints a line of JSON for each row. A cell that means that nothing is known in training
means it here, and so does a category that training does not have. For a row that cannot be read the line says why:
{"skipped": "column 'age': 'sixty' is not a number"}.
"""

import csv
import io
import json
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

KINDS = ("table",)  # of inputs that are prepared here
BY_NAMES = True  # whether these inputs must have names
ANSWERS = ()  # kinds of tasks whose answers only this program makes out
MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "?")
SEPARATORS = ";\t|"  # in place of commas, where the header has one of them and no comma


def read(path: str) -> list[dict[str, Any]]:
    """The rows of a file, by the names in its header; None where a row ends too early."""
    with open(path, encoding="utf-8-sig") as file:
        text = file.read()
    header = next((line for line in text.splitlines() if line.strip()), "")
    marks = [mark for mark in SEPARATORS if mark in header]
    separator = marks[0] if len(marks) == 1 and "," not in header else ","
    if text[:4].lower() == "sep=" and text[5:6] == "\n":  # as Excel writes it
        separator, text = text[4], text[6:]
    table = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    columns, *rows = [cells for cells in table if any(map(str.strip, cells))] or [[]]
    return [dict(zip_longest(map(str.strip, columns), cells[: len(columns)])) for cells in rows]


def prepare(row: dict[str, Any], names: list[str], missing: list[str], missing_in: dict[str, list[str]]) -> Any:
    """The cells of a row as the network takes them, [1,C]; the names of a column's numbers end in `COLUMN missing`."""
    values: list[float] = []
    own: list[str] = []
    for name in names:
        column = name.removesuffix(" missing")
        if name == column or not (own == [column] or (own and all(n.startswith(f"{column}=") for n in own))):
            own.append(name)
            continue
        if column not in row:
            sys.exit(f"the table has no column {column!r}; it has {', '.join(row)}.")
        if row[column] is None:
            raise ValueError("the row has fewer cells than the header")
        cell, unknown = row[column].strip(), [*missing, *missing_in.get(column, [])]
        if own == [column]:
            value = np.nan if cell in unknown else number(cell, column)
            if value in [float(mark) for mark in unknown if _is_number(mark)]:  # -9 is also written -9.0
                value = np.nan
            values += [value, float(np.isnan(value))]
        else:
            found = [float(other == f"{column}={cell}") for other in own]
            values += [*found, float(not any(found))]
        own = []
    return np.array([values], np.float32)


def number(cell: str, column: str) -> float:
    """The number of a cell."""
    try:
        value = float("" if "_" in cell else cell)  # Python reads 1_2 as 12
    except ValueError as error:
        raise ValueError(f"column {column!r}: {cell!r} is not a number") from error
    if abs(value) == float("inf"):
        raise ValueError(f"column {column!r}: {cell!r} is not finite")
    if abs(value) > float(np.finfo(np.float32).max):
        raise ValueError(f"column {column!r}: {cell!r} is too large for 32 bits")
    return value


def feed(one: Any, about: dict[str, Any], cells: dict[str, Any], _: Path) -> tuple[dict[str, Any], Any]:
    """What the network takes of a row; nothing more is needed for the answers."""
    unknown = about.get("missing", list(MISSING)), about.get("missing_in", {})
    return {one.name: prepare(cells, about["inputs"][one.name]["names"], *unknown)}, None


def answer(what: dict[str, Any], own: dict[str, Any], _: Any = None) -> Any:
    """The answer of one task as people read it."""
    if what["classes"] and "labels" in own and own["labels"].ndim == 0:
        return {"class": what["classes"][int(own["labels"])], "score": round(float(own["scores"]), 4)}
    return {name: value.tolist() for name, value in own.items()}


def predict(session: Any, about: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """The answers of all tasks, or why the row is skipped."""
    (one,), names, found = session.get_inputs(), [one.name for one in session.get_outputs()], {}
    try:
        fed, _ = feed(one, about, row, Path())
    except ValueError as error:
        return {"skipped": str(error)}
    values = session.run(names, fed)
    for task, what in about["tasks"].items():
        mine = [max((t for t in about["tasks"] if n.startswith(f"{t}_")), key=len) == task for n in names]
        own = {n[len(task) + 1 :]: v[0] for n, v, here in zip(names, values, mine, strict=True) if here}
        found[task] = answer(what, own)
    return found


def _is_number(mark: str) -> bool:
    try:
        return bool(np.isfinite(float(mark)))
    except ValueError:
        return False


if __name__ == "__main__":
    run = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    known_of_file = json.loads(run.get_modelmeta().custom_metadata_map["mtl"])
    skipped = 0
    for given in read(sys.argv[2]):
        line = predict(run, known_of_file, given)
        skipped += "skipped" in line
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    if skipped:
        sys.stderr.write(f"{skipped} rows skipped\n")
