"""Every sweep is a line that `python -m mtl fit` understands: its config exists, each swept key is a flag."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from mtl.cli.main import main
from mtl.experiments.sweep_file import read_sweep

ROOT = Path(__file__).resolve().parents[2]
SWEEPS = sorted((ROOT / "configs/sweeps").glob("*.yaml"))


def values(parameter: dict[str, Any]) -> list[Any]:
    """The ends of what a parameter can be."""
    if "value" in parameter:
        return [parameter["value"]]
    return parameter.get("values", [parameter.get("min"), parameter.get("max")])


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_swept_key_is_a_flag_of_fit(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = yaml.safe_load(path.read_text())
    command = sweep["command"]
    assert command[:5] == ["${env}", "${interpreter}", "-m", "mtl", "fit"]
    assert command[-1] == "${args}"
    monkeypatch.chdir(ROOT)
    # the form in which an agent hands over the values
    flags = {name: values(parameter)[-1] for name, parameter in sweep["parameters"].items()}
    with pytest.raises(SystemExit, match="^0$"):
        main([*command[4:-1], *(f"--{name}={value}" for name, value in flags.items()), "--print_config"])
    shown = yaml.safe_load(capsys.readouterr().out)
    for name, value in flags.items():
        found = shown
        for key in name.split("."):
            # a class may stand as its settings alone in a flag, and in full in the complete config
            found = found[key] if key in found else found["init_args"][key]
        assert found == value, name


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_a_sweep_maximises_what_a_run_logs_and_says_how_to_start_it(path: Path) -> None:
    sweep = yaml.safe_load(path.read_text())
    assert (sweep["metric"]["name"], sweep["metric"]["goal"]) == ("best/score", "maximize")
    assert (ROOT / sweep["program"]).is_file()
    assert f"wandb sweep {path.relative_to(ROOT).as_posix()}" in path.read_text()
    assert f"mtl sweep --config {path.relative_to(ROOT).as_posix()}" in path.read_text()
    assert read_sweep(path).parameters
    assert SWEEPS
