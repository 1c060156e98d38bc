import json
import platform
import subprocess
from pathlib import Path

import pytest

from mtl.runs.record import environment, git_state, write_record


def git(folder: Path, *arguments: str) -> str:
    author = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    done = subprocess.run(("git", *author, *arguments), cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_record_holds_config_command_and_environment(tmp_path: Path) -> None:
    write_record(tmp_path, "a: 1\n", ["fit", "--name", "two words"])
    assert (tmp_path / "config.yaml").read_text() == "a: 1\n"
    assert (tmp_path / "command.txt").read_text() == "python -m mtl fit --name 'two words'\n"
    found = json.loads((tmp_path / "environment.json").read_text())
    assert found["python"] == platform.python_version()
    assert {"torch", "lightning", "mtl"} <= found["packages"].keys()


def repository(folder: Path) -> None:
    git(folder, "init", "-q")
    (folder / "file").write_text("1")
    git(folder, "add", "file")
    git(folder, "commit", "-q", "-m", "first")


def test_the_commit_is_noted_and_of_our_own_checkout_uncommitted_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository(tmp_path)
    monkeypatch.setattr("mtl.runs.record.ROOT", tmp_path.resolve())
    state = git_state(tmp_path)
    assert state is not None
    assert (state["sha"], state["dirty"]) == (git(tmp_path, "rev-parse", "HEAD"), False)
    (tmp_path / "file").write_text("2")
    monkeypatch.chdir(tmp_path)
    assert environment()["git"]["dirty"] is True
    assert environment()["mtl_git"]["dirty"] is True


def test_nothing_that_a_repository_configures_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository(tmp_path)
    with (tmp_path / ".git" / "config").open("a") as config:
        config.write('[core]\n\tfsmonitor = "touch hacked; false"\n[filter "x"]\n\tclean = "touch hacked; cat"\n')
    (tmp_path / ".git" / "info").mkdir(exist_ok=True)
    (tmp_path / ".git" / "info" / "attributes").write_text("* filter=x\n")
    (tmp_path / "file").write_text("2")
    monkeypatch.chdir(tmp_path)
    state = environment()["git"]
    assert (state["sha"], "dirty" in state) == (git(tmp_path, "rev-parse", "HEAD"), False)
    assert not (tmp_path / "hacked").exists()


def test_a_branch_of_any_bytes_costs_no_run(tmp_path: Path) -> None:
    repository(tmp_path)
    subprocess.run(["git", "checkout", "-q", "-b", b"caf\xe9"], cwd=tmp_path, check=True)
    state = git_state(tmp_path)
    assert state is not None
    assert state["branch"] == "caf?"


def test_outside_a_repository_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) is None


def test_the_commit_of_an_installed_paper_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "paper_of_a_test").mkdir()
    (tmp_path / "paper_of_a_test" / "__init__.py").write_text("")
    repository(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("mtl.runs.record.installed_papers", lambda: {"paper_of_a_test": "a", "paper_that_is_gone": "b"})
    found = environment()["papers_git"]
    assert {name: state["sha"] for name, state in found.items()} == {
        "paper_of_a_test": git(tmp_path, "rev-parse", "HEAD")
    }
