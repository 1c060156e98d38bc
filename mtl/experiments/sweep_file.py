"""A sweep file as W&B writes it, read and checked: one file serves W&B's agents and `python -m mtl sweep`.

program: mtl/__main__.py
command: [${env}, ${interpreter}, -m, mtl, fit, --config=configs/digits.yaml, ${args}]
method: bayes                     # grid, random or bayes
metric: {name: best/score, goal: maximize}
parameters: {model.loss_weights.largest: {distribution: log_uniform_values, min: 0.1, max: 3.0}}
early_terminate: {type: hyperband, min_iter: 2}
run_cap: 20
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtl.config.command_line import read_command_line, refuse_options
from mtl.config.paths import as_name, refuse_name
from mtl.config.shipped import own_or_shipped
from mtl.config.yaml_lines import ConfigError, known_keys, read_yaml
from mtl.errors import did_you_mean
from mtl.experiments.queued_run import PLACE_KEYS

KEYS = {"command", "early_terminate", "method", "metric", "parameters", "program", "run_cap"}
KEYS |= {"description", "entity", "name", "project"}  # of W&B alone
MOST_RUNS = 100_000
METHODS = ("bayes", "grid", "random")
_STOP_KEYS = ("eta", "min_iter", "type")

_ENDS = ("min", "max")
DISTRIBUTIONS = {  # and the keys that they need
    "categorical": ("values",),
    "constant": ("value",),
    "int_uniform": _ENDS,
    "log_uniform_values": _ENDS,
    "q_log_uniform_values": _ENDS,
    "q_uniform": _ENDS,
    "uniform": _ENDS,
}
Parameter = dict[str, Any]  # `distribution`, and either `values` or `min`, `max` and perhaps `q`


@dataclass(frozen=True)
class Sweep:
    """A sweep file, read and checked.

    Args:
        path: the file.
        method: `grid`, `random` or `bayes`.
        metric: what is judged, a column of `metrics.csv`.
        sign: 1 where the largest metric is best, -1 where the least is.
        words: of the command that stand between `fit` and the values.
        parameters: of every key that is swept.
        experiment: folder of its runs.
        num_trials: how many runs, where the file says it.
        min_iter: validations before a run may be ended early; 0 for never.
        eta: only the best 1 / eta of the runs continue after `min_iter`, `min_iter * eta`, ... validations.
    """

    path: Path
    method: str
    metric: str
    sign: int
    words: list[str]
    parameters: dict[str, Parameter]
    experiment: str
    num_trials: int | None
    min_iter: int
    eta: int


def read_sweep(path: Path) -> Sweep:
    """Read and check a sweep file.

    Args:
        path: the file.

    Raises:
        ConfigError: for what W&B would take and we cannot, and for what is missing.
    """
    path = own_or_shipped(path)
    if not path.is_file():
        raise ConfigError(f"there is no sweep file {str(path)!r}; the ones that come along are in configs/sweeps.")
    values = read_yaml(path)
    known_keys(values, sorted(KEYS), str(path))
    for key in ("metric", "early_terminate", "parameters"):
        if not isinstance(values.get(key) or {}, dict):
            raise ConfigError(f"{path}: `{key}` must be keys with values, found {values[key]!r:.80}.")
    method, metric, stop = values.get("method"), values.get("metric") or {}, values.get("early_terminate") or {}
    if method not in METHODS:
        raise ConfigError(f"{path}: `method` must be one of {', '.join(METHODS)}, found {method!r}.")
    if not _is_key(metric.get("name")) or metric.get("goal") not in ("maximize", "minimize"):
        raise ConfigError(f"{path}: `metric` needs a `name` and a `goal` of maximize or minimize, found {metric!r}.")
    known_keys(stop, _STOP_KEYS, f"{path}, early_terminate")
    eta = stop.get("eta", 3)
    if stop and (stop.get("type") != "hyperband" or not _is_count(stop.get("min_iter")) or not _is_count(eta, least=2)):
        raise ConfigError(
            f"{path}: `early_terminate` must be of type hyperband with `min_iter`, and `eta` of at least 2 where it is "
            f"given, both whole numbers; found {stop!r}."
        )
    if "run_cap" in values and not _is_count(values["run_cap"]):
        raise ConfigError(
            f"{path}: `run_cap` must be a whole number of at least 1 and at most {MOST_RUNS:,}, found "
            f"{values['run_cap']!r:.80}."
        )
    given = values.get("parameters") or {}
    known_keys(given, list(given), f"{path}, parameters")
    refuse_options(map(str, given), f"{path}, parameters")
    if own := [name for name in given if name in PLACE_KEYS and name != "experiment"]:
        raise ConfigError(f"{path}, parameters: {own[0]!r} is set by the sweep itself, differently for every run.")
    parameters = {str(name): _parameter(str(name), parameter, method, path) for name, parameter in given.items()}
    experiment = str(parameters.pop("experiment", {"values": [as_name(path.stem)]}).get("values", [None])[0])
    refuse_name(f"{path}: experiment", experiment)
    if not parameters:
        raise ConfigError(f"{path}: `parameters` names nothing to sweep.")
    grid = math.prod(len(parameter.get("values", [0])) for parameter in parameters.values())
    if method == "grid" and grid > MOST_RUNS:
        raise ConfigError(f"{path}: the grid has {grid:.3g} points; a sweep has at most {MOST_RUNS:,} trials.")
    return Sweep(
        path=path,
        method=method,
        metric=metric["name"],
        sign=1 if metric["goal"] == "maximize" else -1,
        words=_words(values.get("command"), path),
        parameters=parameters,
        experiment=experiment,
        num_trials=values.get("run_cap"),
        min_iter=stop.get("min_iter", 0),
        eta=eta,
    )


def _words(command: Any, path: Path) -> list[str]:
    """What stands between `fit` and the values, in the form that W&B's agents use."""
    words = [str(word) for word in command] if isinstance(command, list) else []
    if "fit" not in words or words[-1] != "${args}":
        raise ConfigError(f"{path}: `command` must be `... -m mtl fit --config=... ${{args}}`, found {command!r}.")
    between = words[words.index("fit") + 1 : -1]
    if strange := [word for word in between if not word.isprintable()]:
        raise ConfigError(f"{path}: {strange[0]!r} in `command` holds letters that no command does.")
    if strange := [word for word in between if "${" in word]:
        raise ConfigError(f"{path}: {strange[0]!r} in `command` is known to W&B's agents only.")
    line = read_command_line("fit", between)
    if line.allow or line.run or line.resume or line.ckpt_path or line.switches:
        raise ConfigError(
            f"{path}: `command` may hold --config and keys of a config. Whoever starts the sweep lets code in: "
            "`python -m mtl sweep --config FILE --allow MODULE`."
        )
    return between


