"""Values of trials against Optuna asked by hand, early ends against a hand-made table, and what is refused."""

import csv
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mtl.config.yaml_lines import ConfigError
from mtl.experiments.queued_run import STOPPED_EARLY
from mtl.experiments.search import Trial, trials_of
from mtl.experiments.sweep_file import read_sweep

optuna = pytest.importorskip("optuna")
LR = {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1}


def trials(folder: Path, number: int | None = None, **changes: Any) -> list[Trial]:
    values = {
        "command": ["mtl", "fit", "--config=tiny.yaml", "${args}"],
        "method": "random",
        "metric": {"name": "val/score", "goal": "maximize"},
        "parameters": {"lr": LR},
    }
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump(values | changes))
    return trials_of(read_sweep(file), folder, number)


def record(trial: Trial, *scores: float, state: str | None = "results.json") -> None:
    """What a run of a trial leaves."""
    trial.path.mkdir(exist_ok=True)
    trial.settings_file.write_text(yaml.safe_dump(trial.settings()))
    with (trial.path / "metrics.csv").open("w") as file:
        csv.writer(file).writerows([("step", "val/score"), *enumerate(scores)])
    if state:
        (trial.path / state).touch()


def test_a_grid_is_every_combination_once_and_may_be_cut_short(tmp_path: Path) -> None:
    parameters = {"a": {"values": [1, 2]}, "b": {"value": "x"}, "c": {"values": [[3], None]}}
    found = trials(tmp_path, method="grid", parameters=parameters)
    assert [list(trial.settings().values()) for trial in found] == [
        [1, "x", [3]], [1, "x", None], [2, "x", [3]], [2, "x", None],
    ]  # fmt: skip
    assert found[0].words(["--more"]) == ["--config=tiny.yaml", "--more", "--a=1", "--b=x", "--c=[3]"]
    assert len(trials(tmp_path, 3, method="grid", parameters=parameters)) == 3
    assert len(trials(tmp_path, 9, method="grid", parameters=parameters)) == 4


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_values_are_inside_the_ends_and_the_same_each_time(tmp_path: Path, method: str) -> None:
    parameters = {
        "lr": LR,
        "width": {"min": 4, "max": 6},
        "drop": {"min": 0, "max": 0.5},
        "steps": {"distribution": "q_uniform", "min": 0.0, "max": 100.0, "q": 30},
        "act": {"values": ["relu", ["gelu", True], None]},
        "wide": {"value": True},
    }
    found, again = (trials(tmp_path, 40, method=method, parameters=parameters) for _ in range(2))
    drawn = [trial.settings() for trial in found]
    assert drawn == [trial.settings() for trial in reversed(again)][::-1]  # whichever the queue asks first
    assert {values["width"] for values in drawn} == {4, 5, 6}  # both ends count
    assert {values["steps"] for values in drawn} <= {0, 30, 60, 90}
    assert all(values["act"] in ["relu", ["gelu", True], None] and values["wide"] is True for values in drawn)
    assert all(0.001 <= values["lr"] <= 0.1 and 0 <= values["drop"] <= 0.5 for values in drawn)
    # log-uniform: half of the draws below the geometric mean, 0.01; 40 draws are within 3 standard deviations
    assert 10 <= sum(values["lr"] < 0.01 for values in drawn) <= 30


@pytest.mark.parametrize(("goal", "sign"), [("maximize", 1), ("minimize", -1)])
def test_bayes_draws_what_optuna_would(tmp_path: Path, goal: str, sign: int) -> None:
    parameters = {"kind": {"values": ["a", "b"]}, "x": {"min": 0.0, "max": 1.0}}
    made = trials(tmp_path, 16, method="bayes", metric={"name": "val/score", "goal": goal}, parameters=parameters)
    study = optuna.create_study(direction=goal)
    for index, trial in enumerate(made[:15]):
        study.sampler = optuna.samplers.TPESampler(seed=index)
        asked = study.ask()
        values = {"kind": asked.suggest_categorical("kind", ["a", "b"]), "x": asked.suggest_float("x", 0.0, 1.0)}
        assert trial.settings() == values
        score = -sign * (values["x"] - 0.3) ** 2
        study.tell(asked, score)
        record(trial, score)


