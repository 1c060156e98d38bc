from pathlib import Path
from typing import Any

import pytest

from mtl.config.merge import Config, read_config, same_class
from mtl.config.yaml_lines import ConfigError

BASE = """\
model:
  heads:
    boxes: {class_path: CenterNetHead}
    scene:
      class_path: ClassificationHead
      init_args: {hidden: 64, dropout: 0.1}
  optim:
    optimizer: {class_path: AdamW, init_args: {lr: 1e-3, weight_decay: 0.3}}
trainer:
  callbacks:
    - {class_path: EarlyStopping, init_args: {monitor: val/score}}
"""


def merge(tmp_path: Path, *texts: str, flags: dict[str, str] | None = None) -> Config:
    files = []
    for number, text in enumerate(texts):
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(text)
    return read_config(files, (flags or {}).items())


def optimizer(config: Config) -> Any:
    return config.get(("model", "optim", "optimizer"))


def test_a_second_config_never_deletes_a_head(tmp_path: Path) -> None:
    config = merge(tmp_path, BASE, "model: {heads: {scene: {init_args: {dropout: 0.5}}}}")
    heads = config.get(("model", "heads"))
    assert list(heads) == ["boxes", "scene"]
    assert heads["scene"] == {"class_path": "ClassificationHead", "init_args": {"hidden": 64, "dropout": 0.5}}


def test_a_class_that_changes_loses_the_old_arguments(tmp_path: Path) -> None:
    config = merge(tmp_path, BASE, "model: {optim: {optimizer: {class_path: SGD, init_args: {lr: 0.1}}}}")
    assert optimizer(config) == {"class_path": "SGD", "init_args": {"lr": 0.1}}


@pytest.mark.parametrize("name", ["model.optim.optimizer", "model.optim.optimizer.class_path"])
def test_a_class_changed_by_a_flag_loses_the_old_arguments(tmp_path: Path, name: str) -> None:
    config = merge(tmp_path, BASE, flags={name: "SGD", "model.optim.optimizer.lr": "0.1"})
    assert optimizer(config) == {"class_path": "SGD", "init_args": {"lr": "0.1"}}


@pytest.mark.parametrize("name", ["AdamW", "torch.optim.AdamW"])
def test_the_same_class_under_either_name_keeps_its_arguments(tmp_path: Path, name: str) -> None:
    config = merge(tmp_path, BASE, flags={"model.optim.optimizer": name})
    assert optimizer(config)["init_args"] == {"lr": 1e-3, "weight_decay": 0.3}


def test_a_class_by_name_alone_takes_arguments_later(tmp_path: Path) -> None:
    config = merge(tmp_path, "data: DigitScenes", "data: {init_args: {seed: 1}}", flags={"data.num_train": "5"})
    assert config.get(("data",)) == {"class_path": "DigitScenes", "init_args": {"seed": 1, "num_train": "5"}}


def test_arguments_given_straight_away_reach_the_class_below(tmp_path: Path) -> None:
    config = merge(tmp_path, BASE, "model: {heads: {scene: {dropout: 0.7}}}", flags={"model.heads.scene.hidden": "8"})
    assert config.get(("model", "heads", "scene", "init_args")) == {"hidden": "8", "dropout": 0.7}


def test_arguments_without_a_class_meet_a_class_later(tmp_path: Path) -> None:
    saved = "model: {optim: {class_path: mtl.optim.Optim, init_args: {schedule: cosine}}}"
    config = merge(tmp_path, "model: {optim: {final_lr: 0.1}}", saved)
    found = config.get(("model", "optim"))
    assert found == {"init_args": {"final_lr": 0.1, "schedule": "cosine"}, "class_path": "mtl.optim.Optim"}
    assert config.origins["model", "optim", "init_args", "final_lr"].where.endswith("0.yaml")


def test_a_sweep_flag_with_init_args_is_taken(tmp_path: Path) -> None:
    config = merge(tmp_path, BASE, flags={"model.optim.optimizer.init_args.lr": "0.1"})
    assert optimizer(config)["init_args"] == {"lr": "0.1", "weight_decay": 0.3}


def test_plus_appends_to_a_list_and_a_plain_key_replaces_it(tmp_path: Path) -> None:
    more = "trainer: {callbacks+: {class_path: EMA}}"
    appended = merge(tmp_path, BASE, more).get(("trainer", "callbacks"))
    assert [callback["class_path"] for callback in appended] == ["EarlyStopping", "EMA"]
    replaced = merge(tmp_path, BASE, "trainer: {callbacks: [{class_path: EMA}]}").get(("trainer", "callbacks"))
    assert [callback["class_path"] for callback in replaced] == ["EMA"]
    assert merge(tmp_path, more).get(("trainer", "callbacks")) == [{"class_path": "EMA"}]


