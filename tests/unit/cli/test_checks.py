"""A config is an instruction to import: what may not be imported is refused before it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mtl
from mtl.cli.main import main

HOSTILE = "import pathlib\npathlib.Path('hacked').touch()\nfrom mtl.heads.classification import ClassificationHead\n"


@pytest.fixture
def paper(folder: Path) -> Path:
    """A package of the user's that leaves a trace when it is imported."""
    (folder / "paper").mkdir()
    (folder / "paper" / "heads.py").write_text(HOSTILE + "class MyHead(ClassificationHead):\n    pass\n")
    return folder


def overlay(folder: Path, text: str) -> list[str]:
    (folder / "more.yaml").write_text(text)
    return ["fit", "--config", "tiny.yaml", "--config", "more.yaml"]


MINE = "model:\n  heads:\n    largest:\n      class_path: paper.heads.MyHead\n"


def test_a_module_nobody_allowed_is_not_imported(paper: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(overlay(paper, MINE)) == 2
    said = capsys.readouterr().err
    assert "refused to import 'paper.heads.MyHead'" in said
    assert "`--allow paper` or MTL_ALLOW=paper" in said
    assert "more.yaml:4: class_path: " in said
    assert not (paper / "hacked").exists()


def test_a_module_the_user_allows_is_used(paper: Path) -> None:
    # a process of its own: a head that was imported once would be found by other tests
    words = [*overlay(paper, MINE), "--allow", "paper", "--trainer.max_steps", "1", "--name", "mine"]
    environment = {**os.environ, "PYTHONPATH": str(Path(mtl.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-m", "mtl", *words], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert (paper / "hacked").exists(), "the head of the user was imported"
    config = (paper / "runs" / "more" / "mine" / "config.yaml").read_text()
    assert "class_path: paper.heads.MyHead" in config


@pytest.mark.parametrize(
    "text",
    [
        "model:\n  backbone:\n    class_path: os.system\n",
        "model:\n  heads:\n    largest: os.system\n",
        "model:\n  heads:\n    largest: {class_path: subprocess.Popen, init_args: {args: [touch, hacked]}}\n",
        "model:\n  heads:\n    largest: {class_path: torch.hub.load, init_args: {repo_or_dir: a/b}}\n",
        "model:\n  heads:\n    largest: {class_path: torch.os.system}\n",
        "model:\n  heads:\n    largest: {class_path: builtins.eval}\n",
        "model:\n  optim:\n    optimizer: {class_path: jsonargparse.set_parsing_settings}\n",
        "trainer:\n  callbacks+: {class_path: runpy.run_path, init_args: {path_name: evil.py}}\n",
        "data:\n  class_path: importlib.import_module\n",
    ],
)
def test_hostile_paths_are_refused(folder: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert main(overlay(folder, text)) == 2
    assert "refused to import" in capsys.readouterr().err
    assert not (folder / "hacked").exists()
    assert not (folder / "runs").exists()
