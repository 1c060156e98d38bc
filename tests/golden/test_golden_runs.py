"""Loss and gradient norms of 60 steps of six runs, as they were when last recorded: moves of code change no number.

Record them again after a change that means to change numerics, and say in the commit why:
    MTL_RECORD_GOLDEN=1 OMP_NUM_THREADS=1 python -m pytest tests/golden/test_golden_runs.py
On the machine and torch that recorded them they must be equal bit by bit; on other machines with AVX2 or AVX512 the
first step to 0.1 % and two more to 2 %. The first steps of Adam divide small gradients by their size: another processor
moved the fifth norm by 0.2 %, and one without vector instructions the fourth by 7 %.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.callbacks.checkpoints.best_checkpoint import BestCheckpoint
from mtl.cli.main import main
from mtl.runs.metrics_csv import read_series
from mtl.runs.record import _cpu_name

ROOT = Path(__file__).resolve().parents[2]
RUNS = Path(__file__).parent / "runs"
RECORD = os.environ.get("MTL_RECORD_GOLDEN") == "1"
STEPS = 60
TOLERANCES = (1e-3, 0.02, 0.02)  # of the first steps on another machine
SMALL = [
    *("--data.num_train", "1600", "--data.num_val", "32", "--data.num_test", "32", "--data.num_workers", "0"),
    *("--trainer.max_steps", str(STEPS), "--trainer.log_every_n_steps", "1", "--trainer.accelerator", "cpu"),
    *("--test_after_fit", "false", "--tracking.wandb", "off", "--trainer.enable_progress_bar", "false"),
]
CASES = {
    "digits": ["--config", "configs/digits.yaml"],
    "balanced_features": ["--config", "configs/digits_balanced.yaml"],
    "balanced_parameters": ["--config", "configs/digits_balanced.yaml", "--trainer.callbacks.at", "parameters"],
    "four_tasks_scheduled": ["--config", "configs/digits_scheduled.yaml"],
    "two_ranks": ["--config", "configs/digits_balanced.yaml", "--config", "configs/presets/ddp_cpu.yaml"],
}


def fingerprint() -> dict[str, Any]:
    """What may change the last bits."""
    return {
        "torch": torch.__version__,
        "cpu": _cpu_name(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "platform": platform.machine(),
    }


def curves(run: Path) -> dict[str, list[float]]:
    """Losses, and norms of the gradients, of every step."""
    series = read_series(run / "metrics.csv")
    return {key: values for key, (_, values) in series.items() if key.startswith(("train/loss", "grad_norm/"))}


def assert_as_recorded(name: str, found: dict[str, list[float]], start: int = 0) -> None:
    """Compare curves that begin at a step with the recorded ones; record them where that was asked for."""
    file = RUNS / f"{name}.json"
    if RECORD and not start:
        file.write_text(json.dumps({"fingerprint": fingerprint(), "curves": found}, indent=1) + "\n")
    golden = json.loads(file.read_text())
    assert found.keys() == golden["curves"].keys()
    for key, recorded in golden["curves"].items():
        values = recorded[start:]
        assert len(found[key]) == len(values)
        if fingerprint() == golden["fingerprint"]:
            assert found[key] == values, key
        elif not start:
            for step, (own, other, tolerance) in enumerate(zip(found[key], values, TOLERANCES, strict=False)):
                assert own == pytest.approx(other, rel=tolerance, abs=1e-4), (key, step)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow
def test_a_run_repeats_its_recorded_losses(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["fit", *CASES[name], *SMALL, "--runs_root", str(tmp_path), "--experiment", "golden", "--name", name]
    monkeypatch.chdir(ROOT)
    if name == "two_ranks":  # the first process of a launch must not be this one
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "mtl", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    else:
        assert main(words) == 0
    assert_as_recorded(name, curves(tmp_path / "golden" / name))


@pytest.mark.slow
def test_a_run_that_is_resumed_half_way_repeats_them_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save, copy = BestCheckpoint._save_last, tmp_path / "half"

    def copy_too(callback: BestCheckpoint, trainer: Any) -> None:
        save(callback, trainer)
        if trainer.global_step == STEPS // 2 and not copy.exists():
            shutil.copytree(Path(str(callback.dirpath)).parent, copy)

    monkeypatch.chdir(ROOT)
    words = ["fit", *CASES["balanced_features"], *SMALL, "--runs_root", str(tmp_path), "--experiment", "golden"]
    with monkeypatch.context() as patch:
        patch.setattr(BestCheckpoint, "_save_last", copy_too)
        assert main([*words, "--name", "whole", "--checkpoint.save_every_steps", str(STEPS // 2)]) == 0
    assert main(["fit", "--resume", str(copy)]) == 0
    # rows that were still open at the kill are not in the file
    (copy / "metrics.csv").write_text(later_half(copy / "metrics.csv"))
    assert_as_recorded("balanced_features", curves(copy), start=STEPS // 2)


def later_half(file: Path) -> str:
    """The rows of a `metrics.csv` from the middle of the run on."""
    head, *rows = file.read_text().splitlines(keepends=True)
    return "".join([head, *(row for row in rows if int(row.split(",")[0]) >= STEPS // 2)])
