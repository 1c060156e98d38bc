import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from torch.distributed import TCPStore

from mtl.config.foreign_files import UnsafeFile, own_folder
from mtl.runs import run_folder
from mtl.runs.run_folder import ENV, claim, make_run_folder, rank


def test_a_name_is_made_up_and_two_runs_never_share_a_folder(tmp_path: Path) -> None:
    folders = {make_run_folder(tmp_path, "digits", None) for _ in range(3)}
    assert len(folders) == 3
    assert all(folder.parent == tmp_path / "digits" and folder.is_dir() for folder in folders)


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    assert [make_run_folder(tmp_path, "digits", "x").name for _ in range(3)] == ["x", "x-2", "x-3"]


def test_runs_that_start_at_the_same_moment_get_different_folders(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        folders = list(pool.map(lambda _: claim(tmp_path, "x"), range(48)))
    assert len(set(folders)) == 48


@pytest.mark.parametrize(
    ("experiment", "name"), [("a/b", None), ("digits", "a b"), ("..", None), ("digits", ".hidden")]
)
def test_a_name_that_is_no_folder_name_is_refused(tmp_path: Path, experiment: str, name: str | None) -> None:
    with pytest.raises(ValueError, match="becomes the name of a folder"):
        make_run_folder(tmp_path, experiment, name)


def test_processes_that_the_first_one_starts_use_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run_folder(tmp_path, "digits", "x")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert make_run_folder(tmp_path, "digits", "x").name == "x-2", "a second run of this process is another run"
    monkeypatch.setenv(ENV, f"{os.getpid() + 1}:{folder}")
    assert make_run_folder(tmp_path, "digits", "x") == folder


def test_workers_of_torchrun_agree_through_its_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = TCPStore("localhost", 0, is_master=True)
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("MASTER_PORT", str(store.port))
    folders = []
    for number in ("0", "1"):
        monkeypatch.setattr(run_folder, "_made", 0)  # each is a process of its own
        monkeypatch.setenv("RANK", number)
        monkeypatch.delenv(ENV, raising=False)
        folders.append(make_run_folder(tmp_path, "digits", None))
    assert folders[0] == folders[1]
    assert len(list((tmp_path / "digits").iterdir())) == 1


def slurm(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(run_folder, "_made", 0)
    for name, value in {"JOB_ID": "17", "NTASKS": "2", "PROCID": str(number)}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)


def test_tasks_of_slurm_agree_through_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm(monkeypatch, 0)
    first = make_run_folder(tmp_path, "digits", None)
    slurm(monkeypatch, 1)
    assert make_run_folder(tmp_path, "digits", None) == first


def test_a_first_task_that_never_speaks_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm(monkeypatch, 1)
    monkeypatch.setattr(run_folder, "_WAIT_S", 0.0)
    with pytest.raises(TimeoutError, match="first process has not made its run folder"):
        make_run_folder(tmp_path, "digits", None)


def test_the_rank_is_known_before_torch_distributed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert rank() == 0
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert rank() == 1
    monkeypatch.setenv("RANK", "5")
    assert rank() == 5


def test_a_job_that_slurm_queues_again_finds_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm(monkeypatch, 0)
    monkeypatch.setattr("sys.argv", ["mtl", "fit", "--config", "a.yaml"])
    assert run_folder.earlier_attempt(tmp_path) is None
    first = make_run_folder(tmp_path, "digits", None)
    slurm(monkeypatch, 1)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    assert run_folder.earlier_attempt(tmp_path) == first
    monkeypatch.setattr("sys.argv", ["mtl", "fit", "--config", "b.yaml"])
    assert run_folder.earlier_attempt(tmp_path) is None, "another command of the same job"


def test_a_file_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ValueError, match="file' is to be a folder of runs, and a file is in its place|file/e' is to be"
    ):
        claim(tmp_path / "file" / "e", "name")
    with pytest.raises(UnsafeFile, match="file' is a file; give a folder to write to"):
        own_folder(tmp_path / "file")
