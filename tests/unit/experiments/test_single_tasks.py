"""Rows that train one task each, from configs whose callbacks name several."""

from pathlib import Path

import pytest
import yaml

from mtl.config.yaml_lines import ConfigError
from mtl.experiments.single_tasks import head_names, single_task_rows

HEADS = {"intent": "A", "slots": "B", "english": "C"}


def config_with(folder: Path, callbacks: list[object]) -> Path:
    file = folder / "base.yaml"
    file.write_text(yaml.safe_dump({"model": {"heads": HEADS}, "trainer": {"callbacks": callbacks}}, sort_keys=False))
    return file


def test_lists_and_keys_keep_the_task_of_the_row(tmp_path: Path) -> None:
    schedule = {"class_path": "LossWeightSchedule", "init_args": {"weights": {"slots": [1.0, 2.0], "english": [0.5]}}}
    sentences = {"class_path": "SentenceAccuracy", "init_args": {"tasks": ["intent", "slots"]}}
    average = {"class_path": "EMA", "init_args": {"decay": 0.9}}
    balancer = {"class_path": "mtl.callbacks.LossBalancing", "init_args": {"method": "UPGrad"}}
    rows = single_task_rows(config_with(tmp_path, [average, schedule, sentences, balancer, "FiniteLosses"]))
    assert list(rows) == ["intent-alone", "slots-alone", "english-alone"]
    assert rows["slots-alone"] == {
        "model": {"heads": {"intent": None, "english": None}, "loss_weights": None},
        "trainer": {
            "callbacks": [
                average,
                {"class_path": "LossWeightSchedule", "init_args": {"weights": {"slots": [1.0, 2.0]}}},
                {"class_path": "SentenceAccuracy", "init_args": {"tasks": ["slots"]}},
                "FiniteLosses",
            ]
        },
    }
    # nothing that is named is left
    assert rows["english-alone"]["trainer"]["callbacks"][1:] == [
        {"class_path": "LossWeightSchedule", "init_args": {"weights": {"english": [0.5]}}},
        "FiniteLosses",
    ]
    assert rows["intent-alone"]["trainer"]["callbacks"][1]["class_path"] == "SentenceAccuracy"


def test_parts_and_rates_of_other_heads_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "base.yaml"
    optim = {"lr_factors": {"backbone": 0.1, "heads.slots": 2, "heads.slots.crf": 3, "heads.english": 0.5}}
    frozen = {"class_path": "FreezeParts", "init_args": {"parts": ["heads.slots"], "epochs": 1}}
    both = {"class_path": "FreezeParts", "init_args": {"parts": ["backbone", "heads.slots"], "epochs": 2}}
    turns = {"class_path": "TaskScheduling", "init_args": {"schedule": "RoundRobin"}}
    model = {"heads": HEADS, "optim": optim, "init_from": {"run": "r", "parts": ["trunk", "heads.english"]}}
    file.write_text(yaml.safe_dump({"model": model, "trainer": {"callbacks": [frozen, both, turns]}}, sort_keys=False))
    rows = single_task_rows(file)
    assert rows["intent-alone"] == {
        "model": {
            "heads": {"slots": None, "english": None},
            "loss_weights": None,
            "optim": {"lr_factors": {"heads.slots": None, "heads.slots.crf": None, "heads.english": None}},
            "init_from": {"parts": ["trunk"]},
        },
        "trainer": {"callbacks": [{**both, "init_args": {"parts": ["backbone"], "epochs": 2}}]},
    }
    assert rows["slots-alone"]["trainer"]["callbacks"] == [frozen, both]
    assert rows["slots-alone"]["model"]["optim"] == {"lr_factors": {"heads.english": None}}
    assert "init_from" not in rows["english-alone"]["model"]
    model["init_from"] = {"run": "r", "parts": ["heads.slots"]}
    file.write_text(yaml.safe_dump({"model": model}, sort_keys=False))
    assert single_task_rows(file)["intent-alone"]["model"]["init_from"] is None


def test_callbacks_that_name_no_task_are_not_touched(tmp_path: Path) -> None:
    rows = single_task_rows(config_with(tmp_path, [{"class_path": "EMA", "init_args": {"levels": ["t1"], "more": {}}}]))
    assert all(list(row) == ["model"] for row in rows.values())


def test_heads_must_be_names(tmp_path: Path) -> None:
    file = tmp_path / "base.yaml"
    file.write_text("model: {heads: {a-b: A, c: B}}\n")
    with pytest.raises(ConfigError, match="head 'a-b' must be letters, digits and '_'"):
        head_names(file)
