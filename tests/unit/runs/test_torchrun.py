from pathlib import Path

import pytest
from torch.distributed import TCPStore

from mtl.runs import run_folder, torchrun
from mtl.runs.run_folder import earlier_attempt, make_run_folder


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> TCPStore:
    """The store that torchrun serves."""
    store = TCPStore("127.0.0.1", 0, is_master=True)
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(store.port))
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.delenv("MTL_RUN_DIR", raising=False)
    monkeypatch.setattr(run_folder, "_made", 0)
    return store


def test_a_launch_that_is_started_again_finds_its_folder(
    agent: TCPStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert earlier_attempt(tmp_path) is None
    folder = make_run_folder(tmp_path, "digits", "first")
    monkeypatch.setattr(run_folder, "_made", 0)  # a process of its own
    for count in ("1", "2"):
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", count)
        assert earlier_attempt(tmp_path) == folder


def test_what_dead_processes_left_in_the_store_is_gone(agent: TCPStore, monkeypatch: pytest.MonkeyPatch) -> None:
    agent.set("default_pg/0//cpu//0/1", "an address")
    agent.set("mtl/run_dir/0/0", "a folder")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    torchrun.forget_dead_processes(0)
    torchrun.forget_dead_processes(1)
    assert not agent.check(["default_pg/0//cpu//0/1"])
    assert agent.get("mtl/run_dir/0/0") == b"a folder"
