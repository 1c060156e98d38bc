"""Shards from a config: a run on them equals the run on the data themselves, and goes on exactly where it stopped."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import mtl
from mtl.callbacks.checkpoints.best_checkpoint import BestCheckpoint
from mtl.cli.main import main
from mtl.cli.write_shards import main as write
from tests.unit.runs.test_resume import SMALL, content, differences, has_step

TRAIN = ["--checkpoint.save_every_steps", "1", "--data.num_workers", "2"]
# small enough for several shards of a few scenes
WRITE = ["--config", "small.yaml", "--to", "shards", "--shard_mb", "0.02"]


@pytest.fixture
def sharded(folder: Path) -> Path:
    """A folder with `small.yaml` and its data in shards, five batches of eight an epoch."""
    (folder / "small.yaml").write_text(SMALL.replace("METHOD", "GradDrop").replace("max_steps: 12", "max_steps: 7"))
    write(WRITE)
    return folder


def test_a_run_on_shards_is_the_run_on_the_data(sharded: Path) -> None:
    assert len(list((sharded / "shards" / "train").glob("chunk-*.bin"))) > 4
    assert main(["fit", "--config", "small.yaml", "--name", "data", *TRAIN]) == 0
    same_order = ["--data.shuffle_shards", "null"]
    assert main(["fit", "--config", "shards/small_sharded.yaml", "--name", "shards", *TRAIN, *same_order]) == 0
    first, second = (content(sharded / "runs" / name) for name in ("small/data", "small_sharded/shards"))
    for part in ("state_dict", "optimizer_states"):
        assert not list(differences(first[part], second[part]))


@pytest.mark.nightly
def test_a_run_stopped_within_an_epoch_ends_with_the_same_bits(sharded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    save = BestCheckpoint._save_last

    def copy_too(callback: BestCheckpoint, trainer: Any) -> None:
        before = callback._last_step
        save(callback, trainer)
        if callback._last_step != before and trainer.global_step in (3, 6):
            kept.append(sharded / f"after-{trainer.global_step}")
            shutil.copytree(Path(str(callback.dirpath)).parent, kept[-1])

    words = ["fit", "--config", "shards/small_sharded.yaml", "--name", "whole", "--data.shuffle_shards", "2", *TRAIN]
    with monkeypatch.context() as patch:
        patch.setattr(BestCheckpoint, "_save_last", copy_too)
        assert main(words) == 0
    whole = content(sharded / "runs" / "small_sharded" / "whole")
    assert [run.name for run in kept] == ["after-3", "after-6"]
    for run in kept:
        assert main(["fit", "--resume", str(run)]) == 0
        assert not list(differences(whole, content(run))), run.name


@pytest.mark.slow
def test_a_command_that_was_killed_goes_on_and_ends_with_the_same_bits(sharded: Path) -> None:
    words = ["fit", "--config", "shards/small_sharded.yaml", "--data.shuffle_shards", "2", *TRAIN]
    words += ["--trainer.max_steps", "40", "--name"]
    environment = {**os.environ, "PYTHONPATH": str(Path(mtl.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "mtl", *words, "killed"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment, start_new_session=True)
    runs = sharded / "runs" / "small_sharded"
    while process.poll() is None and not has_step(runs / "killed", 6):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 6 <= content(runs / "killed")["global_step"] < 40
    assert main(["fit", "--resume", "runs/small_sharded/killed"]) == 0
    assert main([*words, "whole"]) == 0
    assert not list(differences(content(runs / "whole"), content(runs / "killed")))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (WRITE, "'shards' is not empty. Choose another folder"),
        (["--to", "new"], "--config FILE says which data to write"),
        (["--config", "none.yaml", "--to", "new"], "there is no config file 'none.yaml'"),
    ],
)
def test_what_cannot_be_written_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    (folder / "shards").mkdir()
    (folder / "shards" / "here.txt").touch()
    with pytest.raises(SystemExit) as stop:
        write(words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
