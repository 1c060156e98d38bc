"""Configs come with the package: a name that no file has leads to the package's copy, and a wheel holds them all."""

from pathlib import Path

import pytest
from setuptools import Distribution

from mtl.cli.trainer.config_sections import experiment_of
from mtl.config import shipped
from mtl.config.command_line import read_command_line
from mtl.config.configs_in_wheel import BuildWithConfigs
from mtl.config.merge import read_config
from mtl.config.paths import is_name
from mtl.config.shipped import own_or_shipped, shipped_configs, shipped_names
from mtl.config.yaml_lines import ConfigError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("typed", ["configs/presets/ddp.yaml", "presets/ddp.yaml"])
def test_a_name_without_a_file_leads_to_the_copy_of_the_package(typed: str) -> None:
    assert own_or_shipped(Path(typed)) == ROOT / "configs/presets/ddp.yaml"
    assert read_command_line("fit", ["--config", typed]).configs == [ROOT / "configs/presets/ddp.yaml"]


def test_a_file_of_the_current_folder_comes_first(empty_folder: Path) -> None:
    (empty_folder / "digits.yaml").write_text("trainer: {max_steps: 3}\n")
    assert read_config([Path("digits.yaml")]).values == {"trainer": {"max_steps": 3}}
    assert "data" in read_config([Path("configs/digits.yaml")]).values


@pytest.mark.parametrize("typed", ["/configs/digits.yaml", "../configs/digits.yaml", "configs", "no.yaml", "a\0b", ""])
def test_other_names_stay_as_they_were_typed(typed: str) -> None:
    assert own_or_shipped(Path(typed)) == Path(typed)


def test_a_mistyped_name_is_compared_with_the_configs_of_the_package() -> None:
    with pytest.raises(ConfigError, match=r"no config file 'configs/digts.yaml'. Did you mean 'digits.yaml'"):
        read_config([Path("configs/digts.yaml")])


def test_a_folder_of_that_name_beside_an_installed_package_is_somebody_elses(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_folder / "site/configs").mkdir(parents=True)
    monkeypatch.setattr(shipped, "PACKAGE", empty_folder / "site/mtl")
    assert shipped_configs() is None
    assert shipped_names() == []
    (empty_folder / "site/mtl/configs/presets").mkdir(parents=True)
    (empty_folder / "site/mtl/configs/presets/a.yaml").touch()
    assert shipped_names() == ["presets/a.yaml"]


def test_a_wheel_holds_every_config(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    build = BuildWithConfigs(Distribution({"packages": ["mtl"], "script_name": "setup.py"}))
    build.build_lib = str(empty_folder)
    build.ensure_finalized()
    build.run()
    copies = {path.relative_to(empty_folder / "mtl/configs") for path in (empty_folder / "mtl/configs").rglob("*.y*ml")}
    assert copies == {path.relative_to(ROOT / "configs") for path in (ROOT / "configs").rglob("*.y*ml")}
    assert str(empty_folder / "mtl/configs/digits.yaml") in build.get_outputs()
    assert "configs/digits.yaml" in build.get_source_files()


def test_an_experiment_has_the_name_of_the_first_config_that_is_no_preset() -> None:
    preset, config, overlay = Path("configs/presets/ddp.yaml"), Path("configs/digits.yaml"), Path("lr.yaml")
    assert experiment_of([config, overlay]) == "digits"
    assert experiment_of([preset, config, overlay]) == "digits"
    assert experiment_of([preset]) == "ddp"
    assert experiment_of([]) == "default"


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ("my set (2)", "my_set_2"),
        ("u\u0308ber", "über"),
        ("-x", "x"),
        ("()", "default"),
        ("a" * 200, "a" * 120),
        ("a_", "a_"),
    ],
)
def test_an_experiment_of_any_config_has_a_name_that_a_folder_may_have(config: str, name: str) -> None:
    assert experiment_of([Path(f"{config}.yaml")]) == name
    assert is_name(name)
