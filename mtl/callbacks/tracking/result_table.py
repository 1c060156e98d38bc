"""Tables of a run's metrics for a terminal of 80 columns: one row per task, and one row per class."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

_COLUMNS = 80
_OF_THE_RUN = ("score", "loss")  # keys without a task that have a place of their own, or none
_MOST_CLASSES = 24  # above it only the hardest ones are shown


def task_table(metrics: Mapping[str, float], tasks: Sequence[str], stage: str = "test") -> Table:
    """One row for each task with its metrics and its loss, one for metrics of several tasks, and the joint score below.

    Args:
        metrics: numbers by log key.
        tasks: names of the tasks, in the order to show.
        stage: `test` or `val`, the start of the log keys.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, show_footer=f"{stage}/score" in metrics)
    table.add_column("task", footer="joint score")
    table.add_column(f"{stage} metrics", footer=Text(f"{metrics.get(f'{stage}/score', 0):.3f}", style="bold"))
    table.add_column("loss", justify="right")
    room = _COLUMNS - max(len("joint score"), *map(len, tasks)) - 13  # two gaps and the loss
    for task in tasks:
        start = f"{stage}/{task}/"
        values = {key[len(start) :]: value for key, value in metrics.items() if key.startswith(start)}
        words = [f"{name} {value:.3f}" for name, value in values.items() if "/" not in name]
        loss = metrics.get(f"{stage}/loss/{task}")
        cell = _filled(words, room) or "no labelled sample"
        table.add_row(task, cell, f"{loss:.3f}" if loss is not None else "")
    together = {key.removeprefix(f"{stage}/"): value for key, value in metrics.items() if key.startswith(f"{stage}/")}
    words = [f"{name} {value:.3f}" for name, value in together.items() if "/" not in name and name not in _OF_THE_RUN]
    if words:
        table.add_row("all tasks", _filled(words, room), "")
    return table


def class_table(metrics: Mapping[str, float], tasks: Sequence[str], stage: str = "test") -> Table | None:
    """One row for each class with its metric in each task, or None where no task has metrics by class.

    Args:
        metrics: numbers by log key; `test/boxes/map/cat` is the metric `map` of class `cat`.
        tasks: names of the tasks, in the order to show.
        stage: `test` or `val`, the start of the log keys.
    """
    columns: dict[str, dict[str, float]] = {}
    for task in tasks:
        for key, value in metrics.items():
            if key.startswith(f"{stage}/{task}/") and key.count("/") >= 3:
                metric, name = key.removeprefix(f"{stage}/{task}/").split("/", 1)
                columns.setdefault(f"{task} {metric}", {})[name] = value
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    if not names:
        return None
    caption = None
    if len(names) > _MOST_CLASSES:
        caption = f"the hardest {_MOST_CLASSES} of {len(names)}, all: results.json"
        worst = {name: min(column[name] for column in columns.values() if name in column) for name in names}
        names = sorted(names, key=worst.__getitem__)[:_MOST_CLASSES]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, caption=caption, caption_justify="left")
    table.add_column("class")
    for column in columns:
        table.add_column(column, justify="right")
    for name in names:
        table.add_row(name, *(f"{column[name]:.3f}" if name in column else "" for column in columns.values()))
    return table


def _filled(words: Sequence[str], room: int) -> str:
    """Words in lines of some width, never broken inside."""
    lines = [""]
    for word in words:
        longer = f"{lines[-1]}  {word}" if lines[-1] else word
        if len(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines).strip()
