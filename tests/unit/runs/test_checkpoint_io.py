import errno
import os
import pickle
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

from mtl.runs.checkpoint_io import AtomicCheckpointIO, CheckpointWriteError

STATE = {"state_dict": {"weight": torch.arange(50_000.0)}, "global_step": 1}


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may grow beyond 100 kB: what a full disk does, in a test."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_is_loaded_and_nothing_else_lies_about(tmp_path: Path) -> None:
    io, path = AtomicCheckpointIO(), tmp_path / "new" / "last.ckpt"
    io.save_checkpoint(STATE, path)
    assert files(path.parent) == ["last.ckpt"]
    assert torch.equal(io.load_checkpoint(path)["state_dict"]["weight"], STATE["state_dict"]["weight"])
    io.remove_checkpoint(path)
    assert files(path.parent) == []


def test_a_full_disk_leaves_the_one_before(tmp_path: Path, small_files: None) -> None:
    io, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    io.save_checkpoint({"state_dict": {}, "global_step": 7}, path)
    with pytest.raises(
        CheckpointWriteError, match=r"File too large\. The one before is untouched\. .* allows no file of that size"
    ):
        io.save_checkpoint(STATE, path)
    assert files(tmp_path) == ["last.ckpt"]
    assert io.load_checkpoint(path)["global_step"] == 7


def test_a_disk_without_room_is_told_with_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        CheckpointWriteError, match=r"No space left on device\. There was none before\. [\d,]+ MiB are free"
    ):
        AtomicCheckpointIO().save_checkpoint(STATE, tmp_path / "last.ckpt")
    assert files(tmp_path) == []


def test_a_folder_that_takes_no_files_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointWriteError, match="cannot write checkpoint .* There was none before"):
        AtomicCheckpointIO().save_checkpoint(STATE, "/proc/checkpoints/last.ckpt")
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointWriteError, match="File exists|Not a directory"):
        AtomicCheckpointIO().save_checkpoint(STATE, tmp_path / "file" / "last.ckpt")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser writes everywhere")
def test_a_folder_that_is_read_only_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CheckpointWriteError, match=r"Permission denied.* Make .* writable"):
        AtomicCheckpointIO().save_checkpoint(STATE, tmp_path / "last.ckpt")


def test_half_written_files_of_killed_runs_are_swept(tmp_path: Path) -> None:
    (tmp_path / ".best.ckpt.part").write_bytes(b"half")
    (tmp_path / ".last.ckpt.part").write_bytes(b"half")
    AtomicCheckpointIO().save_checkpoint(STATE, tmp_path / "last.ckpt")
    assert files(tmp_path) == ["last.ckpt"]


def test_code_is_never_loaded_whatever_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": {}, "extra": pickle.PickleBuffer}, path)
    with pytest.raises(ValueError, match="could run code; only plain values are read"):
        AtomicCheckpointIO().load_checkpoint(path, weights_only=False)


@pytest.mark.parametrize("address", ["s3://bucket/last.ckpt", "https://a.b/last.ckpt"])
def test_addresses_are_refused(address: str) -> None:
    io = AtomicCheckpointIO()
    with pytest.raises(ValueError, match="is an address"):
        io.save_checkpoint(STATE, address)
    with pytest.raises(ValueError, match="is an address"):
        io.load_checkpoint(address)
    with pytest.raises(TypeError, match="local files only"):
        io.save_checkpoint(STATE, "last.ckpt", storage_options={})


def test_a_trainer_takes_it_as_a_plugin(tmp_path: Path) -> None:
    switched_off = dict.fromkeys(("enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    options: dict[str, Any] = {"accelerator": "cpu", "logger": False, "limit_train_batches": 1, **switched_off}
    first = Trainer(max_steps=2, plugins=[AtomicCheckpointIO()], **options)
    first.fit(BoringModel())
    first.save_checkpoint(tmp_path / "last.ckpt")
    assert files(tmp_path) == ["last.ckpt"]
    longer = Trainer(max_steps=3, plugins=[AtomicCheckpointIO()], **options)
    longer.fit(BoringModel(), ckpt_path=tmp_path / "last.ckpt", weights_only=False)
    assert longer.global_step == 3


KILLS = """
import os, signal, sys, time, torch
from mtl.runs.checkpoint_io import AtomicCheckpointIO

def write_on() -> None:
    io, step = AtomicCheckpointIO(), 0
    while True:
        step += 1
        weight = torch.full((400_000,), float(step))
        io.save_checkpoint({"state_dict": {"weight": weight}, "global_step": step}, sys.argv[1])

for kill in range(8):
    child = os.fork()
    if not child:
        write_on()
    time.sleep(0.05 + 0.0037 * kill)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    state = AtomicCheckpointIO().load_checkpoint(sys.argv[1])
    assert (state["state_dict"]["weight"] == state["global_step"]).all()
    print("whole", flush=True)
"""


@pytest.mark.slow
def test_a_kill_while_writing_leaves_a_whole_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLS, str(tmp_path / "last.ckpt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == "whole\n" * 8, done.stderr