def test_bayes_looks_where_it_was_good_and_copes_with_runs_that_have_no_number(tmp_path: Path) -> None:
    found = trials(tmp_path, 30, method="bayes", parameters={"x": {"min": 0.0, "max": 1.0}})
    for index, trial in enumerate(found):
        score = float("nan") if index % 5 == 4 else -abs(trial.settings()["x"] - 0.8)
        record(trial, *([score] * 2), state=STOPPED_EARLY if index % 5 == 3 else "results.json")
    far = [abs(trial.settings()["x"] - 0.8) for trial in found]
    assert sum(far[-10:]) < sum(far[:10]) / 2


def test_a_trial_keeps_the_values_that_it_was_started_with(tmp_path: Path) -> None:
    first = trials(tmp_path, 2)[1]
    first.settings_file.write_text("lr: 0.05")
    assert trials(tmp_path, 2)[1].settings() == {"lr": 0.05}
    first.settings_file.write_text("lr: 0.5")
    with pytest.raises(ConfigError, match=r"trial1.yaml has values that .*mine.yaml does not allow: {'lr': 0.5}"):
        trials(tmp_path, 2)[1].settings()


def test_a_trial_ends_early_unless_it_is_among_the_best_of_its_rung(tmp_path: Path) -> None:
    # rungs at 1, 2 and 4 validations; the best half continues
    stop = {"type": "hyperband", "min_iter": 1, "eta": 2}
    a, b, c, d = trials(tmp_path, 4, early_terminate=stop)
    record(a, 0.5, state=None)
    assert not a.fell_behind()  # the first to get there has nothing to fall behind
    record(b, 0.4, state=None)
    assert b.fell_behind()  # 1 of 2 continue, and a is better
    assert b.state == "stopped early"
    assert "after validation 1, 1 of 2 trials had a better val/score" in (b.path / STOPPED_EARLY).read_text()
    assert not b.fell_behind()
    record(c, 0.6, state=None)
    assert not c.fell_behind()
    record(d, 0.55, state=None)
    assert not d.fell_behind()  # 2 of 4 continue: c and d
    record(d, 0.55, 0.9, state=None)
    assert not d.fell_behind()
    record(c, 0.6, 0.3, 0.95, state=None)
    assert c.fell_behind()  # at rung 2 with 0.3 against 0.9, whatever came later
    assert not a.fell_behind()  # judged at rung 1 already, and has not reached the next


def test_a_resumed_trial_is_not_judged_again_by_its_old_scores(tmp_path: Path) -> None:
    stop = {"type": "hyperband", "min_iter": 1}
    for trial, score in zip(trials(tmp_path, 2, early_terminate=stop), (0.9, 0.1), strict=True):
        record(trial, score, state=None)
    later = trials(tmp_path, 2, early_terminate=stop)[1]
    later.settings()  # as the queue does before it starts a run
    assert not later.fell_behind()


def test_a_metric_that_no_run_has_is_named_with_a_near_one(tmp_path: Path) -> None:
    trial = trials(tmp_path, 1, metric={"name": "val/scroe", "goal": "maximize"})[0]
    record(trial, 0.5, state=None)
    assert trial.scores == []  # it may come
    record(trial, 0.5)
    with pytest.raises(ValueError, match="has no column 'val/scroe'.*Did you mean 'val/score'"):
        assert trial.scores


def test_without_optuna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = trials(tmp_path, 1)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r'method random needs Optuna: pip install "mtl\[sweep\]"'):
        found[0].settings()
    assert trials(tmp_path, method="grid", parameters={"a": {"values": [1]}})[0].settings() == {"a": 1}
