"""Run an exported model of several inputs without PyTorch: python infer.py model.onnx samples.csv

Needs onnxruntime, numpy and the programs beside it; for pictures also Pillow. A row of the CSV is a sample. The column
of an input has its name, and holds a sentence or the name of a file, relative to the CSV: a picture, a recording, a
series, or a `.npy` with the values that the network takes. A table has the columns of training. Prints a line of JSON
for each row, or why it cannot be read.
"""

import csv
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import onnxruntime

KINDS = ()  # of inputs that are prepared here: the programs beside this one prepare them
BY_NAMES = False  # whether these inputs must have names


def programs(kinds: set[str]) -> list[Any]:
    """The programs beside this one that prepare these kinds of inputs."""
    here = Path(__file__)
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(here.parent.glob("*.py")) if path != here}
    stems = [stem for stem, text in texts.items() if "\nKINDS = " in text]
    found = [importlib.import_module(f".{stem}" if __package__ else stem, __package__) for stem in stems]
    return [program for program in found if kinds & set(program.KINDS)]


def predict(
    session: Any, about: dict[str, Any], every: list[Any], cells: dict[str, str], folder: Path
) -> dict[str, Any]:
    """The answers of all tasks."""
    fed: dict[str, Any] = {}
    given: dict[Any, Any] = {}
    taken, names, found = session.get_inputs(), [one.name for one in session.get_outputs()], {}
    for one in taken:
        if one.name in about["inputs"]:
            program = next(p for p in every if about["inputs"][one.name]["kind"] in p.KINDS)
            made, given[program] = program.feed(one, about, cells, folder)
            fed |= made
    values = session.run(names, {one.name: fed[one.name] for one in taken})
    for task, what in about["tasks"].items():
        mine = [max((t for t in about["tasks"] if n.startswith(f"{t}_")), key=len) == task for n in names]
        own = {n[len(task) + 1 :]: v[0] for n, v, here in zip(names, values, mine, strict=True) if here}
        program = next((p for p in every if what["kind"] in p.ANSWERS), every[0])
        found[task] = program.answer(what, own, given[program])
    return found


if __name__ == "__main__":
    run = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    known = json.loads(run.get_modelmeta().custom_metadata_map["mtl"])
    used, table = programs({what["kind"] for what in known["inputs"].values()}), Path(sys.argv[2])
    with table.open(newline="", encoding="utf-8-sig") as file:
        for number, row in enumerate(csv.DictReader(file), 1):
            empty = [name for name in known["inputs"] if row.get(name, "-").strip() == ""]
            if empty:
                sys.exit(f"{table}, sample {number}: {', '.join(empty)} is empty; the model's file takes every input.")
            try:
                line = predict(run, known, used, row, table.parent)
            except KeyError as error:
                sys.exit(f"{table} has no column {error}; the inputs are {', '.join(known['inputs'])}.")
            except ValueError as error:
                line = {"skipped": str(error)}
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
