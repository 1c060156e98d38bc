"""The walk over a config: what it lets through, what it takes away, and what it refuses behind the parser."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from jsonargparse import Namespace

from mtl.cli.trainer.config_sections import make_schema
from mtl.config.checks import check
from mtl.config.merge import Config
from mtl.config.parsing import expand
from mtl.config.schema import Schema
from mtl.config.yaml_lines import ConfigError
from mtl.data.module import JointDataModule

DATA: dict[str, Any] = {"class_path": "DigitScenes"}


def values(**model: Any) -> dict[str, Any]:
    heads = {"boxes": {"class_path": "CenterNetHead"}}
    return {"data": dict(DATA), "model": {"backbone": {"class_path": "ResidualFPN"}, "heads": heads, **model}}


def test_a_good_config_passes() -> None:
    assert check(Config(values()), make_schema()) == []


def test_null_takes_away_an_entry_and_leaves_an_argument() -> None:
    config = values(loss_weights={"a": None, "b": 1.0})
    config["model"]["heads"]["c"] = None
    config["data"]["init_args"] = {"eval_batch_size": None}
    check(Config(config), make_schema())
    assert list(config["model"]["heads"]) == ["boxes"]
    assert config["model"]["loss_weights"] == {"b": 1.0}
    assert config["data"]["init_args"] == {"eval_batch_size": None}


def test_null_stays_where_it_is_a_value() -> None:
    config = values()
    arguments: dict[str, Any] = {"path": "a.csv", "column_tasks": {}, "subgroups": {"sex": None, "age": [50.0]}}
    config["data"] = {"class_path": "CsvTable", "init_args": arguments}
    check(Config(config), make_schema())
    assert arguments["subgroups"] == {"sex": None, "age": [50.0]}


def test_arguments_that_the_code_gives_are_not_offered() -> None:
    config = values()
    config["model"]["heads"]["boxes"]["init_args"] = {"features": 1}
    with pytest.raises(ConfigError, match="has no setting 'features'") as caught:
        check(Config(config), make_schema())
    assert "task" not in caught.value.message.rpartition("Known: ")[2]


def test_paths_are_found_by_their_type_and_by_their_name() -> None:
    config = {**values(), "runs_root": "$HOME/runs", "checkpoint": {"dirpath": "x"}, "experiment": "$HOME"}
    config["data"] = {"class_path": "VOCFolder", "init_args": {"root": "$DATA", "box_classes": ["$A"]}}
    found = check(Config(config), make_schema())
    assert set(found) == {("data", "init_args", "root"), ("checkpoint", "dirpath"), ("runs_root",)}


@pytest.mark.parametrize(
    "value",
    [
        len,
        partial(print),
        os,
        lambda: None,
        [{"deep": {"est": os.system}}],
        {"class_path": "mtl.optim.Optim", "init_args": {"optimizer": os.system}},
        {"class_path": "mtl.optim.Optim", "dict_kwargs": {"anything": 1}},
        {"class_path": "mtl.config.import_policy.find_class"},
        {"class_path": "mtl.experiments.ray_launcher.RayLauncher", "init_args": {"address": "local"}},
        {"class_path": "os.system"},
    ],
)
def test_what_a_parser_found_is_checked_value_by_value(value: Any) -> None:
    found = Namespace(data=Namespace(class_path="DigitScenes", init_args=Namespace(augment=value)))
    with pytest.raises(ConfigError):
        expand(found, Config(), Schema({"data": JointDataModule}))


def test_several_tables_of_a_data_set_are_paths_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "there")
    arguments = Namespace(root=".", box_classes=["a"], labels_csv=["$WHERE/a.csv", "b.csv"])
    written = Namespace(data=Namespace(class_path="VOCFolder", init_args=arguments))
    built = expand(written, Config(), Schema({"data": JointDataModule}))
    assert built.data.init_args.labels_csv == ["there/a.csv", "b.csv"]


def test_a_path_of_the_parser_is_expanded_and_the_one_that_is_recorded_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "there")
    written = Namespace(root=Path("$WHERE/x"), name="$WHERE")
    built = expand(written, Config(), Schema({"root": Path, "name": str}))
    assert (built.root, built.name) == (Path("there/x"), "$WHERE")
    assert written.root == Path("$WHERE/x")


@pytest.mark.parametrize("value", ["runs/digits/first", [{"run": "runs/digits/first"}]])
def test_a_value_in_place_of_keys_is_told_the_keys(value: Any) -> None:
    message = r"`model.init_from` has keys of its own.*Give its keys: `model.init_from.run: VALUE`, and parts if needed"
    with pytest.raises(ConfigError, match=message):
        check(Config(values(init_from=value)), make_schema())
