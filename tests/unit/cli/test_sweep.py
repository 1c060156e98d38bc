"""Sweeps on the queue of comparisons: runs are stood in for by a small script, or trained on a Ray cluster."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mtl.cli.main import main
from mtl.evaluation.load import load_run
from mtl.evaluation.tables.report import FAILED
from mtl.experiments.run_queue import RunQueue

SWEEP: dict[str, Any] = {
    "command": ["mtl", "fit", "--config=tiny.yaml", "${args}"],
    "method": "grid",
    "metric": {"name": "best/score", "goal": "maximize"},
    "parameters": {"model.loss_weights.largest": {"values": [0.1, 1.0]}, "experiment": {"value": "tried"}},
}
WORDS = ["sweep", "--config", "mine.yaml"]
# leaves what `fit` would; the score is the weight. A weight below 0.3 never ends by itself
STAND_IN = """
import pathlib, sys, time
word = dict(zip(sys.argv[-6::2], sys.argv[-5::2]))
folder = pathlib.Path(word["--runs_root"]) / word["--experiment"] / word["--name"]
weight = float(next(flag for flag in sys.argv if "largest" in flag).partition("=")[2])
if weight == 7:
    print("error: no luck"); sys.exit(3)
folder.mkdir(parents=True, exist_ok=True)
(folder / "metrics.csv").write_text(f"step,best/score\\n1,{weight}\\n")
if weight < 0.3:
    time.sleep(600)
(folder / "results.json").write_text("{}")
"""
# fails as long as that file is there
FAIL = """
from pathlib import Path
from lightning.pytorch import Callback
class Fail(Callback):
    def on_train_start(self, *_):
        if Path("broken").exists():
            raise RuntimeError("it is broken")
