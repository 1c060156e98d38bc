"""What `python -m mtl runs` knows of a folder of runs."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mtl.cli.main import _with_latest, main
from mtl.config.foreign_files import UnsafeFile
from mtl.config.yaml_lines import ConfigError
from mtl.experiments.run_list import best_run, differing, latest_run, list_runs, remove_run


def make(root: Path, name: str, lr: float = 0.1, score: float | None = None, **files: str) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    config = f"name: {folder.name}\nmodel:\n  optim:\n    lr: {lr}\n    decay: 0.5\n"
    (folder / "config.yaml").write_text(config)
    (folder / "command.txt").write_text("python -m mtl fit\n")
    if score is not None:
        meta = {"steps": 60, "train_seconds": 16.8, "peak_memory_mb": 1038.8}
        judged: dict[str, Any] = {"count": {"monitor": "mae", "lower_is_better": ["mae"]}}
        results = {"test/count/mae": 1 - score, "test/score": score, "meta": {**meta, "tasks": judged}}
        (folder / "results.json").write_text(json.dumps(results))
    for file, text in files.items():
        (folder / file.replace("__", ".")).write_text(text)
    return folder


def test_state_score_and_cost_of_every_run(tmp_path: Path) -> None:
    make(tmp_path, "a/good", score=0.75)
    make(tmp_path, "compare/grid/Equal/seed0", failed__txt="killed")
    make(tmp_path, "a/cut", metrics__csv="step,val/score,epoch\n1,0.25,0\n5,0.5,1\n9,0.375,2\n")
    make(tmp_path, "a/cut/validate")  # a later test of a run is part of it
    found = {run.name: run for run in list_runs(tmp_path)}
    assert {name: run.state for name, run in found.items()} == {
        "a/good": "finished",
        "a/cut": "unfinished",
        "compare/grid/Equal/seed0": "failed",
    }
    good, cut = found["a/good"], found["a/cut"]
    assert (good.score, good.monitored, good.steps, good.train_seconds) == (0.75, ("count/mae",), 60, 16.8)
    assert good.metrics == {"count/mae": 0.25, "score": 0.75}
    assert good.tested
    assert (cut.score, cut.steps, cut.tested, cut.metrics["score"]) == (0.5, 10, False, 0.375)


def test_only_settings_that_differ_within_an_experiment_are_a_runs_own(tmp_path: Path) -> None:
    for name, lr in (("a/x", 0.1), ("a/y", 0.2), ("b/z", 0.3)):
        make(tmp_path, name, lr)
    assert {run.name: run.own for run in list_runs(tmp_path)} == {
        "a/x": {"model.optim.lr": 0.1},
        "a/y": {"model.optim.lr": 0.2},
        "b/z": {},
    }


def test_best_is_by_any_metric_and_an_unknown_one_is_named(tmp_path: Path) -> None:
    for name, score in (("a/x", 0.5), ("a/y", 0.75), ("a/untested", None)):
        make(tmp_path, name, score=score)
    runs = list_runs(tmp_path)
    assert best_run(runs).name == "a/y"
    assert best_run(runs, "count/mae").name == "a/y", "a smaller error is better"
    assert best_run(runs, "count/mae", lowest=False).name == "a/x"
    with pytest.raises(ConfigError, match="Did you mean 'count/mae'"):
        best_run(runs, "count/mea")


def test_differing_shows_both_sides() -> None:
    assert differing({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2.0, "d": 4}) == {
        "b": (2, 2.0),
        "c": (3, "-"),
        "d": ("-", 4),
    }


def test_a_run_of_another_process_is_running_and_stays(tmp_path: Path) -> None:
    run = make(tmp_path, "a/x", score=0.5)
    (run / ".lock").write_text("process 1 on x")
    code = "import fcntl, sys; file = open(sys.argv[1], 'r+'); fcntl.lockf(file, fcntl.LOCK_EX)\n"
    code += "print('taken', flush=True); sys.stdin.readline()"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, str(run / ".lock")], text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "taken\n"
        assert list_runs(tmp_path)[0].state == "running"
        with pytest.raises(ConfigError, match="in use"):
            remove_run(run)
        assert (run / ".lock").read_text() == "process 1 on x"  # looking writes nothing
        process.communicate("\n")
    assert list_runs(tmp_path)[0].state == "finished"


def test_foreign_folders_are_neither_followed_nor_deleted(tmp_path: Path) -> None:
    elsewhere, root = make(tmp_path, "elsewhere/x", score=0.9), tmp_path / "runs"
    make(root, "a/damaged", results__json="[1, 2", score=None)
    bad = make(root, "a/linked")
    (bad / "results.json").symlink_to(elsewhere / "results.json")
    (bad / ".lock").symlink_to(elsewhere / "no-lock")
    (root / "a" / "link").symlink_to(elsewhere)
    os.mkdir(root / "a" / "-rf")
    runs = list_runs(root)
    assert [(run.name, run.score) for run in runs] == [("a/damaged", None), ("a/linked", None)]
    assert not (elsewhere / "no-lock").exists()
    with pytest.raises(UnsafeFile, match="no folder of a run"):
        remove_run(root / "a" / "link")
    with pytest.raises(UnsafeFile, match="no folder of a run"):
        remove_run(root / "a")
    assert (elsewhere / "config.yaml").is_file()


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--runs_root"):
        list_runs(tmp_path / "none")


def test_commands_list_compare_and_ask(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    root = ["--runs_root", str(tmp_path)]
    first, second = make(tmp_path, "a/x", 0.1, score=0.5), make(tmp_path, "a/y", 0.2, score=0.75)
    assert main(["runs", *root]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["run", "state", "score", "count/mae", "steps", "time", "MB", "differs", "in"]
    assert lines[1].split() == ["a/y", "finished", "0.750", "0.250", "60", "17", "s", "1,039", "optim.lr=0.2"]
    assert main(["runs", "--metric", "test/count/mae", *root]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == ["a/y", "a/x"]
    assert main(["runs", "--metric", "count/mea", *root]) == 2
    assert "Did you mean 'count/mae'" in capsys.readouterr().err
    assert main(["runs", "best", *root]) == 0
    assert capsys.readouterr().out.split()[-2:] == ["score", "0.7500"]
    assert main(["runs", "diff", str(first), "a/y", *root]) == 0
    told = capsys.readouterr().out
    assert "model.optim.lr" in told
    assert "decay" not in told
    make(tmp_path, "a/cut", metrics__csv="step,val/count/mae\n1,0.25\n")
    assert main(["runs", "diff", "a/x", "a/cut", *root]) == 0
    headers = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["metrics", "a/x", "a/cut", "(val)"] in headers  # numbers of the test beside some of validation
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["runs", "rm", "a/x", *root]) == 0
    assert first.is_dir()  # no answer is no
    assert main(["runs", "rm", "a/x", "--yes", *root]) == 0
    assert not first.exists()
    assert second.is_dir()
    assert main(["runs", "rm", "a/none", *root]) == 2


def test_the_latest_run_is_the_one_that_was_started_last(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run in"):
        latest_run(tmp_path / "runs")
    folders = [make(tmp_path / "runs", name) for name in ("b/first", "a/second", "compare/grid/Equal/seed0")]
    for age, folder in enumerate(reversed(folders)):
        os.utime(folder / "command.txt", (1e9 - age, 1e9 - age))
    assert latest_run(tmp_path / "runs") == folders[-1]


def test_a_command_takes_latest_for_the_folder_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = make(Path("runs"), "a/b")
    assert _with_latest(["--run", "latest", "--name", "latest"]) == ["--run", str(folder), "--name", "latest"]
    assert _with_latest(["--resume=latest"]) == [f"--resume={folder}"]
    assert "latest run: runs/a/b" in capsys.readouterr().err
    Path("latest").mkdir()
    assert _with_latest(["--run", "latest"]) == ["--run", "latest"], "a folder of that name is meant"


def test_a_run_that_was_tested_on_a_part_is_not_the_best_of_others(tmp_path: Path, capsys: Any) -> None:
    for name, score, limit in (
        ("a/whole", 0.5, "1.0"),
        ("a/few", 0.9, "4"),
        ("a/one", 0.8, "1"),
        ("a/third", 0.7, "0.3"),
    ):
        config = make(tmp_path, name, score=score) / "config.yaml"
        config.write_text(config.read_text() + f"trainer: {{limit_test_batches: {limit}}}\n")
    found = list_runs(tmp_path)
    assert {run.name: run.in_part for run in found} == {
        "a/whole": False,
        "a/few": True,
        "a/one": True,
        "a/third": True,
    }
    assert best_run(found).name == "a/whole"
    assert best_run([run for run in found if run.in_part]).name == "a/few"
    assert main(["runs", "--runs_root", str(tmp_path)]) == 0
    shown = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in shown] == ["a/whole", "a/few", "a/one", "a/third"]
    assert "0.900 (part)" in shown[1]


def test_a_number_that_is_no_number_comes_last_in_the_table(tmp_path: Path, capsys: Any) -> None:
    for name, last in (("a/b", "0.25"), ("a/c", "nan"), ("a/d", "0.75"), ("a/e", "0.5")):
        make(tmp_path, name, metrics__csv=f"step,val/x/acc\n1,{last}\n")
    assert main(["runs", "--runs_root", str(tmp_path), "--metric", "x/acc"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == ["a/d", "a/e", "a/b", "a/c"]