def test_a_flag_can_append_a_callback_and_set_it_up(tmp_path: Path) -> None:
    flags = {"trainer.callbacks+": "EMA", "trainer.callbacks.decay": "0.9"}
    config = merge(tmp_path, BASE, flags=flags)
    assert config.get(("trainer", "callbacks", "1")) == {"class_path": "EMA", "init_args": {"decay": "0.9"}}


def test_null_stays_visible_for_the_schema_to_judge(tmp_path: Path) -> None:
    config = merge(tmp_path, BASE, "model: {heads: {scene: null}}")
    assert config.get(("model", "heads")) == {"boxes": {"class_path": "CenterNetHead"}, "scene": None}


def test_every_key_is_text(tmp_path: Path) -> None:
    config = merge(tmp_path, "weights: {0: 1.0, true: 2.0}", "weights: {0: 3.0, null: 4.0}")
    assert config.get(("weights",)) == {"0": 3.0, "true": 2.0, "null": 4.0}


def test_bases_lie_below_in_order_and_reach_further_bases(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "deep.yaml").write_text("a: 1\nb: 1\nc: 1\nd: 1\n")
    (tmp_path / "sub" / "first.yaml").write_text("base: ../deep.yaml\nb: 2\nc: 2\nd: 2\n")
    (tmp_path / "sub" / "second.yaml").write_text("c: 3\nd: 3\n")
    (tmp_path / "top.yaml").write_text("base: [sub/first.yaml, sub/second.yaml]\nd: 4\n")
    config = read_config([tmp_path / "top.yaml"])
    assert config.values == {"a": 1, "b": 2, "c": 3, "d": 4}
    assert [Path(config.origins[(key,)].where).name for key in "abcd"] == [
        "deep.yaml",
        "first.yaml",
        "second.yaml",
        "top.yaml",
    ]


def test_a_base_may_come_with_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/exp.yaml").write_text("base: digits.yaml\nname: x\n")
    assert read_config([tmp_path / "mine/exp.yaml"]).get(("data", "class_path")) == "DigitScenes"
    (tmp_path / "mine/digits.yaml").write_text("name: beside\n")  # what lies beside the config comes first
    assert read_config([tmp_path / "mine/exp.yaml"]).values == {"name": "x"}
    (tmp_path / "other.yaml").write_text("name: of the working directory\n")
    (tmp_path / "mine/exp.yaml").write_text("base: other.yaml\n")
    with pytest.raises(ConfigError, match="beside this config, or a config that comes with the package"):
        read_config([tmp_path / "mine/exp.yaml"])


def test_a_dict_lies_over_its_base_as_a_file_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "low.yaml").write_text("callbacks: [A]\nmodel: {rate: 1, width: 2}\n")
    given = {"base": "low.yaml", "callbacks+": ["B"], "model": {"rate": 3}}
    found = read_config([], [("model.width", "4")], given)
    assert found.values == {"callbacks": ["A", "B"], "model": {"rate": 3, "width": "4"}}
    assert str(found.origin(("model", "rate"))) == "in Python: model.rate"
    assert read_config([], values={"base": "digits.yaml"}).get(("data", "class_path")) == "DigitScenes"
    with pytest.raises(ConfigError, match="there is no 'nowhere.yaml'"):
        read_config([], values={"base": "nowhere.yaml"})


def test_a_circle_of_bases_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("base: b.yaml\n")
    (tmp_path / "b.yaml").write_text("base: a.yaml\n")
    with pytest.raises(ConfigError, match=r"in a circle: a.yaml -> b.yaml -> a.yaml"):
        read_config([tmp_path / "a.yaml"])


@pytest.mark.parametrize("base", ["nowhere.yaml", "3"])
def test_a_base_that_is_no_file_is_refused_with_its_line(tmp_path: Path, base: str) -> None:
    with pytest.raises(ConfigError, match="must name a file") as caught:
        merge(tmp_path, f"a: 1\nbase: {base}\n")
    assert caught.value.origin is not None
    assert caught.value.origin.line == 2


def test_every_value_remembers_the_file_or_flag_it_came_from(tmp_path: Path) -> None:
    config = merge(tmp_path, BASE, "model:\n  optim:\n    optimizer: {class_path: SGD}\n", flags={"name": "x"})
    assert str(config.origin(("model", "heads", "scene", "init_args", "hidden"))).endswith(
        "0.yaml:6: init_args: {hidden: 64, dropout: 0.1}"
    )
    assert str(config.origin(("model", "optim", "optimizer", "class_path"))).endswith(
        "1.yaml:3: optimizer: {class_path: SGD}"
    )
    assert ("model", "optim", "optimizer", "init_args", "weight_decay") not in config.origins
    assert str(config.origin(("name",))) == "command line: --name x"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("SGD", "torch.optim.SGD", True),
        ("torch.optim.SGD", "torch.optim.SGD", True),
        ("a.Head", "b.Head", False),
        ("SGD", "AdamW", False),
    ],
)
def test_short_and_full_names_are_compared(first: str, second: str, same: bool) -> None:
    assert same_class(first, second) is same
