"""Rows of a comparison that train one task each: the config without the other heads and what names them.

Callbacks of the config may name tasks, in lists (`tasks: [intent, slots]`) or as keys (`boxes: 2.0`), and they, the
learning rates and the initial weights may name heads (`heads.boxes`); a row keeps what concerns its own. A balancing
method or a schedule of tasks has nothing to weigh or to choose in such a row, and is left out.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from mtl.config.merge import read_config
from mtl.config.paths import refuse_name
from mtl.config.yaml_lines import ConfigError

OF_SINGLE_TASK = "{task}-alone"  # name of such a row
BALANCER = "LossBalancing"  # the callback that balances
OF_SEVERAL_TASKS = (BALANCER, "TaskScheduling")
MOST_TASKS = 200


def single_task_rows(config: Path) -> dict[str, dict[str, Any]]:
    """An overlay for each task of a config.

    Args:
        config: the config file.

    Raises:
        ConfigError: if its heads are no names.
    """
    tasks = head_names(config)
    settings = read_config([config])
    callbacks = settings.get(("trainer", "callbacks")) or []
    rates, start = (settings.get(("model", *key)) for key in (("optim", "lr_factors"), ("init_from", "parts")))
    rows = {}
    for task in tasks:
        others = [other for other in tasks if other != task]
        row: dict[str, Any] = {"model": {"heads": dict.fromkeys(others), "loss_weights": None}}
        if isinstance(rates, dict) and (gone := [key for key in rates if _is_of_head(key, others)]):
            row["model"]["optim"] = {"lr_factors": dict.fromkeys(gone)}
        if isinstance(start, list) and (kept := [one for one in start if not _is_of_head(one, others)]) != start:
            row["model"]["init_from"] = {"parts": kept} if kept else None
        left = _callbacks(callbacks, tasks, others)
        if left != callbacks:
            row["trainer"] = {"callbacks": left}
        rows[OF_SINGLE_TASK.format(task=task)] = row
    return rows


def head_names(config: Path) -> list[str]:
    """Names of the heads in a config, which become folders and files of a comparison.

    Args:
        config: the config file.

    Raises:
        ConfigError: if they are no names.
    """
    merged_config = read_config([config])
    heads = merged_config.get(("model", "heads")) or {}
    origin = merged_config.origin(("model", "heads"))
    if not isinstance(heads, dict):
        raise ConfigError(f"{config}: `model.heads` must be names with a Head each; found {heads!r:.80}.", origin)
    for name in heads:
        if not name.isidentifier():
            raise ConfigError(f"{config}: head {name!r:.80} must be letters, digits and '_'.", origin)
        refuse_name(f"{config}: head", name, origin)
    if len(heads) > MOST_TASKS:
        raise ConfigError(f"{config} has {len(heads)} heads; they are compared up to {MOST_TASKS}.", origin)
    return list(heads)


def _callbacks(callbacks: Any, tasks: Sequence[str], others: Collection[str]) -> Any:
    """What is left of them; one whose list of tasks is empty then goes as a whole."""
    if not isinstance(callbacks, list):
        return callbacks
    left = []
    for callback in callbacks:
        place = callback.get("class_path") if isinstance(callback, dict) else callback
        if str(place).rpartition(".")[2] in OF_SEVERAL_TASKS:
            continue
        try:
            left.append(_without(callback, tasks, others))
        except _NothingLeftError:
            continue
    return left


class _NothingLeftError(Exception):
    pass


def _without(value: Any, tasks: Sequence[str], others: Collection[str]) -> Any:
    if not isinstance(value, dict | list) or not value:
        return value
    names_tasks = all(isinstance(item, str) and item in tasks for item in value)
    kept = [item for item in value if not (names_tasks and item in others) and not _is_of_head(item, others)]
    if not kept:
        raise _NothingLeftError
    if isinstance(value, list):
        return [_without(item, tasks, others) for item in kept]
    return {key: _without(value[key], tasks, others) for key in kept}


def _is_of_head(part: Any, tasks: Collection[str]) -> bool:
    """Whether a word names the head of one of these tasks or a part of it, as `heads.boxes` does."""
    heads, _, rest = str(part).partition(".")
    return heads == "heads" and rest.partition(".")[0] in tasks
