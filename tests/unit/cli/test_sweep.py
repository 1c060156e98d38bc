"""Sweeps by Ray Tune on a cluster of two machines, which are processes here."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mtl.cli import sweep
from mtl.cli.main import main
from mtl.evaluation.load import load_run
from tests.benchmarks import fault_injection

pytest.importorskip("ray.tune")
SWEEP = {
    "command": ["mtl", "fit", "--config=tiny.yaml", "${args}"],
    "method": "grid",
    "metric": {"name": "best/score", "goal": "maximize"},
    "parameters": {"model.loss_weights.largest": {"values": [0.1, 1.0]}, "experiment": {"value": "tried"}},
}
DIE = {"class_path": "fault_injection.Die", "init_args": {"step": 3}}


@pytest.fixture
def file(folder: Path) -> Path:
    (folder / "mine.yaml").write_text(yaml.safe_dump(SWEEP))
    (folder / "fault_injection.py").write_text(Path(fault_injection.__file__).read_text())
    return folder / "mine.yaml"


@pytest.mark.slow
def test_trials_run_on_both_machines_and_failed_ones_are_resumed(file: Path, cluster: str, capsys: Any) -> None:
    words = ["sweep", "--config", "mine.yaml", "--ray", cluster, "--trainer.max_steps=6", "--allow=fault_injection"]
    words += ["--checkpoint.save_every_steps=1", f"--trainer.callbacks+={json.dumps(DIE)}"]
    assert main(words) == 1
    said = capsys.readouterr()
    assert "2 trials failed" in said.err
    assert "Traceback" not in said.out + said.err
    runs = file.parent / "runs" / "tried"
    assert not list(runs.glob("*/results.json"))
    # the fault strikes once in a run folder, so the same command brings every trial to its end
    assert main(words) == 0
    said = capsys.readouterr()
    assert sorted(path.parent.name for path in runs.glob("*/results.json")) == ["trial0", "trial1"]
    weights = {load_run(run).loss_weights["largest"] for run in (runs / "trial0", runs / "trial1")}
    assert weights == {0.1, 1.0}
    assert "goes on from" in (runs / "trial1.log").read_text()
    rows = [line for line in said.out.splitlines() if "trial1" in line and "done" in line]
    assert rows
    assert "the best again: python -m mtl fit --config=tiny.yaml" in said.out
    # another search would mix with this one
    file.write_text(yaml.safe_dump(SWEEP | {"description": "another"}))
    assert main(words) == 2
    assert "holds another sweep" in capsys.readouterr().err


def test_a_dry_run_shows_the_plan_and_trains_nothing(file: Path, capsys: Any) -> None:
    assert main(["sweep", "--config", "mine.yaml", "--dry_run"]) == 0
    said = capsys.readouterr().out
    assert "2 trials by grid for max best/score, in " in said
    assert "model.loss_weights.largest: {'values': [0.1, 1.0]" in said
    assert not (file.parent / "runs").exists()


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_the_number_of_trials_has_to_be_said(file: Path, capsys: Any, method: str) -> None:
    file.write_text(yaml.safe_dump(SWEEP | {"method": method}))
    assert main(["sweep", "--config", "mine.yaml"]) == 2
    assert "how many trials? Give --trials 20" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["sweep", "--config", "mine.yaml", "--trials", "none"])
    assert "'none' is no number of runs" in capsys.readouterr().err


def test_without_the_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    file.write_text(yaml.safe_dump(SWEEP | {"method": "bayes"}))
    with pytest.raises(sweep.ConfigError, match=r'method bayes needs optuna: pip install "mtl\[ray\]"'):
        sweep._search(sweep.read_sweep(file))
