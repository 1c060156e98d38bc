from pathlib import Path
from typing import Any

import pytest
import yaml

from mtl.config.yaml_lines import ConfigError
from mtl.experiments.sweep_file import read_sweep

GOOD: dict[str, Any] = {
    "program": "mtl/__main__.py",
    "command": ["${env}", "${interpreter}", "-m", "mtl", "fit", "--config=tiny.yaml", "${args}"],
    "method": "random",
    "metric": {"name": "best/score", "goal": "maximize"},
    "parameters": {"a.lr": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1}},
}

LOG = {"distribution": "log_uniform_values"}


def write(folder: Path, **changes: Any) -> Path:
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump(GOOD | changes))
    return file


def test_every_kind_of_parameter_has_its_distribution(tmp_path: Path) -> None:
    parameters = {
        "lr": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1},
        "width": {"min": 4, "max": 8},
        "dropout": {"min": 0, "max": 0.5},
        "steps": {"distribution": "q_uniform", "min": 0.0, "max": 100.0, "q": 10},
        "even": {"distribution": "q_log_uniform_values", "min": 2, "max": 8},
        "act": {"values": ["relu", "gelu"]},
        "wide": {"value": True},
    }
    assert read_sweep(write(tmp_path, parameters=parameters)).parameters == {
        "lr": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1},
        "width": {"distribution": "int_uniform", "min": 4, "max": 8},
        "dropout": {"distribution": "uniform", "min": 0, "max": 0.5},
        "steps": {"distribution": "q_uniform", "min": 0.0, "max": 100.0, "q": 10},
        "even": {"distribution": "q_log_uniform_values", "min": 2, "max": 8, "q": 1},
        "act": {"distribution": "categorical", "values": ["relu", "gelu"]},
        "wide": {"distribution": "constant", "values": [True]},
    }


def test_the_rest_of_the_file_is_understood(tmp_path: Path) -> None:
    parameters = GOOD["parameters"] | {"experiment": {"value": "tried"}}
    stop = {"type": "hyperband", "min_iter": 2}
    metric = {"name": "val/loss/boxes", "goal": "minimize"}
    found = read_sweep(write(tmp_path, parameters=parameters, early_terminate=stop, metric=metric, run_cap=7))
    assert (found.experiment, found.words, found.num_trials) == ("tried", ["--config=tiny.yaml"], 7)
    assert (found.metric, found.sign, found.min_iter, found.eta) == ("val/loss/boxes", -1, 2, 3)
    assert list(found.parameters) == ["a.lr"]
    assert read_sweep(write(tmp_path)).experiment == "mine"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methd": "grid"}, "no key 'methd'. Did you mean 'method'"),
        ({"method": "best"}, "`method` must be one of bayes, grid, random, found 'best'"),
        ({"metric": {"name": "a"}}, "`metric` needs a `name` and a `goal`"),
        ({"early_terminate": {"type": "hyperband", "max_iter": 9}}, "early_terminate: no key 'max_iter'"),
        ({"early_terminate": {"type": "envelope", "min_iter": 1}}, "must be of type hyperband with `min_iter`"),
        ({"run_cap": 0}, "`run_cap` must be a whole number of at least 1"),
        ({"parameters": {}}, "names nothing to sweep"),
        ({"parameters": {"a": {"parameters": {}}}}, "a nested key is written with dots"),
        ({"parameters": {"a": {"distribution": "normal", "mu": 0}}}, "'normal'.*Known here are"),
        ({"parameters": {"a": {"min": 1}}}, "'a' of distribution uniform needs `max`"),
        ({"parameters": {"a": {"min": "few", "max": 1}}}, "both must be numbers"),
        ({"parameters": {"a": {"min": 2, "max": 1}}}, "min the less"),
        ({"parameters": {"a": {"values": [1], "q": 2}}}, "mine.yaml, a: no key 'q'"),
        ({"parameters": {"a": {"values": []}}}, "'a' needs a list of values, found []"),
        ({"parameters": {"a": {"min": 1, "max": float("inf")}}}, "both must be numbers"),
        ({"parameters": {"a": {"distribution": "int_uniform", "min": 1, "max": 2.5}}}, "whole ones for int_uniform"),
        ({"parameters": {"a": {**LOG, "min": 0, "max": 1}}}, "needs min or q above 0"),
        ({"parameters": {"a": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0}}}, "needs min or q above 0"),
        ({"parameters": {"experiment": {"value": "tried"}}}, "names nothing to sweep"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 1}}, "`eta` of at least 2"),
        ({"method": "grid", "parameters": {"a": {"min": 1, "max": 2}}}, "a grid needs `values` for 'a'"),
        ({"command": ["mtl", "fit"]}, "`command` must be `... -m mtl fit --config=... ${args}`"),
        ({"command": ["fit", "${args_json}", "${args}"]}, "known to W&B's agents only"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("$", r"\$").replace("{", r"\{").replace("[]", r"\[\]")):
        read_sweep(write(tmp_path, **change))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match="there is no sweep file 'none.yaml'"):
        read_sweep(Path("none.yaml"))
