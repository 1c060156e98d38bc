"""Interrupted runs that go on in their folder, against the same run without an interruption."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import mtl
from mtl.callbacks.checkpoints.best_checkpoint import BestCheckpoint
from mtl.cli.main import main
from mtl.config.yaml_lines import ConfigError
from mtl.runs.metrics_csv import read_rows
from mtl.runs.resume import RunLock, resume_point
from tests.benchmarks import fault_injection
from tests.unit.conftest import TINY

# dropout, augmentation, EMA, a method with state of steps and epochs, a schedule, several epochs of five steps
SMALL = (
    TINY.replace("num_train: 32, num_val: 16, num_test: 16, batch_size: 16", "num_train: 40, num_val: 8, num_test: 8")
    .replace("image_size: 32,", "image_size: 32, batch_size: 8, augment: {class_path: Augment},")
    .replace("  loss_weights: {largest: 0.3}\n", "")
    .replace("dropout: 0.1", "dropout: 0.4")
    .replace("max_steps: 2,", "max_steps: 12, log_every_n_steps: 2, enable_progress_bar: false,")
    .replace("num_sanity_val_steps: 0}", "num_sanity_val_steps: 0, enable_model_summary: false, callbacks: [")
    .replace(
        "callbacks: [",
        "callbacks: [{class_path: EMA, init_args: {decay: 0.9}}, "
        "{class_path: LossBalancing, init_args: {method: {class_path: METHOD}}}]}",
    )
    + "test_after_fit: false\n"
)


def content(run: Path) -> dict[str, Any]:
    """The last checkpoint without what has no meaning in it: seconds, and the folder."""
    state: dict[str, Any] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    for name in state["callbacks"]:
        for key in (
            "train_s",
            "dirpath",
            "best_k_models",
            "current_score",
        ):  # the last one Lightning saves and does not load
            state["callbacks"][name].pop(key, None)
    return state


def differences(first: Any, second: Any, path: str = "") -> Iterator[str]:
    """Where two states differ, bit by bit; the folder of the run does not count."""
    if isinstance(first, dict) and isinstance(second, dict):
        if first.keys() != second.keys():
            yield f"{path}: {first.keys() ^ second.keys()}"
        for key in first.keys() & second.keys():
            yield from differences(first[key], second[key], f"{path}/{key}")
    elif isinstance(first, list | tuple) and isinstance(second, list | tuple) and len(first) == len(second):
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            yield from differences(one, other, f"{path}/{index}")
    elif isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        if not torch.equal(first, second):
            yield f"{path}: {first} {second}"
    elif first != second and not (isinstance(first, str) and Path(first).name == Path(second).name):
        yield f"{path}: {first} {second}"


# five batches make an epoch; two are a step with accumulation, but for the fifth
@pytest.mark.parametrize(
    ("method", "more", "steps"), [("DWA", ["--trainer.accumulate_grad_batches", "2"], (2, 3)), ("GradDrop", [], (4, 6))]
)
def test_from_within_an_epoch_and_from_its_end_the_last_state_is_the_same_to_the_bit(
    folder: Path, monkeypatch: pytest.MonkeyPatch, method: str, more: list[str], steps: tuple[int, ...]
) -> None:
    (folder / "small.yaml").write_text(SMALL.replace("METHOD", method).replace("max_steps: 12", "max_steps: 7"))
    kept = []
    save = BestCheckpoint._save_last

    def copy_too(callback: BestCheckpoint, trainer: Any) -> None:
        before = callback._last_step
        save(callback, trainer)
        if callback._last_step != before and trainer.global_step in steps:
            kept.append(folder / f"after-{trainer.global_step}")
            shutil.copytree(Path(str(callback.dirpath)).parent, kept[-1])

    command = ["fit", "--config", "small.yaml", "--name", "whole", "--checkpoint.save_every_steps", "1", *more]
    with monkeypatch.context() as patch:
        patch.setattr(BestCheckpoint, "_save_last", copy_too)
        assert main(command) == 0
    whole = content(folder / "runs" / "small" / "whole")
    assert [run.name for run in kept] == [f"after-{step}" for step in steps]
    for run in kept:
        assert main(["fit", "--resume", str(run)]) == 0
        assert not list(differences(whole, content(run))), run.name


def test_the_same_command_goes_on_in_the_same_folder(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    command = ["fit", "--config", "tiny.yaml", "--name", "first", "--test_after_fit", "false"]
    assert main(command) == 0
    run = folder / "runs" / "tiny" / "first"
    (run / "checkpoints" / "last.ckpt").write_bytes(b"cut off")
    assert main([*command, "--trainer.max_steps", "4", "--resume", "runs/tiny/first"]) == 0
    said = caplog.text
    assert "last.ckpt' is damaged" in said
    assert "best.ckpt', of step 2. It is taken." in said
    assert content(run)["global_step"] == 4
    assert [path.name for path in run.parent.iterdir()] == ["first"]
    assert (run / "command.txt").read_text().count("python -m mtl fit") == 2
    assert "max_steps: 2" in (run / "config.before-1.yaml").read_text()
    assert "max_steps: 4" in (run / "config.yaml").read_text()


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(folder: Path) -> None:
    command = ["fit", "--config", "tiny.yaml", "--name", "first", "--test_after_fit", "false"]
    assert main(command) == 0
    run = folder / "runs" / "tiny" / "first"
    whole = content(run)
    shutil.rmtree(run / "checkpoints")
    assert main(["fit", "--resume", str(run)]) == 0
    assert not list(differences(whole, content(run)))


def test_a_signal_in_a_validation_ends_it_and_the_run_goes_on_from_before(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "small.yaml").write_text(SMALL.replace("METHOD", "DWA"))
    (folder / "fault_injection.py").write_text(Path(fault_injection.__file__).read_text())
    command = ["fit", "--config", "small.yaml", "--allow", "fault_injection", "--data.eval_batch_size", "2"]
    fault = {"class_path": "fault_injection.StopValidation", "init_args": {"step": 10}}
    command += ["--checkpoint.save_every_steps", "3"]
    assert main([*command, "--name", "whole"]) == 0
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--name", "hurt", f"--trainer.callbacks+={json.dumps(fault)}"])
    assert stopped.value.code == 143
    assert "after step 10; its validation is not done, so it continues from step 9" in caplog.text
    hurt = folder / "runs" / "small" / "hurt"
    assert [int(row["step"]) for row in read_rows(hurt / "metrics.csv") if row["val/score"]] == [4]
    assert main(["fit", "--resume", str(hurt), "--allow", "fault_injection"]) == 0
    assert not list(differences(content(folder / "runs" / "small" / "whole"), content(hurt)))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit", "--resume", "runs/none"], "'runs/none' is no run folder"),
        (["test", "--resume", "runs/none"], "Other commands take --run RUN"),
        (["fit", "--resume", "a", "--run", "b"], "without --run and --ckpt_path"),
    ],
)
def test_what_cannot_be_resumed_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_a_run_without_any_good_checkpoint_is_told(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").write_text("checkpoint: {dirpath: null}\n")
    assert resume_point(tmp_path) is None
    (tmp_path / "checkpoints" / "last.ckpt").write_bytes(b"half")
    with pytest.raises(ValueError, match="last.ckpt' is damaged"):
        resume_point(tmp_path)


HOLD = "import sys, time; from pathlib import Path; from mtl.runs.resume import RunLock\n"
HOLD += "lock = RunLock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"


@pytest.mark.slow
def test_two_processes_never_train_in_one_folder(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(ConfigError, match=rf"is in use by process {other.pid} on .* If that machine died, delete"):
        RunLock(tmp_path)
    other.kill()
    other.wait()
    other.stdout.close()
    assert RunLock(tmp_path)  # the lock goes with the process


# children of one process, which has imported everything, train and are killed as a command would be
KILLS = """
import os, random, signal, sys
import torch
from mtl.cli.main import main
from mtl.runs import checkpoint_io

