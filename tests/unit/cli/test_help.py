import re
from pathlib import Path

import pytest

from mtl.cli.main import main
from mtl.config.command_line import COMMANDS


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_is_short_and_names_the_main_settings(capsys: pytest.CaptureFixture[str], word: str) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["fit", word])
    said = capsys.readouterr().out
    assert all(
        name in said for name in ("--config", "--run", "--model.heads", "--trainer.max_steps", "--tracking.wandb")
    )
    assert "--trainer.reload_dataloaders_every_n_epochs" not in said
    assert len(said.splitlines()) < 75


def test_help_all_holds_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["fit", "--help-all"])
    said = capsys.readouterr().out
    assert "--trainer.reload_dataloaders_every_n_epochs" in said
    assert "a backbone class with its own arguments" in said


def test_help_needs_no_config_and_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="0"):
        main(["test", "--help"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_holds_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    words = " ".join(capsys.readouterr().out.split())
    # not the usage, which begins with a bracket, but words to type
    assert re.search(rf"mtl {command} (--?\w|[\w/.]+)", words), words
