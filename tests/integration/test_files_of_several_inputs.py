"""Runs of several inputs, and of series, become a file whose program gives without PyTorch what `predict` gives."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mtl.cli.main import main
from mtl.config.merge import read_config
from mtl.data.sets.pedestrian_behaviour import PedestrianBehaviour
from mtl.evaluation.build import build_data

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1800), pytest.mark.filterwarnings("ignore")]
CONFIGS = Path(__file__).resolve().parents[2] / "configs"
WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; sys.argv = sys.argv[1:]; import runpy, os; "
WITHOUT_TORCH += "sys.path.insert(0, os.path.dirname(sys.argv[0])); runpy.run_path(sys.argv[0], run_name='__main__')"
FEW = ["--trainer.max_steps", "2", "--tracking.wandb", "off"]
SMALL = ["--data.num_train", "64", "--data.num_val", "8", "--data.num_test", "6"]


def cells_of(sample: dict[str, Any], inputs: dict[str, Any], number: int, folder: Path) -> dict[str, str]:
    """A sample as a person has it: files, a sentence and the columns of a table."""
    cells: dict[str, str] = {}
    for name, spec in inputs.items():
        value = np.asarray(sample[name])
        if spec.kind == "table":
            columns = [column for column in spec.names if not column.endswith(" missing")]
            numbers = [value[spec.names.index(column)] for column in columns]
            plain = {c: "" if np.isnan(v) else repr(float(v)) for c, v in zip(columns, numbers, strict=True)}
            groups = {column.split("=")[0] for column in columns if "=" in column}
            chosen = {
                g: next((c for c in columns if c.startswith(f"{g}=") and plain[c] == "1.0"), f"{g}=") for g in groups
            }
            cells |= {column: cell for column, cell in plain.items() if "=" not in column}
            cells |= {group: column.split("=")[1] for group, column in chosen.items()}
        elif spec.kind == "tokens":
            cells[name] = " ".join(spec.names[index] for index in value)
        else:
            cells[name] = written(value, spec, folder / f"{name}{number}")
    return cells


def written(value: Any, spec: Any, path: Path) -> str:
    if spec.kind == "image" and value.dtype == np.uint8:
        Image.fromarray(value.transpose(1, 2, 0)).save(path.with_suffix(".png"))
        return f"{path.name}.png"
    if spec.kind == "series":
        with path.with_suffix(".csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(reversed(spec.names))
            writer.writerows([["" if np.isnan(v) else repr(float(v)) for v in reversed(row)] for row in value])
        return f"{path.name}.csv"
    np.save(path.with_suffix(".npy"), value)
    return f"{path.name}.npy"


def same(found: Any, task: str, row: dict[str, Any]) -> None:
    if isinstance(found, list):
        assert len(found) == len(row[task])
        for one, other in zip(found, row[task], strict=True):
            assert one["class"] == other["class"]
            assert one["box"] == pytest.approx(other["box"], abs=0.05)
    elif "class" in found:
        assert found["class"] == row[task]
        assert found["score"] == pytest.approx(row[f"{task}_score"], abs=2e-4)
    else:
        (value,) = found.values()
        assert value == pytest.approx(float(row[task]), abs=0.0051), "two decimals are written"


@pytest.mark.parametrize(
    "name", ["blood_smears", "room_questions", "spoken_and_written_digits", "behaviour"], ids=lambda name: name
)
def test_the_program_gives_what_predict_gives(name: str, tmp_path: Path) -> None:
    flags = SMALL
    if name == "behaviour":
        flags = ["--data.root", PedestrianBehaviour.example_args(tmp_path)["root"]]
    words = ["fit", "--config", str(CONFIGS / f"{name}.yaml"), "--name", "a", "--runs_root", str(tmp_path)]
    assert main([*words, *FEW, *flags]) == 0
    run = tmp_path / name / "a"
    assert main(["export", "--run", str(run), "--checkpoint", "last"]) == 0
    last = ["--run", str(run), "--ckpt_path", str(run / "checkpoints" / "last.ckpt")]
    assert main(["predict", *last, "--split", "test", "--output", str(tmp_path / "of_run")]) == 0
    rows = json.loads((tmp_path / "of_run" / "predictions.json").read_text())["samples"]

    data = build_data(read_config([run / "config.yaml"]))
    data.setup("test")
    samples: Any = data.test_set
    every = [cells_of(samples[number], dict(data.inputs), number, tmp_path) for number in range(len(rows))]
    with (tmp_path / "samples.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(every[0]))
        writer.writeheader()
        writer.writerows(every)
    given = [cells["track"] for cells in every] if name == "behaviour" else ["samples.csv"]
    program = [sys.executable, "-c", WITHOUT_TORCH, str(run / "export/infer.py"), str(run / "export/model.onnx")]
    done = subprocess.run(
        [*program, *(str(tmp_path / one) for one in given)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(rows) > 0
    for answer, row in zip(answers, rows, strict=True):
        assert {"series"} | set(answer) == {"series"} | set(data.tasks)
        for task in data.tasks:
            same(answer[task], task, row)