def child(words, step=0, place=""):
    sys.stdout.flush()
    number = os.fork()
    if number:
        return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
    def killed_at(function, here):
        def call(*args, **kwargs):
            call.count += 1
            if here == place and call.count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)
        call.count = 0
        return call
    torch.autograd.backward = killed_at(torch.autograd.backward, "backward")
    torch.optim.AdamW.step = killed_at(torch.optim.AdamW.step, "step")
    os.fsync = killed_at(os.fsync, "write")
    os._exit(main(words))

first = ["fit", "--config", "small.yaml", "--data.num_workers", "2", "--checkpoint.save_every_steps", "1"]
assert child([*first, "--name", "whole"]) == 0
draw = random.Random(0)
words = [*first, "--name", "killed"]
for kill in range(10):
    # every attempt gets some steps further; a write is two calls of fsync
    code = child(words, draw.choice((1, 2, 3)), draw.choice(("backward", "step", "write")))
    print(code, flush=True)
    words = ["fit", "--resume", "runs/small/killed"]
assert child(words) == 0
"""


@pytest.mark.slow
def test_ten_kills_change_nothing(folder: Path) -> None:
    (folder / "small.yaml").write_text(SMALL.replace("METHOD", "FAMO").replace("max_steps: 12", "max_steps: 24"))
    environment = {**os.environ, "PYTHONPATH": str(Path(mtl.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", KILLS], capture_output=True, text=True, env=environment, timeout=240)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.lstrip("-").isdigit()] == [str(-signal.SIGKILL)] * 10
    runs = folder / "runs" / "small"
    assert sorted(path.name for path in runs.iterdir()) == ["killed", "whole"]
    assert not list(differences(content(runs / "whole"), content(runs / "killed")))


def start(words: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(mtl.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "mtl", *words]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)


@pytest.mark.slow
def test_a_command_is_killed_then_asked_to_stop_and_ends_as_if_nothing_had_been(folder: Path) -> None:
    """Each time every process of it gets the signal, as from a terminal or SLURM."""
    (folder / "small.yaml").write_text(SMALL.replace("METHOD", "UPGrad").replace("max_steps: 12", "max_steps: 100"))
    runs = folder / "runs" / "small"
    words = ["fit", "--config", "small.yaml", "--data.num_workers", "1", "--checkpoint.save_every_steps", "3"]
    words += ["--tracking.wandb", "offline", "--name"]
    go_on = ["fit", "--resume", "runs/small/hurt"]
    for command, number, done in (
        ([*words, "hurt"], signal.SIGKILL, 10),
        (go_on, signal.SIGTERM, 25),
        (go_on, signal.SIGINT, 40),
    ):
        process = start(command)
        while process.poll() is None and not has_step(runs / "hurt", done):
            time.sleep(0.05)
        assert process.poll() is None, process.communicate(timeout=60)[1]  # ended before it was asked to
        os.killpg(process.pid, number)
        said = process.communicate(timeout=60)[1]
        assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number), said
        if number != signal.SIGKILL:
            # it may have come in a validation
            command = "Continue with: python -m mtl fit --resume runs/small/hurt"
            end = f"(everything is saved|continues from step \\d+). {command}"
            assert re.search(end, said), said
            assert "Traceback" not in said
            assert content(runs / "hurt")["global_step"] >= done - 3
    assert main(go_on) == 0
    assert main([*words, "whole"]) == 0
    assert not list(differences(content(runs / "whole"), content(runs / "hurt")))
    (identity,) = (runs / "hurt" / "wandb").glob("id.txt")
    offline = [path.name for path in (runs / "hurt" / "wandb").glob("offline-run-*")]
    assert len(offline) == 4
    assert all(name.endswith(identity.read_text()) for name in offline), "one W&B run, in parts"


def has_step(run: Path, step: int) -> bool:
    file = run / "metrics.csv"
    return file.is_file() and any(int(row["step"]) >= step for row in read_rows(file))
