"""Results of a comparison, from its run folders alone: metrics, gains over single tasks, ranks, tests, cost.

    report = read_report(Path("runs/compare/digits"))

A comparison lies in `<root>/<row>/seed<number>/`; rows that train one task alone are the baselines of the others.
"""

import json
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mtl.config.foreign_files import read_end, read_small
from mtl.config.paths import is_name
from mtl.config.yaml_lines import ConfigError
from mtl.errors import did_you_mean
from mtl.evaluation.tables.delta_m import Metric, Values, delta_m, delta_m_flat, delta_m_per_task, mean_rank
from mtl.evaluation.tables.intervals import Draws, holm, interval, paired_p

EQUAL, TUNED = "Equal", "Fixed-tuned"  # rows that the others are tested against
FAILED = "failed.txt"  # in the folder of a run that failed: why
_BEST = "the checkpoint of the best validation score"  # of runs whose results say nothing else
_MOST_BYTES = 10_000_000  # of a file of results; they have some thousand
_MOST_TASKS, _MOST_METRICS, _LARGEST = 200, 200, 1e100
_METRIC = re.compile(r"[\w.@+-]{1,100}")
GAINS = {"delta_m": delta_m, "delta_m_per_task": delta_m_per_task, "delta_m_flat": delta_m_flat}


@dataclass(frozen=True)
class Row:
    """The runs of one row of the table.

    Args:
        name: of the row.
        results: what `results.json` holds, by seed.
        failed: seeds that failed, and why.
    """

    name: str
    results: Mapping[str, dict[str, Any]]
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def tasks(self) -> list[str]:
        """The tasks that it trains."""
        metas = [result["meta"] for result in self.results.values()]
        return list(metas[0].get("tasks", {})) if metas else []

    def values(self, key: str) -> list[float]:
        """A metric of every seed that has it.

        Args:
            key: `task/metric` or `score`.
        """
        found = [result.get(f"test/{key}") for result in self.results.values()]
        return [value for value in found if value is not None]

    def cost(self) -> tuple[float, float]:
        """Mean milliseconds of a step and mean peak memory in MB; NaN where a run did not say."""
        metas = [result["meta"] for result in self.results.values()]
        steps = [1000 * (meta["train_seconds"] or 0) / meta["steps"] for meta in metas if meta["steps"]]
        memory = [meta["peak_memory_mb"] for meta in metas if meta.get("peak_memory_mb")]
        return _mean(steps), _mean(memory)


