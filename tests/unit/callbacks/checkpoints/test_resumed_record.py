"""A command that cannot resume a run leaves its record as it is, so that the right command still can."""

import shutil
from pathlib import Path

import pytest

from mtl.cli.main import main


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a finished run."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(trained, tmp_path / "runs" / "tiny" / "copy"))


def test_a_refused_command_changes_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: (run / name).read_bytes() for name in ("config.yaml", "command.txt")}
    for flags in (["--model.backbone.init_args.width", "6"], ["--trainer.fast_dev_run", "-1"]):
        assert main(["fit", "--resume", str(run), "--trainer.max_steps", "9", *flags]) != 0
    assert "was made by another model" in capsys.readouterr().err
    assert {name: (run / name).read_bytes() for name in before} == before
    assert not list(run.glob("config.before-*"))


def test_a_command_that_trains_is_recorded(run: Path) -> None:
    before = (run / "config.yaml").read_text()
    flags = ["--trainer.max_steps", "3", "--test_after_fit", "false"]
    assert main(["fit", "--resume", str(run), *flags]) == 0
    assert (run / "config.before-1.yaml").read_text() == before
    assert "max_steps: 3" in (run / "config.yaml").read_text()
    assert (run / "command.txt").read_text().splitlines()[-1].endswith("--test_after_fit false")
