"""The JSON schema takes every shipped config and underlines what the check of a config refuses; shells complete."""

import json
import shutil
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from mtl.cli.main import main
from mtl.config.yaml_lines import load_yaml

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = sorted([*ROOT.glob("configs/*.yaml"), *ROOT.glob("configs/presets/*.yaml")])


@pytest.fixture(scope="module")
def validator(tmp_path_factory: pytest.TempPathFactory) -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    file = tmp_path_factory.mktemp("schema") / "schema.json"
    assert main(["schema", "--to", str(file)]) == 0
    document = json.loads(file.read_text())
    jsonschema.Draft7Validator.check_schema(document)
    return jsonschema.Draft7Validator(document)


def paths(validator: Any, config: dict[str, Any]) -> list[str]:
    return [".".join(map(str, error.absolute_path)) for error in validator.iter_errors(config)]


def test_every_shipped_config_is_right_and_its_first_line_names_the_schema(validator: Any) -> None:
    for file in CONFIGS:
        assert paths(validator, load_yaml(file)[0]) == [], file.name
        first = file.read_text("utf-8").split("\n")[0]
        name = first.removeprefix("# yaml-language-server: $schema=")
        assert (file.parent / name).resolve() == ROOT / ".mtl-schema.json", file.name


@pytest.mark.parametrize(
    ("place", "value", "where"),
    [
        ("modle", {}, ""),
        ("model.bakcbone", "ResidualFPN", "model"),
        ("model.heads.boxes.class_path", "CenterNetHaed", "model.heads"),
        ("model.heads.largest.init_args.dropuot", 0.1, "model.heads"),
        ("model.heads.largest.init_args.dropout", "much", "model.heads"),
        ("data.init_args.num_trian", 3, "data"),
        ("trainer.max_steps", [1], "trainer.max_steps"),
        ("trainer.callbacks", [{"class_path": "LossBalancing", "init_args": {"at": "nowhere"}}], "trainer.callbacks"),
        (
            "trainer.callbacks",
            [{"class_path": "LossBalancing", "init_args": {"method": {"class_path": "UPGrat"}}}],
            "trainer.callbacks",
        ),
        ("tracking.wandb", "maybe", "tracking.wandb"),
    ],
)
def test_a_mistake_is_underlined(validator: Any, place: str, value: Any, where: str) -> None:
    config = deepcopy(load_yaml(ROOT / "configs/digits.yaml")[0])
    *above, last = place.split(".")
    here = config
    for key in above:
        here = here.setdefault(key, {})
    here[last] = value
    found = paths(validator, config)
    assert found
    assert all(path.startswith(where) for path in found), found


@pytest.mark.parametrize(
    "config",
    [
        {"trainer": {"callbacks+": [{"class_path": "EMA", "init_args": {"decay": 0.9}}]}},
        {"model": {"heads": {"largest": None}, "optim": {"optimizer": {"init_args": {"lr": "8e-3"}}}}},
        {"base": "digits.yaml", "data": {"num_train": 3}},
        {"model": {"heads": {"mine": {"class_path": "paper.heads.Mine", "init_args": {"width": 3}}}}},
    ],
)
def test_overlays_and_classes_of_your_own_are_right(validator: Any, config: dict[str, Any]) -> None:
    assert paths(validator, config) == []


def test_a_choice_says_what_it_is(validator: Any) -> None:
    head = validator.schema["definitions"]["mtl.heads.whole.classification.ClassificationHead:2"]
    assert "dropout" in head["properties"]
    assert head["properties"]["dropout"]["description"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_configs_and_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/mine.yaml").touch()
    (tmp_path / "runs/mine/first").mkdir(parents=True)
    script = capsys.readouterr().out
    for words, wanted in (
        (["mtl", "aff"], "affinity"),
        (["mtl", "fit", "--config", "configs/m"], "configs/mine.yaml"),
        (["mtl", "fit", "--config", "configs/digits_sl"], "configs/digits_slots.yaml"),
        (["mtl", "test", "--run", "runs/mine/f"], "runs/mine/first"),
        (["mtl", "fit", "--untr"], "--untrained"),
    ):
        line = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _mtl; echo ${{COMPREPLY[@]}}"
        done = subprocess.run(["bash", "-c", script + line], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert wanted in done.stdout.split(), words
