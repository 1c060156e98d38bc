"""Commands that build only the data of a config refuse flags that belong to nothing, instead of ignoring them."""

from pathlib import Path

import pytest

from mtl.cli.main import main
from mtl.cli.write_shards import main as write_shards
from tests.contract.kit.folders import folders_of_classes

CONFIG = "data: {class_path: DigitScenes, init_args: {num_train: 8, num_val: 4, num_test: 4}}\n"


@pytest.mark.parametrize(
    ("command", "flag", "message"),
    [
        ("show", "--output", "`mtl show` has no option --output. It takes --to, --batches, --samples"),
        ("check", "--strct", "`mtl check` has no option --strct. Did you mean '--strict'?"),
        ("check", "--dta.seed", "`mtl check` has no option --dta.seed. Did you mean '--data'?"),
    ],
)
def test_an_unknown_flag_is_refused(command: str, flag: str, message: str, tmp_path: Path, capsys: object) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(CONFIG)
    assert main([command, "--config", str(config), flag, "3"]) == 2
    assert message in capsys.readouterr().err  # type: ignore[attr-defined]


def test_shards_are_not_written_for_an_unknown_flag(tmp_path: Path, capsys: object) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(CONFIG)
    with pytest.raises(SystemExit) as stopped:
        write_shards(["--config", str(config), "--to", str(tmp_path / "shards"), "--shards_mb", "1"])
    assert stopped.value.code == 2
    assert "has no option --shards_mb. Did you mean '--shard_mb'?" in capsys.readouterr().err  # type: ignore[attr-defined]
    assert not (tmp_path / "shards").exists()


def test_flags_of_other_sections_are_taken(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(CONFIG)
    words = ["check", "--config", str(config), "--seed_everything", "3", "--trainer.max_steps", "1", "--samples", "2"]
    with pytest.raises(SystemExit):  # two samples lack classes
        main(words)


@pytest.mark.parametrize(("command", "flag"), [("show", "--batches"), ("check", "--samples")])
def test_a_number_below_one_is_a_fault_of_the_command_line(command: str, flag: str, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(CONFIG)
    assert main([command, "--config", str(config), flag, "0"]) == 2


@pytest.mark.parametrize("command", ["show", "check"])
def test_a_fault_of_the_data_names_the_line_of_the_config(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders_of_classes(tmp_path / "pets")
    config = tmp_path / "mine.yaml"
    settings = [f"    root: {(tmp_path / 'pets').as_posix()}", "    splits: nowhere"]
    config.write_text("\n".join(["data:", "  class_path: ClassFolders", "  init_args:", *settings]) + "\n")
    assert main([command, "--config", str(config)]) == 2
    assert "mine.yaml:5: splits: nowhere" in capsys.readouterr().err
