"""Run an exported model on the rows of a table without PyTorch: python infer.py model.onnx table.csv

Needs onnxruntime and numpy. Prints a line of JSON for each row; an empty cell, or one of MISSING, is not known. For a
row that cannot be read the line says why: {"skipped": "column 'age': 'sixty' is not a number"}.
"""

import csv
import json
import sys
from typing import Any

import numpy as np
import onnxruntime

KINDS = ("table",)  # of inputs that are prepared here
MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "?")


def prepare(row: dict[str, Any], names: list[str]) -> Any:
    """The cells of a row as the network takes them, [1,C]; the names of a column's numbers end in `COLUMN missing`."""
    values: list[float] = []
    own: list[str] = []
    for name in names:
        column = name.removesuffix(" missing")
        if name == column or not (own == [column] or (own and all(n.startswith(f"{column}=") for n in own))):
            own.append(name)
            continue
        if column not in row:
            sys.exit(f"the table has no column {column!r}; it has {', '.join(map(str, row))}.")
        cell = row[column]
        if cell is None:
            raise ValueError("the row has fewer cells than the header")
        cell = cell.strip()
        if own == [column]:
            value = number(cell, column)
            values += [value, float(np.isnan(value))]
        else:
            found = [float(other == f"{column}={cell}") for other in own]
            values += [*found, float(not any(found))]
        own = []
    return np.array([values], np.float32)


def number(cell: str, column: str) -> float:
    """The number of a cell, NaN where it is not known."""
    if cell in MISSING:
        return float("nan")
    try:
        value = float("" if "_" in cell else cell)  # Python reads 1_2 as 12
    except ValueError as error:
        raise ValueError(f"column {column!r}: {cell!r} is not a number") from error
    if abs(value) == float("inf"):
        raise ValueError(f"column {column!r}: {cell!r} is not finite")
    if abs(value) > float(np.finfo(np.float32).max):
        raise ValueError(f"column {column!r}: {cell!r} is too large for 32 bits")
    return value


def predict(session: Any, about: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """The answers of all tasks, or why the row is skipped."""
    (name,) = about["inputs"]
    outputs = [one.name for one in session.get_outputs()]
    try:
        inputs = {name: prepare(row, about["inputs"][name]["names"])}
    except ValueError as error:
        return {"skipped": str(error)}
    values, found = session.run(outputs, inputs), {}
    for task, what in about["tasks"].items():
        own = {n[len(task) + 1 :]: v[0] for n, v in zip(outputs, values, strict=True) if n.startswith(f"{task}_")}
        if what["classes"] and "labels" in own and own["labels"].ndim == 0:
            score = round(float(own["scores"]), 4)
            found[task] = {"class": what["classes"][int(own["labels"])], "score": score}
        else:
            found[task] = {key: value.tolist() for key, value in own.items()}
    return found


if __name__ == "__main__":
    run = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    known_of_file = json.loads(run.get_modelmeta().custom_metadata_map["mtl"])
    skipped = 0
    with open(sys.argv[2], newline="", encoding="utf-8-sig") as file:
        for cells in csv.DictReader(file):
            line = predict(run, known_of_file, cells)
            skipped += "skipped" in line
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    if skipped:
        sys.stderr.write(f"{skipped} rows skipped\n")
