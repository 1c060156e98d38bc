"""A package in another folder adds an input, a kind of target with its head, a trunk, an architecture and a data set.

One file each, and no file of `mtl` names them. They train through the command line, and the contract tests take them.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLASSES = {
    "clouds.points.PointsInput": 8,
    "clouds.direction.Direction": 8,
    "clouds.direction_head.DirectionHead": 12,
    "clouds.deep_sets.DeepSets": 5,
    "clouds.scaled.Scaled": 5,
    "clouds.data.Clouds": 8,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, outside of the checkout."""
    made = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(ROOT / "tests" / "integration" / "outside", made, dirs_exist_ok=True)
    return made


def run(folder: Path, *words: str, code: int = 0) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    environment.pop("MTL_RUN_DIR", None)
    if words[0] == "pytest":  # the command line looks into the current folder itself
        environment["PYTHONPATH"] += f"{os.pathsep}{folder}"
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_it_trains_and_is_tested_by_the_command_line(folder: Path) -> None:
    refused = run(folder, "mtl", "fit", "--config", "clouds.yaml", code=2)
    assert "--allow clouds" in refused
    assert "runs" not in {path.name for path in folder.iterdir()}
    run(folder, "mtl", "fit", "--config", "clouds.yaml", "--allow", "clouds", "--name", "first")
    results = json.loads((folder / "runs" / "clouds" / "first" / "results.json").read_text())
    text = json.dumps(results)
    assert "heading/angle_error" in text
    tested = run(folder, "mtl", "test", "--run", "runs/clouds/first", "--allow", "clouds")
    error, accuracy = (float(re.search(rf"{name} ([\d.]+)", tested)[1]) for name in ("angle_error", " accuracy"))  # type: ignore[index]
    assert error < 8, tested  # 90 degrees by chance
    assert accuracy > 0.8, tested
    run(folder, "mtl", "predict", "--run", "runs/clouds/first", "--split", "val", "--allow", "clouds")
    written = json.loads((folder / "runs/clouds/first/predictions/val/predictions.json").read_text())["samples"]
    right = [row["length"] == row["length_true"] for row in written if "length_true" in row]
    assert sum(right) > 0.8 * len(right), written[:3]
    assert all("heading" in row for row in written)


@pytest.mark.slow
def test_the_contract_of_each_family_takes_its_class(folder: Path) -> None:
    chosen = [word for name in CLASSES for word in ("--contract", name)]
    said = run(folder, "pytest", "-q", "-rp", "-p", "no:cacheprovider", *chosen, str(ROOT / "tests" / "contract"))
    passed = [line for line in said.splitlines() if line.startswith("PASSED")]
    for name, least in CLASSES.items():
        short = name.rpartition(".")[2]
        assert len([line for line in passed if re.search(rf"[\[-]{short}[\]-]", line)]) >= least, said