"""


@pytest.fixture
def file(folder: Path) -> Path:
    return write(folder / "mine.yaml")


def write(file: Path, values: list[float] | None = None, **changes: Any) -> Path:
    sweep = SWEEP | changes
    if values:
        sweep["parameters"] = SWEEP["parameters"] | {"model.loss_weights.largest": {"values": values}}
    file.write_text(yaml.safe_dump(sweep))
    return file


@pytest.fixture
def stand_in(file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    script = file.parent / "stand_in.py"
    script.write_text(STAND_IN)
    real = RunQueue.command
    monkeypatch.setattr(RunQueue, "command", lambda *given: [sys.executable, str(script), *real(*given)[4:]])
    return script


@pytest.mark.slow
@pytest.mark.nightly
def test_trials_run_on_both_machines_and_failed_ones_are_trained_again(file: Path, cluster: str, capsys: Any) -> None:
    (file.parent / "fail.py").write_text(FAIL)
    (file.parent / "broken").touch()
    words = [*WORDS, "--ray", cluster, "--jobs", "2", "--trainer.max_steps=2", "--allow=fail"]
    words += ["--trainer.callbacks+=fail.Fail"]
    assert main(words) == 1
    said = capsys.readouterr()
    assert "2 runs failed: tried trial" in said.err
    assert "Traceback" not in said.out + said.err
    runs = file.parent / "runs" / "tried"
    assert "it is broken" in (runs / "trial0" / FAILED).read_text()
    (file.parent / "broken").unlink()
    assert main(words) == 0
    said = capsys.readouterr()
    weights = [load_run(runs / name).loss_weights["largest"] for name in ("trial0", "trial1")]
    assert weights == [0.1, 1.0]
    assert [line for line in said.out.splitlines() if "trial1" in line and "done" in line]
    assert "the best again: python -m mtl fit --config=tiny.yaml" in said.out


def test_the_best_comes_first_and_more_trials_can_follow(file: Path, stand_in: Path, capsys: Any) -> None:
    write(file, [1.0, 3.0, 2.0])
    assert main([*WORDS, "--trials", "2", "--trainer.max_steps=9"]) == 0
    first = file.parent / "runs/tried/trial0/results.json"
    before = first.stat().st_mtime_ns
    capsys.readouterr()
    assert main([*WORDS, "--trainer.max_steps=9"]) == 0
    said = capsys.readouterr().out
    assert first.stat().st_mtime_ns == before
    shown = [word for line in said.splitlines() for word in line.replace("│", " ").split() if word[:5] == "trial"]
    assert shown[-3:] == ["trial1", "trial2", "trial0"]
    words = "--config=tiny.yaml --trainer.max_steps=9 --model.loss_weights.largest=3.0"
    assert f"the best again: python -m mtl fit {words}" in said


def test_a_trial_that_falls_behind_is_ended_and_stays_so(file: Path, stand_in: Path, capsys: Any) -> None:
    write(file, [1.0, 0.2], early_terminate={"type": "hyperband", "min_iter": 1})
    assert main(WORDS) == 0
    assert "trial1: stopped early" in capsys.readouterr().out
    assert not (file.parent / "runs/tried/trial1" / FAILED).exists()
    assert main(WORDS) == 0
    assert "trial1" in capsys.readouterr().out


def test_a_failed_trial_is_named_and_does_not_hold_up_the_others(file: Path, stand_in: Path, capsys: Any) -> None:
    write(file, [7.0, 1.0])
    assert main(WORDS) == 1
    said = capsys.readouterr()
    assert "1 runs failed: tried trial0. Their logs are beside them" in said.err
    assert "no luck" in (file.parent / "runs/tried/trial0" / FAILED).read_text()
    assert "--model.loss_weights.largest=1.0" in said.out
    stand_in.write_text(STAND_IN.replace("== 7", "== 8"))
    assert main(WORDS) == 0


def test_random_values_reach_the_run_and_another_search_is_not_mixed_in(
    file: Path, stand_in: Path, capsys: Any
) -> None:
    pytest.importorskip("optuna")
    between = {"model.loss_weights.largest": {"distribution": "log_uniform_values", "min": 0.5, "max": 2}}
    write(file, method="random", parameters=SWEEP["parameters"] | between)
    assert main([*WORDS, "--trials", "2", "--jobs", "2"]) == 0
    runs = file.parent / "runs/tried"
    drawn = [yaml.safe_load((runs / f"trial{n}.yaml").read_text())["model.loss_weights.largest"] for n in (0, 1)]
    assert 0.5 <= min(drawn) < max(drawn) <= 2
    assert (runs / "trial0/metrics.csv").read_text().endswith(f"1,{drawn[0]}\n")
    capsys.readouterr()
    for change in (write(file, description="another"), [*WORDS, "--trials", "2", "--trainer.max_steps=5"]):
        assert main(change if isinstance(change, list) else [*WORDS, "--trials", "2"]) == 2
        assert "holds another sweep" in capsys.readouterr().err


def test_two_queues_never_share_a_folder(file: Path, stand_in: Path, capsys: Any) -> None:
    runs = file.parent / "runs/tried"
    runs.mkdir(parents=True)
    hold = (
        "import fcntl, sys, time; lock = open(sys.argv[1], 'w'); fcntl.lockf(lock, fcntl.LOCK_EX)\n"
        "lock.write('process 1 on a'); lock.flush(); print('here', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", hold, str(runs / ".lock")], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"here\n"
        assert main(WORDS) == 2
        other.kill()
    assert "runs/tried' is in use by process 1 on a" in capsys.readouterr().err
    assert not list(runs.glob("trial*"))


def test_a_dry_run_shows_the_plan_and_trains_nothing(file: Path, capsys: Any) -> None:
    assert main([*WORDS, "--dry_run"]) == 0
    said = capsys.readouterr().out
    assert "2 trials by grid for the best best/score, in " in said
    assert "model.loss_weights.largest: {'distribution': 'categorical', 'values': [0.1, 1.0]}" in said
    assert not (file.parent / "runs").exists()


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_the_number_of_trials_has_to_be_said(file: Path, capsys: Any, method: str) -> None:
    write(file, method=method)
    assert main(WORDS) == 2
    assert "how many trials? Give --trials 20" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([*WORDS, "--trials", "none"])
    assert "'none' is no number of runs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model.loss_weights.largest=3"], "--model.loss_weights.largest 3: a sweep sets this itself"),
        (["--name", "mine"], "--name mine: a sweep sets this itself"),
        (["--resume", "runs/a/b"], "every run of a sweep starts anew"),
    ],
)
def test_flags_that_a_sweep_sets_itself_are_refused(file: Path, capsys: Any, flags: list[str], message: str) -> None:
    assert main([*WORDS, *flags]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (file.parent / "runs").exists()