class Report:
    """All rows of a comparison and what follows from them.

    Args:
        rows: joint rows and single-task rows.

    Raises:
        ConfigError: if there is no joint row with results.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        most = max((len(row.tasks) for row in rows), default=0)
        self.joint = [row for row in rows if row.results and len(row.tasks) == most]
        if not self.joint:
            raise ConfigError("there is no finished run to report; `python -m mtl compare --config ...` trains them.")
        self.singles = {row.tasks[0]: row for row in rows if most > 1 and len(row.tasks) == 1}
        self.failed = {f"{row.name} {seed}": why for row in rows for seed, why in row.failed.items()}
        self.metrics = _metrics([*self.joint, *self.singles.values()])

    def origin(self) -> str:
        """What the numbers of the joint rows come from, in words."""
        results = [result for row in self.joint for result in row.results.values()]
        return " or ".join(dict.fromkeys(result["meta"].get("reported") or _BEST for result in results))

    @cached_property
    def baseline(self) -> Values | None:
        """Mean of every metric over the seeds of the task trained alone; `None` if no gain over it can be given."""
        alone = self._alone()
        return alone if len(alone) == len(self.metrics) and all(alone[m.key] for m in self.gained) else None

    @cached_property
    def gained(self) -> list[Metric]:
        """Metrics that gains are of: those that are 0 for the task alone are left out, unless it is judged by them."""
        zero = self.without_gain()
        return [metric for metric in self.metrics if metric.monitored or metric.key not in zero]

    def without_gain(self) -> list[str]:
        """Metrics without a relative gain: 0 for the task alone, or in one of its seeds if no task is judged by it."""
        there = {m: self.singles[m.task].values(m.key) for m in self.metrics if m.task in self.singles}
        return [m.key for m, alone in there.items() if not (any(alone) if m.monitored else all(alone))]

    def gains(self, row: Row, definition: str) -> list[float]:
        """Gain over single tasks of every seed; empty without single tasks.

        Args:
            row: a joint row.
            definition: a name in `GAINS`.
        """
        if self.baseline is None:
            return []
        return [GAINS[definition](self._seed(result), self.baseline, self.gained) for result in row.results.values()]

    def ranks(self) -> dict[str, float]:
        """Mean rank of every joint row over all metrics, 1 is best."""
        means = [{m.key: _mean(row.values(m.key)) for m in self.metrics} for row in self.joint]
        return dict(zip([row.name for row in self.joint], mean_rank(means, self.metrics), strict=True))

    def tests(self, against: str, key: str = "score") -> dict[str, float]:
        """Holm-corrected p of a paired t-test of every joint row against one of them; empty if it is not there.

        Args:
            against: name of the row.
            key: what is compared.
        """
        reference = next((row for row in self.joint if row.name == against), None)
        if reference is None:
            return {}
        others = [row for row in self.joint if row is not reference]
        found = []
        for row in others:
            seeds = [seed for seed in row.results if seed in reference.results]
            pairs = [[r.results[seed][f"test/{key}"] for seed in seeds] for r in (row, reference)]
            found.append(paired_p(*pairs))
        return dict(zip([row.name for row in others], holm(found), strict=True))

    def gain_interval(self, row: Row, definition: str) -> tuple[float, float] | None:
        """Bootstrap interval of the mean gain: over the row's seeds and, apart from them, each single task's seeds.

        Args:
            row: a joint row.
            definition: a name in `GAINS`.
        """
        if self.baseline is None:
            return None
        tasks = list(self.singles)
        values = {metric.key: np.asarray(row.values(metric.key)) for metric in self.gained}
        alone = {m.key: np.asarray(self.singles[m.task].values(m.key)) for m in self.gained}
        if not all(numbers.all() for numbers in alone.values()):
            return None  # some draws have a mean of 0, and no relative gain over it

        def gain(own: Draws, *singles: Draws) -> Draws:
            drawn = dict(zip(tasks, singles, strict=True))
            means = {key: numbers[own].mean(-1) for key, numbers in values.items()}
            bases = {m.key: alone[m.key][drawn[m.task]].mean(-1) for m in self.gained}
            return np.asarray(GAINS[definition](means, bases, self.gained))

        return interval(gain, [len(row.results), *(len(self.singles[task].results) for task in tasks)])

    def ordered(self) -> list[Row]:
        """Joint rows, the best mean score first."""
        return sorted(self.joint, key=lambda row: -_mean(row.values("score")))

    def _alone(self) -> dict[str, float]:
        there = [metric for metric in self.metrics if metric.task in self.singles]
        return {metric.key: _mean(self.singles[metric.task].values(metric.key)) for metric in there}

    def _seed(self, result: Mapping[str, Any]) -> dict[str, float]:
        return {metric.key: result[f"test/{metric.key}"] for metric in self.metrics}


def read_report(root: Path, rows: Sequence[str] | None = None) -> Report:
    """The report of a folder of runs.

    Args:
        root: the folder.
        rows: folders in it, whose runs may have any name; by default all that have runs called `seed<number>`.

    Raises:
        ConfigError: if there is nothing to report, or no such row.
    """
    if not root.is_dir():
        raise ConfigError(f"there is no folder {str(root)!r} with runs; `python -m mtl runs` lists yours.")
    there = sorted({file.parent.parent.name for file in root.glob("*/*/results.json")})
    if missing := [row for row in rows or () if row not in there]:
        near = f"{did_you_mean(missing[0], there)} There are {', '.join(there) or 'none'}."
        raise ConfigError(f"{str(root)!r} has no results of {missing[0]!r}.{near}")
    found: dict[str, tuple[dict[str, Any], dict[str, str]]] = {}
    for file in _of_runs(root, FAILED, rows):
        text = read_end(file, 4000).strip() or "it left no message"
        found.setdefault(file.parent.parent.name, ({}, {}))[1][file.parent.name] = text
    for file in _of_runs(root, "results.json", rows):
        results, failed = found.setdefault(file.parent.parent.name, ({}, {}))
        try:
            result = read_results(file)
            if lost := _not_a_number(result):
                raise ValueError(f"{lost} of the test is not a finite number")
            if not rows and not result["meta"]["tasks"]:
                raise ValueError(f"{str(file)!r} names no tasks. Delete it, and test the run again.")
        except ValueError as error:
            failed[file.parent.name] = str(error)
        else:
            results[file.parent.name] = result
            failed.pop(file.parent.name, None)
    table = [Row(name, results, failed) for name, (results, failed) in found.items()]
    if not any(row.results for row in table):
        raise ConfigError(_nothing(root, table, there))
    return Report(table)


def error_of(text: str) -> str:
    """The error in what a run printed, else its last line.

    Args:
        text: the end of its output.
    """
    lines = text.strip().splitlines() or ["no output"]
    return next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1]).strip()


def _nothing(root: Path, table: Sequence[Row], there: Sequence[str]) -> str:
    """Why a folder has nothing to report, and what to do."""
    failed = [f"{row.name} {run}: {error_of(why)}" for row in table for run, why in row.failed.items()]
    told = f"{str(root)!r} holds no finished run of a comparison"
    if failed:
        return f"{told}: {len(failed)} failed, the first {failed[0]:.300}"
    runs = next(root.glob("*/results.json"), None) or next(root.glob("*/config.yaml"), None)
    if there and not runs:
        return f"{told}. For its other runs: `python -m mtl report --runs {root} --rows {' '.join(there[:4])}`."
    if runs:
        return (
            f"{told}; its runs are of one experiment. `python -m mtl report --runs {root.parent} --rows {root.name}` "
            f"prints their table, `python -m mtl runs` lists them."
        )
    return f"{told}; `python -m mtl compare --config ...` trains them, `python -m mtl runs` lists what there is."


def read_results(file: Path) -> dict[str, Any]:
    """What `results.json` of a run holds: numbers by log key (`None` where they are not finite) and `meta`.

    Args:
        file: the file.

    Raises:
        ValueError: if it is damaged, or was not written by a run.
    """
    try:
        found = json.loads(read_small(file, _MOST_BYTES))
        if not isinstance(found, dict) or not isinstance(found.get("meta"), dict):
            raise ValueError("it has no `meta`")
        for key, value in found.items():
            if not key.isprintable() or (key != "meta" and not _is_number(value)):
                raise ValueError(f"{key!r:.80} has {value!r:.50} instead of a number")
        for key in ("steps", "train_seconds", "peak_memory_mb"):
            number = found["meta"].setdefault(key, None)
            if not _is_number(number) or (number or 0) < 0:
                raise ValueError(f"meta.{key} is {number!r:.50} instead of a number")
        if not isinstance(reported := found["meta"].setdefault("reported", ""), str) or not reported.isprintable():
            raise ValueError(f"meta.reported is {reported!r:.50} instead of words")
        tasks = found["meta"].setdefault("tasks", {})
        if not isinstance(tasks, dict) or len(tasks) > _MOST_TASKS or not all(map(str.isidentifier, tasks)):
            raise ValueError("meta.tasks does not name the tasks")
        for task, judged in tasks.items():
            lower = judged["lower_is_better"]
            if not isinstance(judged["monitor"], str) or not isinstance(lower, list):
                raise ValueError(f"it does not say how task {task!r} is judged")
    except FileNotFoundError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise ValueError(f"{str(file)!r} is damaged: {error}. Delete it, and test the run again.") from error
    return found


def _is_number(value: Any) -> bool:
    """Whether a value may be a number of a test: None, or one whose square is a number too."""
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def _of_runs(root: Path, name: str, rows: Sequence[str] | None) -> list[Path]:
    """Files of one name in the folders of runs; folders with names that none of ours has are not runs."""
    found = [file for file in sorted(root.glob(f"*/*/{name}")) if all(is_name(p.name) for p in file.parents[:2])]
    return [file for file in found if (file.parts[-3] in rows if rows else file.parts[-2].startswith("seed"))]


def _not_a_number(result: Mapping[str, Any]) -> str:
    """Monitored metrics that a run lacks, for example because its predictions overflow."""
    judged = ["score", *(f"{task}/{metric['monitor']}" for task, metric in result["meta"]["tasks"].items())]
    return ", ".join(key for key in judged if result.get(f"test/{key}") is None)


def _metrics(rows: Sequence[Row]) -> list[Metric]:
    """All metrics of all tasks but the metrics of single classes, which every run that trains the task has."""
    results = [result for row in rows for result in row.results.values()]
    found = []
    for task, judged in results[0]["meta"]["tasks"].items():
        start = f"test/{task}/"
        runs = [result for result in results if task in result["meta"]["tasks"]]
        names = [key.removeprefix(start) for key in results[0] if key.startswith(start)]
        names = [name for name in names if _METRIC.fullmatch(name)][:_MOST_METRICS]
        for name in names:
            if all(run.get(start + name) is not None for run in runs):
                found.append(Metric(task, name, name not in judged["lower_is_better"], name == judged["monitor"]))
    return found


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values) if values else math.nan
