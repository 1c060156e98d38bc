"""Run an exported model on series of numbers without PyTorch: python infer.py model.onnx series.csv ...

Needs onnxruntime and numpy. A file has a row for each step and the columns of training by name; an empty cell is not
known. Or it is a `.npy` with these numbers, [T,C]. Prints one line of JSON for each file.
"""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

KINDS = ("series",)  # of inputs that are prepared here
BY_NAMES = False  # whether these inputs must have names
ANSWERS = ()  # kinds of tasks whose answers only this program makes out


def read(path: Path, names: list[str]) -> Any:
    """The numbers of a file, [T,C]."""
    if path.suffix == ".npy":
        return np.load(path).astype(np.float32)
    with path.open(newline="", encoding="utf-8-sig") as file:
        steps = list(csv.DictReader(file))
    missing = [name for name in names if not steps or name not in steps[0]]
    if missing:
        sys.exit(f"{path}: found {len(steps)} rows without {', '.join(missing)}; expected a row for each step.")
    return np.array([[float(step[name].strip() or "nan") for name in names] for step in steps], np.float32)


def feed(one: Any, about: dict[str, Any], cells: dict[str, str], folder: Path) -> tuple[dict[str, Any], Any]:
    """What the network takes of a series; nothing more is needed for the answers."""
    what = about["inputs"][one.name]
    path = folder / cells[one.name]
    values = read(path, what.get("names", [str(index) for index in range(what["channels"])]))
    steps = one.shape[1] if isinstance(one.shape[1], int) else len(values)
    if len(values) > steps:
        sys.exit(f"{path}: found {len(values)} steps, and this file takes {steps}; export with a larger --max-length.")
    padded = np.pad(values, [(0, steps - len(values)), (0, 0)])
    return {one.name: padded[None], f"{one.name}_mask": np.arange(steps)[None] < len(values)}, None


def answer(what: dict[str, Any], own: dict[str, Any], _: Any = None) -> Any:
    """The answer of one task as people read it."""
    if what["classes"] and "labels" in own and own["labels"].ndim == 0:
        return {"class": what["classes"][int(own["labels"])], "score": round(float(own["scores"]), 4)}
    return {name: value.tolist() for name, value in own.items()}


def predict(session: Any, about: dict[str, Any], path: str) -> dict[str, Any]:
    """The answers of all tasks."""
    taken, names, found = session.get_inputs(), [one.name for one in session.get_outputs()], {}
    (name,) = about["inputs"]
    fed, _ = feed(next(one for one in taken if one.name == name), about, {name: path}, Path())
    values = session.run(names, {one.name: fed[one.name] for one in taken})
    for task, what in about["tasks"].items():
        mine = [max((t for t in about["tasks"] if n.startswith(f"{t}_")), key=len) == task for n in names]
        own = {n[len(task) + 1 :]: v[0] for n, v, here in zip(names, values, mine, strict=True) if here}
        found[task] = answer(what, own)
    return found


if __name__ == "__main__":
    run = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    known = json.loads(run.get_modelmeta().custom_metadata_map["mtl"])
    for file in sys.argv[2:]:
        sys.stdout.write(json.dumps({"series": file, **predict(run, known, file)}) + "\n")
