"""Run an exported model on the rows of a table without PyTorch: python infer.py model.onnx table.csv

Needs onnxruntime and numpy. Prints a line of JSON for each row; an empty cell, or one of MISSING, is not known.
"""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

KINDS = ("table",)  # of inputs that are prepared here
BY_NAMES = True  # whether these inputs must have names
ANSWERS = ()  # kinds of tasks whose answers only this program makes out
MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "?")


def prepare(row: dict[str, str], names: list[str]) -> Any:
    """The cells of a row as the network takes them, [1,C]; the names of a column's numbers end in `COLUMN missing`."""
    values: list[float] = []
    own: list[str] = []
    for name in names:
        column = name.removesuffix(" missing")
        if name == column or not (own == [column] or (own and all(n.startswith(f"{column}=") for n in own))):
            own.append(name)
            continue
        cell = row[column].strip()
        if own == [column]:
            values += [np.nan, 1] if cell in MISSING else [float(cell), 0]
        else:
            found = [float(other == f"{column}={cell}") for other in own]
            values += [*found, float(not any(found))]
        own = []
    return np.array([values], np.float32)


def feed(one: Any, about: dict[str, Any], cells: dict[str, str], _: Path) -> tuple[dict[str, Any], Any]:
    """What the network takes of a row; nothing more is needed for the answers."""
    return {one.name: prepare(cells, about["inputs"][one.name]["names"])}, None


def answer(what: dict[str, Any], own: dict[str, Any], _: Any = None) -> Any:
    """The answer of one task as people read it."""
    if what["classes"] and "labels" in own and own["labels"].ndim == 0:
        return {"class": what["classes"][int(own["labels"])], "score": round(float(own["scores"]), 4)}
    return {name: value.tolist() for name, value in own.items()}


def predict(session: Any, about: dict[str, Any], row: dict[str, str]) -> dict[str, Any]:
    """The answers of all tasks."""
    (one,), names, found = session.get_inputs(), [one.name for one in session.get_outputs()], {}
    values = session.run(names, feed(one, about, row, Path())[0])
    for task, what in about["tasks"].items():
        own = {n[len(task) + 1 :]: v[0] for n, v in zip(names, values, strict=True) if n.startswith(f"{task}_")}
        found[task] = answer(what, own)
    return found


if __name__ == "__main__":
    run = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    known_of_file = json.loads(run.get_modelmeta().custom_metadata_map["mtl"])
    with open(sys.argv[2], newline="", encoding="utf-8-sig") as file:
        for cells in csv.DictReader(file):
            sys.stdout.write(json.dumps(predict(run, known_of_file, cells), ensure_ascii=False) + "\n")