def _parameter(name: str, parameter: Any, method: str, path: Path) -> Parameter:
    if not isinstance(parameter, dict) or "parameters" in parameter:
        raise ConfigError(
            f"{path}: parameter {name!r} needs `value`, `values` or `min` and `max`; a nested key is written with "
            f"dots, as `model.optim.warmup_steps`. Found {parameter!r}."
        )
    ends: list[Any] = [parameter.get("min"), parameter.get("max")]
    kind = parameter.get("distribution")
    if kind is None:
        whole = all(isinstance(end, int) for end in ends)
        kind = "constant" if "value" in parameter else "categorical" if "values" in parameter else None
        kind = kind or ("int_uniform" if whole else "uniform")
    if kind not in DISTRIBUTIONS:
        raise ConfigError(
            f"{path}: parameter {name!r} has distribution {kind!r}.{did_you_mean(str(kind), DISTRIBUTIONS)} Known here "
            f"are {', '.join(DISTRIBUTIONS)}."
        )
    needed, has_step = DISTRIBUTIONS[kind], kind.startswith("q_")
    known_keys(parameter, ("distribution", *needed, *(("q",) if has_step else ())), f"{path}, {name}")
    if missing := [key for key in needed if key not in parameter]:
        raise ConfigError(f"{path}: parameter {name!r} of distribution {kind} needs `{missing[0]}`.")
    if needed != _ENDS:
        values = parameter["values"] if kind == "categorical" else [parameter["value"]]
        if not isinstance(values, list) or not values:
            raise ConfigError(f"{path}: parameter {name!r} needs a list of values, found {values!r}.")
        return {"distribution": kind, "values": values}
    if method == "grid":
        raise ConfigError(f"{path}: a grid needs `values` for {name!r}; for a range take method random or bayes.")
    number = int if kind == "int_uniform" else int | float
    if not all(isinstance(end, number) and abs(end) < math.inf for end in ends) or not ends[0] < ends[1]:
        raise ConfigError(
            f"{path}: parameter {name!r} of distribution {kind} has min {ends[0]!r} and max {ends[1]!r}; both must be "
            "numbers, whole ones for int_uniform, min the less."
        )
    step = parameter.get("q", 1)
    if ("log" in kind and ends[0] <= 0) or not (isinstance(step, int | float) and step > 0):
        raise ConfigError(f"{path}: parameter {name!r} of distribution {kind} needs min or q above 0: {parameter!r}.")
    return {"distribution": kind, "min": ends[0], "max": ends[1], **({"q": step} if has_step else {})}


def _is_count(value: Any, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MOST_RUNS


def _is_key(value: Any) -> bool:
    """Whether a value can be the key of a logged number."""
    return isinstance(value, str) and re.fullmatch(r"[\w./@+-]{1,200}", value) is not None
