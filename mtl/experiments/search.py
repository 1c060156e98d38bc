"""The trials of a sweep: which values each one gets, and which ones stop early.

A trial is a run folder with a YAML file of its values beside it. All decisions follow from these files and the trials'
`metrics.csv`, so a stopped sweep needs no other memory. Optuna draws trial n with seed n; for `bayes` it knows the
trials that have ended by then, so a sweep with one run at a time repeats itself exactly.
Sources: Akiba et al., "Optuna", KDD 2019; early stopping: Li et al., "A System for Massively Parallel Hyperparameter
Tuning", MLSys 2020, algorithm 2.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product, repeat
from pathlib import Path
from typing import Any

from mtl.config.yaml_lines import ConfigError, read_yaml
from mtl.errors import did_you_mean
from mtl.experiments.queued_run import STOPPED_EARLY, QueuedRun
from mtl.experiments.sweep_file import Parameter, Sweep
from mtl.runs.metrics_csv import read_series


@dataclass(eq=False)
class Trial(QueuedRun):
    """One run of a sweep.

    Args:
        folder: of the sweep.
        name: of the run.
        plan: the sweep file.
        trials: all trials of the sweep.
        values: by key of the config; by default they are chosen when the queue has room for the trial.
        num_judged: how many scores were compared with other trials.
    """

    plan: Sweep
    trials: list["Trial"]
    values: dict[str, Any] | None = None
    num_judged: int | None = None

    def settings(self) -> dict[str, Any]:
        if self.num_judged is None:  # scores of a run that is resumed are not judged again
            self.num_judged = 0 if self.state == "FAILED" else len(self.scores)
        if self.values is None:
            self.values = self._recorded() if self.settings_file.is_file() else _suggested(self)
        return self.values

    def words(self, flags: Sequence[str]) -> list[str]:
        values = {key: v if isinstance(v, str) else json.dumps(v) for key, v in self.settings().items()}
        return [*self.plan.words, *flags, *(f"--{key}={value}" for key, value in values.items())]

    def fell_behind(self) -> bool:
        if not self.plan.min_iter or self.is_closed:
            return False
        scores, before = self.scores, self.num_judged or 0
        self.num_judged = len(scores)
        for rung in (self.plan.min_iter * self.plan.eta**power for power in range(len(scores))):
            if before < rung <= len(scores):
                reached = [trial.scores[rung - 1] for trial in self.trials if len(trial.scores) >= rung]
                place = sum(score > scores[rung - 1] for score in reached)  # from 0
                if place >= max(len(reached) // self.plan.eta, 1):
                    why = f"after validation {rung}, {place} of {len(reached)} trials had a better {self.plan.metric}"
                    (self.path / STOPPED_EARLY).write_text(why + "\n", "utf-8")
                    return True
        return False

    @property
    def scores(self) -> list[float]:
        """The metric after every validation, with its sign changed where the least is best, and -inf instead of NaN.

        Raises:
            ValueError: if the run is done and has no such metric.
        """
        file, metric = self.path / "metrics.csv", self.plan.metric
        columns = read_series(file) if file.is_file() else {}
        if self.is_done and metric not in columns:
            raise ValueError(
                f"{file} has no column {metric!r}, the `metric` of {self.plan.path}.{did_you_mean(metric, columns)} "
                "Name one of its columns, and give the new sweep another --runs_root."
            )
        scores = columns.get(metric, ([], []))[1]
        return [-math.inf if math.isnan(score) else self.plan.sign * score for score in scores]

    def _recorded(self) -> dict[str, Any]:
        values, keys = read_yaml(self.settings_file), self.plan.parameters
        if list(values) != list(keys) or not all(_allows(keys[key], value) for key, value in values.items()):
            raise ConfigError(
                f"{self.settings_file} has values that {self.plan.path} does not allow: {values}. Delete that file."
            )
        return values


def trials_of(plan: Sweep, folder: Path, number: int | None = None) -> list[Trial]:
    """All trials of a sweep.

    Args:
        plan: the sweep file.
        folder: of the trials.
        number: how many; as the file says by default, and in a grid at most the number of combinations.

    Raises:
        ConfigError: if nothing says how many.
    """
    grid: list[dict[str, Any]] = []
    if plan.method == "grid":
        chosen = product(*(parameter["values"] for parameter in plan.parameters.values()))
        grid = [dict(zip(plan.parameters, values, strict=True)) for values in chosen]
    number = number or plan.num_trials or len(grid)
    if not number:
        raise ConfigError(f"{plan.path}: how many trials? Give --trials 20, or `run_cap` in the file.")
    trials: list[Trial] = []
    for index, values in zip(range(number), grid or repeat(None), strict=False):
        trials.append(Trial(folder, f"trial{index}", plan, trials, values))
    return trials


def _suggested(trial: Trial) -> dict[str, Any]:
    plan, parameters, seed = trial.plan, trial.plan.parameters, trial.trials.index(trial)
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(f'method {plan.method} needs Optuna: pip install "mtl[sweep]"') from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    samplers, states = optuna.samplers, optuna.trial.TrialState
    sampler = samplers.TPESampler(seed=seed) if plan.method == "bayes" else samplers.RandomSampler(seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    space = {key: _distribution(optuna.distributions, parameter) for key, parameter in parameters.items()}
    for other in trial.trials if plan.method == "bayes" else ():
        if other.is_closed and (scores := other.scores):
            ended = optuna.trial.create_trial(
                state=states.COMPLETE if other.is_done else states.PRUNED,
                value=scores[-1],
                params={key: _encoded(parameters[key], value) for key, value in other.settings().items()},
                distributions=space,
                intermediate_values=dict(enumerate(scores, 1)),
            )
            study.add_trial(ended)
    drawn = study.ask(space).params
    return {key: _decoded(parameters[key], value) for key, value in drawn.items()}


def _distribution(kinds: Any, parameter: Parameter) -> Any:
    if "values" in parameter:
        return kinds.CategoricalDistribution([_encoded(parameter, value) for value in parameter["values"]])
    if parameter["distribution"] == "int_uniform":
        return kinds.IntDistribution(parameter["min"], parameter["max"])
    return kinds.FloatDistribution(parameter["min"], parameter["max"], log="log" in parameter["distribution"])


def _encoded(parameter: Parameter, value: Any) -> Any:
    return json.dumps(value) if "values" in parameter else value  # Optuna's categories are no lists


def _decoded(parameter: Parameter, drawn: Any) -> Any:
    if "values" in parameter:
        return json.loads(drawn)
    step = parameter.get("q")
    return drawn if step is None else min(max(round(drawn / step) * step, parameter["min"]), parameter["max"])


def _allows(parameter: Parameter, value: Any) -> bool:
    if "values" in parameter:
        return value in parameter["values"]
    return isinstance(value, int | float) and parameter["min"] <= value <= parameter["max"]
