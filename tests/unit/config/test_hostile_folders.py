"""Current folders, run folders and comparisons of an enemy: nothing in them is run, nothing is written elsewhere."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import mtl
from mtl.cli.main import main
from mtl.config.foreign_files import UnsafeFile, own_folder
from mtl.runs.record import git_state
from tests.unit.config.test_hostile_configs import Capture, refused


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a finished run, to be spoiled; the current folder holds it and a file that must stay as it is."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "tiny" / "first"
    shutil.copytree(trained, folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "precious").write_text("keep")
    (tmp_path / "images").mkdir()
    return folder


def untouched(run: Path) -> bool:
    other = run.parents[2] / "other"
    return [path.name for path in other.iterdir()] == ["precious"] and (other / "precious").read_text() == "keep"


def edit(run: Path, **sections: dict[str, Any]) -> None:
    file = run / "config.yaml"
    config = yaml.safe_load(file.read_text())
    for name, values in sections.items():
        config[name].update(values)
    file.write_text(yaml.safe_dump(config))


def replace_by_link(path: Path, target: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(target)


def test_packages_of_the_current_folder_are_not_imported(folder: Path) -> None:
    names = ("torch_xla", "tensorboard", "deepspeed", "comet_ml", "mlflow", "scipy", "psutil", "yaml", "mtl")
    for name in names:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(f"open('hacked_{name}', 'w')\n")
    environment = {**os.environ, "PYTHONPATH": str(Path(mtl.__file__).parents[1]), "PYTHONSAFEPATH": "1"}
    words = ["fit", "--config", "tiny.yaml", "--trainer.max_steps", "1", "--test_after_fit", "false"]
    done = subprocess.run([sys.executable, "-m", "mtl", *words], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert not list(folder.glob("hacked*"))


def test_git_runs_nothing_that_the_repository_of_the_current_folder_names(folder: Path) -> None:
    git: Callable[..., Any] = lambda *words: subprocess.run(["git", *words], check=True, capture_output=True)  # noqa: E731
    git("init", "-q")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x")
    with (folder / ".git" / "config").open("a") as file:
        file.write('[core]\n\tfsmonitor = "touch hacked; false"\n[filter "x"]\n\tclean = "touch hacked; cat"\n')
    (folder / ".git" / "info").mkdir(exist_ok=True)
    (folder / ".git" / "info" / "attributes").write_text("* filter=x\n")
    state = git_state(folder)
    assert state is not None
    assert len(state["sha"]) == 40
    assert not (folder / "hacked").exists()


@pytest.mark.parametrize("name", ["wandb", ".wandb"])
def test_the_current_folder_does_not_choose_the_server_that_gets_the_key(
    folder: Path, capsys: Capture, name: str
) -> None:
    (folder / name).mkdir()
    (folder / name / "settings").write_text("[default]\nbase_url = http://127.0.0.1:1\n")
    for mode in ("auto", "online", "offline"):
        words = ["fit", "--config", "tiny.yaml", "--tracking.wandb", mode]
        assert f"'{name}/settings' of the current folder" in refused(words, folder, capsys)


LINKS = ["checkpoints", "pictures", "wandb", "wandb/id.txt", "metrics.csv", "command.txt", ".lock"]


@pytest.mark.parametrize("name", LINKS)
def test_a_run_with_a_link_that_leads_out_is_not_continued(run: Path, capsys: Capture, name: str) -> None:
    replace_by_link(run / name, run.parents[2] / "other")
    assert "is a link to" in refused(["fit", "--resume", str(run)], run.parents[2], capsys)


def test_the_links_that_wandb_makes_are_no_fault(run: Path) -> None:
    logs = run / "wandb" / "offline-run-20260101_000000-abc" / "logs"
    logs.mkdir(parents=True)
    (logs / "debug-core.log").symlink_to(run.parents[2] / "other" / "precious")
    (run / "wandb" / "latest-run").symlink_to("offline-run-20260101_000000-abc")
    own_folder(run)
    (logs / "other.log").symlink_to(run.parents[2] / "other" / "precious")
    with pytest.raises(UnsafeFile, match=r"other\.log' is a link to"):
        own_folder(run)


def test_a_run_with_a_second_name_of_a_file_is_not_continued(run: Path, capsys: Capture) -> None:
    (run / "command.txt").unlink()
    os.link(run.parents[2] / "other" / "precious", run / "command.txt")
    assert "hard links" in refused(["fit", "--resume", str(run)], run.parents[2], capsys)


@pytest.mark.parametrize("name", ["command.txt", "metrics.csv", ".lock", "config.before-1.yaml"])
def test_a_run_with_a_pipe_is_refused_without_waiting_for_it(run: Path, capsys: Capture, name: str) -> None:
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    assert refused(["fit", "--resume", str(run)], run.parents[2], capsys)


@pytest.mark.parametrize("text", ["step,a\nx,1\n", "a,b\n1,2\n", "step,a\n1," + "9" * 200_000 + "\n", "step\n\xff\n"])
def test_damaged_numbers_are_refused_before_training_continues(run: Path, capsys: Capture, text: str) -> None:
    (run / "metrics.csv").write_bytes(text.encode("latin-1"))
    assert "is damaged" in refused(["fit", "--resume", str(run)], run.parents[2], capsys)


def test_numbers_of_an_endless_file_are_not_read(run: Path, capsys: Capture) -> None:
    os.truncate(run / "metrics.csv", 20 * 2**30)  # sparse: it takes no room
    assert refused(["fit", "--resume", str(run)], run.parents[2], capsys)


@pytest.mark.parametrize("where", ["other", "runs/tiny/first/../../../other"])
def test_the_config_of_a_run_cannot_send_checkpoints_elsewhere(run: Path, capsys: Capture, where: str) -> None:
    edit(run, checkpoint={"dirpath": where})
    said = refused(["fit", "--resume", str(run)], run.parents[2], capsys)
    assert "--checkpoint.dirpath FOLDER" in said
    assert untouched(run)


def test_checkpoints_of_another_run_are_not_replaced(run: Path, capsys: Capture) -> None:
    there = run.parents[2] / "kept"
    there.mkdir()
    (there / "best.ckpt").write_text("keep")
    edit(run, checkpoint={"dirpath": "kept"})
    assert main(["fit", "--run", str(run), "--name", "second"]) == 2
    assert "holds checkpoints of another run" in capsys.readouterr().err
    assert (there / "best.ckpt").read_text() == "keep"


@pytest.mark.parametrize("name", ["predictions", "predictions/predictions.csv"])
def test_predictions_are_written_through_no_link(run: Path, capsys: Capture, name: str) -> None:
    replace_by_link(run / name, run.parents[2] / "other" / ("precious" if "." in name else ""))
    words = ["predict", "--run", str(run), "--images", "images"]
    assert "is a link to" in refused(words, run.parents[2], capsys)
    assert untouched(run)


def spoil(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    for file in (run / "checkpoints").glob("*.ckpt"):
        state = torch.load(file, weights_only=True)
        change(state)
        torch.save(state, file)


def shared(levels: int) -> list[Any]:
    value: list[Any] = [1, 1]
    for _ in range(levels):
        value = [value, value]
    return value


class Call:
    """Calls something when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


CHECKPOINTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "shared lists": lambda state: state["hyper_parameters"]["heads"].update(x=shared(40)),
    "text that is a config": lambda state: state["hyper_parameters"].update(backbone="{class_path: ResidualFPN}"),
    "a file in place of a class": lambda state: state["hyper_parameters"].update(backbone="evil.yaml"),
    "much memory": lambda state: state.update(x=Call(bytearray, 6 * 10**9)),
    "storage of any size": lambda state: state.update(x=Call(torch.UntypedStorage, 10**12)),
    "a stretched tensor": lambda state: state["state_dict"].update(x=torch.zeros(1).expand(2 * 10**9)),
    "text for weights": lambda state: state.update(state_dict=dict.fromkeys(state["state_dict"], "x")),
    "numbers for names": lambda state: state.update(state_dict={1: torch.zeros(1)}),
    "no step": lambda state: state.update(global_step="abc"),
    "a step without end": lambda state: state.update(global_step=10**30),
}


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_a_hostile_checkpoint_is_refused_before_anything_is_built(run: Path, capsys: Capture, case: str) -> None:
    spoil(run, CHECKPOINTS[case])
    assert refused(["predict", "--run", str(run), "--images", "images"], run.parents[2], capsys)


def test_a_checkpoint_of_another_version_is_refused_in_one_line_with_that_version(run: Path, capsys: Capture) -> None:
    def older(state: dict[str, Any]) -> None:
        state["mtl_version"] = "0.0.1"
        state["hyper_parameters"]["backbone"] = {"class_path": "mtl.backbones.gone.Gone"}
        state["state_dict"] = {f"old.{name}": weight for name, weight in state["state_dict"].items()}

    spoil(run, older)
    said = refused(["predict", "--run", str(run), "--images", "images"], run.parents[2], capsys)
    assert said.count("\n") == 1
    assert f"(written by mtl 0.0.1, read by mtl {mtl.__version__})" in said
    assert main(["fit", "--resume", str(run), "--trainer.max_steps", "4"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert f"(written by mtl 0.0.1, read by mtl {mtl.__version__})" in line


def test_a_checkpoint_that_did_not_note_its_version_is_called_older(run: Path, capsys: Capture) -> None:
    spoil(run, lambda state: (state.pop("mtl_version"), state["state_dict"].popitem()))
    said = refused(["predict", "--run", str(run), "--images", "images"], run.parents[2], capsys)
    assert f"(written by an older mtl, read by mtl {mtl.__version__})" in said


def compared(folder: Path, **more: Any) -> list[str]:
    values = {"config": "tiny.yaml", "seeds": 1, "tune": 0, "methods": ["UPGrad"], "single_tasks": False, **more}
    (folder / "grid.yaml").write_text(yaml.safe_dump(values))
    return ["compare", "--config", "grid.yaml", "--runs_root", "runs/grid"]


COMPARISONS: dict[str, dict[str, Any]] = {
    "seeds without end": {"seeds": 10**9},
    "tries without end": {"tune": 10**9},
    "a key that is a number": {"methods": [{"name": "a", "overlay": {1: 2}}]},
    "a list for a method": {"methods": [{"name": "a", "method": [1]}]},
    "a seed that is the folder": {"seed_keys": ["runs_root"]},
    "a config that is a list": {"config": ["tiny.yaml"]},
}


@pytest.mark.parametrize("case", COMPARISONS)
def test_a_strange_comparison_is_refused(folder: Path, capsys: Capture, case: str) -> None:
    assert refused([*compared(folder, **COMPARISONS[case]), "--dry_run"], folder, capsys)


@pytest.mark.parametrize("name", ["../../../escape", "/escape", "-rf", "a b"])
def test_the_name_of_a_head_is_no_folder_elsewhere(folder: Path, capsys: Capture, name: str) -> None:
    (folder / "evil.yaml").write_text(
        yaml.safe_dump({"base": "tiny.yaml", "model": {"heads": {name: {"class_path": "CenterNetHead"}}}})
    )
    assert refused(compared(folder, config="evil.yaml", single_tasks=True, methods=[]), folder, capsys)


@pytest.mark.parametrize("name", ["UPGrad", "UPGrad/seed0", "UPGrad/seed0.log", "UPGrad/seed0.yaml", "comparison.yaml"])
def test_a_comparison_is_written_through_no_link(folder: Path, capsys: Capture, name: str) -> None:
    (folder / "other").mkdir()
    (folder / "runs" / "grid").mkdir(parents=True)
    replace_by_link(folder / "runs" / "grid" / name, folder / "other")
    assert "is a link to" in refused(compared(folder), folder, capsys)


def test_a_folder_that_is_no_run_is_not_deleted_for_one(folder: Path, capsys: Capture) -> None:
    there = folder / "runs" / "grid" / "UPGrad" / "seed0"
    there.mkdir(parents=True)
    (there / "thesis").write_text("keep")
    assert main(compared(folder)) != 0
    assert "no folder of a run of ours" in capsys.readouterr().err
    assert (there / "thesis").read_text() == "keep"
